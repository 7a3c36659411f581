"""Texts as a method reads them, with the pairs that speak for each.

Which pairs these are depends on no picture: they are chosen once for a text, and serve further
pictures, the methods and modes side by side, and edits of the other prompts.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip.encoded import fingerprint_text
from backend.clip.options import CHOOSING, Orientation, SegmentationSettings
from backend.pairs.factors import Factors, write_norms
from backend.pairs.segmentation import ChosenPairs, choose_pairs
from backend.pairs.similarity import FoldedTexts, fold_texts, folded_products, orientation_scale

TEXTS_KEPT = 256
"""Texts whose pairs are remembered: 0.16 MB each for RN50x16, 0.07 MB for RN50."""


@dataclass(frozen=True)
class Spoken:
    """Texts as heads can say them, and the pairs that speak for each."""

    texts: FoldedTexts
    chosen: ChosenPairs

    @classmethod
    def together(cls, parts: Sequence[Spoken]) -> Spoken:
        """Texts of several, one after the other; their pairs were chosen alike, without gains."""
        if len(parts) == 1:
            return parts[0]
        folded = FoldedTexts(
            torch.cat([part.texts.by_head for part in parts], dim=1),
            torch.cat([part.texts.on_bias for part in parts]),
        )
        among = torch.cat([part.chosen.among for part in parts], dim=1)
        return cls(folded, ChosenPairs(among, None, parts[0].chosen.count))

    def of(self, texts: slice) -> Spoken:
        """Some of the texts."""
        return Spoken(self.texts.of(texts), self.chosen.of(texts))

    def clone(self) -> Spoken:
        """The same in memory of its own."""
        folded = FoldedTexts(self.texts.by_head.clone(), self.texts.on_bias.clone())
        chosen = self.chosen
        return Spoken(folded, ChosenPairs(chosen.among.clone(), chosen.gain, chosen.count))


@dataclass(frozen=True)
class Asked:
    """Centred texts, and what methods that choose pairs read of them; None for the others."""

    texts: Float[Tensor, "text d_out"]
    pairs: Spoken | None

    def of(self, texts: slice) -> Asked:
        """Some of the texts."""
        return Asked(self.texts[texts], self.pairs and self.pairs.of(texts))

    def scaled(self, gain: Float[Tensor, "head neuron"]) -> Asked:
        """The same with a factor on what every pair says."""
        if self.pairs is None:
            return self
        chosen = self.pairs.chosen.scaled(gain.to(self.texts.device))
        return Asked(self.texts, Spoken(self.pairs.texts, chosen))


class Chooser:
    """Chooses the pairs of centred texts, and remembers those of the latest.

    Args:
        sign: orientation of every pair, as in the store.
    """

    def __init__(self, factors: Factors, sign: Float[Tensor, "head neuron"]) -> None:
        self._factors = factors
        norms = write_norms(factors)
        sign = sign.to(norms.device, norms.dtype)
        self._scales: dict[Orientation, Tensor] = {
            "sign": orientation_scale(sign, norms),
            "write": orientation_scale(torch.ones_like(sign), norms),
        }
        self._known: OrderedDict[tuple[Orientation, float, bytes], Spoken] = OrderedDict()

    def ask(self, texts: Float[Tensor, "text d_out"], settings: SegmentationSettings) -> Asked:
        """Texts with their pairs, where the method chooses any."""
        if settings.method not in CHOOSING:
            return Asked(texts, None)
        own = (settings.orientation, settings.share)
        keys = [(*own, fingerprint_text(text)) for text in texts]
        new = [place for place, key in enumerate(keys) if key not in self._known]
        found = {key: self._known[key] for key in keys if key in self._known}
        if new:
            spoken = self.choose(texts[new], settings)
            for place, key in enumerate(keys[place] for place in new):
                found[key] = spoken.of(slice(place, place + 1)).clone()
        for key in keys:
            self._known[key] = found[key]
            self._known.move_to_end(key)
        while len(self._known) > TEXTS_KEPT:
            self._known.popitem(last=False)
        return Asked(texts, Spoken.together([found[key] for key in keys]))

    def choose(self, texts: Float[Tensor, "text d_out"], settings: SegmentationSettings) -> Spoken:
        """The pairs of texts, chosen now, and not remembered."""
        folded = fold_texts(texts, self._factors)
        similarity = folded_products(folded, self._factors)
        similarity *= self._scales[settings.orientation][:, None]
        return Spoken(folded, choose_pairs(similarity, share=settings.share))
