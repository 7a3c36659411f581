"""What the server says of texts and pictures that a model may not know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.familiarity import (
    KNOWN_PERCENTILE,
    STRANGE_PERCENTILE,
    UsualCells,
    standing,
    strangeness,
)
from backend.store import Store

if TYPE_CHECKING:
    from backend.clip.text import ReadTexts


@dataclass(frozen=True)
class Verdict:
    """Whether a model may know something.

    Attributes:
        doubt: why it may not, a sentence; None when nothing speaks against it.
        standing: percentile among meaningless texts, or among the data set's images; None where it
            was not needed or cannot be told.
    """

    doubt: str | None
    standing: float | None

    @property
    def known(self) -> bool:
        return self.doubt is None


class Familiarity:
    """Judges texts and pictures by what the store knows of its model."""

    def __init__(self, store: Store) -> None:
        arrays = {name: torch.from_numpy(np.array(a)) for name, a in store.familiarity.items()}
        self._dataset = store.manifest.dataset.name
        self._words = store.words
        self._null = arrays["text_null"]
        self._usual = UsualCells(
            mean=arrays["cell_mean"],
            axes=arrays["cell_axes"],
            variance=arrays["cell_variance"],
            rest=arrays["cell_rest"],
        )
        self._images = arrays["image_strangeness"]

    def word(self, number: int) -> Verdict:
        """A word of the vocabulary."""
        return self.text(
            agreement=float(self._words["agreement"][number]),
            trained=bool(self._words["trained"][number]),
        )

    def read(self, texts: ReadTexts, place: int = 0) -> Verdict:
        """One of the texts that the model has read."""
        return self.text(
            agreement=float(texts.agreement[place]), trained=bool(texts.trained[place])
        )

    def text(self, *, agreement: float, trained: bool) -> Verdict:
        """A text by what reading it told (see ``ReadTexts``)."""
        if not trained:
            return Verdict("It has a word, or a piece of one, that the model never met.", None)
        found = standing(agreement, self._null)
        if found is None or found >= KNOWN_PERCENTILE:
            return Verdict(None, found)
        return Verdict(
            f"Its meaning changes with the sentence around it, as that of random letters does: "
            f"it holds together better than {int(found)} % of them, and {KNOWN_PERCENTILE:.0f} % "
            "are asked for.",
            found,
        )

    def picture(self, feature_map: Float[Tensor, "1 neuron row column"]) -> Verdict:
        """A picture by the last block's output on its native input."""
        cells = feature_map.flatten(2).transpose(1, 2).float().cpu()
        # The images of the data set were measured in half precision.
        value = float(strangeness(cells.half().float(), self._usual)[0])
        found = standing(value, self._images)
        if found is None or found < STRANGE_PERCENTILE:
            return Verdict(None, found)
        return Verdict(
            f"To this model it looks stranger than {int(found)} % of the images of "
            f"“{self._dataset}”, by which its pairs were measured.",
            found,
        )
