"""What may be asked of a segmentation, and how it is decided what belongs to nothing."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, get_args

from backend.pairs.segmentation import PAPER_SHARE, Method, Mode

Orientation = Literal["sign", "write"]
Centring = Literal["vocabulary", "classes", "background"]
Background = Literal["words", "prompts", "probability", "none"]

BACKGROUND_QUANTILE = 0.95
"""Share of the random words that a prompt's logit must exceed at a pixel."""

LEAST_PROBABILITY = 0.5
"""Of a softmax over the prompts, for a pixel to belong to one of them."""

CHOOSING = frozenset({"pairs", "heads", "neurons"})
"""Methods that choose pairs for each text."""


@dataclass(frozen=True)
class SegmentationSettings:
    """How prompts are answered.

    Attributes:
        method, mode: see :mod:`backend.pairs.segmentation`; the mode concerns pairs and heads.
        orientation: whether a pair speaks for what its oriented direction is similar to (``sign``),
            or for what it writes when its neuron is active (``write``), as it does here always.
        share: share of the model's pairs that speak for a class.
        centring: what is subtracted from every text: the mean of the vocabulary, of the classes
            with the background prompts, or of the background prompts alone.
        background: what a pixel must beat to belong to a prompt: most random ``words`` of the
            vocabulary, every one of the background ``prompts``, a ``probability``, or ``none``.
        background_prompts: texts for what is not asked for.
        threshold: for ``words`` the share of them, for ``probability`` the least softmax over the
            prompts; by default 0.95 and 0.5.
    """

    method: Method = "pairs"
    mode: Mode = "clean"
    orientation: Orientation = "sign"
    share: float = PAPER_SHARE
    centring: Centring = "vocabulary"
    background: Background = "words"
    background_prompts: tuple[str, ...] = ()
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be meant.

        Raises:
            ValueError: with one sentence that says what is allowed.
        """
        for name, choices in (
            ("method", Method),
            ("mode", Mode),
            ("orientation", Orientation),
            ("centring", Centring),
            ("background", Background),
        ):
            if getattr(self, name) not in get_args(choices):
                raise ValueError(
                    f"{name} is one of {', '.join(get_args(choices))}, not {getattr(self, name)!r}"
                )
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, got {self.share}")
        if self.threshold is not None and not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be between 0 and 1, got {self.threshold}")
        needs = self.centring == "background" or self.background == "prompts"
        if needs and not self.background_prompts:
            raise ValueError("a background of prompts, or centring on it, needs background prompts")

    @property
    def reading(self) -> Hashable:
        """All of it that the logits of a centred text depend on."""
        if self.method not in CHOOSING:
            return self.method
        mode = None if self.method == "neurons" else self.mode
        return self.method, mode, self.orientation, self.share

    @property
    def quantile(self) -> float:
        """Share of the random words that a prompt's logit must exceed."""
        return BACKGROUND_QUANTILE if self.threshold is None else self.threshold

    @property
    def certainty(self) -> dict[str, float]:
        """What the largest logit of a pixel must reach; see :func:`masks.label_pixels`."""
        if self.background in ("words", "prompts"):
            return {"floor": 0.0}
        if self.background == "probability":
            least = LEAST_PROBABILITY if self.threshold is None else self.threshold
            return {"least_probability": least}
        return {}


DEFAULT = SegmentationSettings()
