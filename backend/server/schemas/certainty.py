"""How sure one can be of what is said of a pair."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.words import DistinctWord


class Interval(Wire):
    low: float
    high: float


class Certainty(Wire):
    """Of a pair's figures, under resampling of the images and beside chance."""

    resamples: int = Field(description="times that the images were drawn anew, with replacement")
    level: float = Field(description="share of the resamples that lie within an interval")
    norm: Interval
    top_retained: float | None = Field(
        description="mean height above the mean of the top images of a resample, over that of the "
        "top images shown; 1 when others would do as well; null for a value that never varies"
    )
    top_retained_interval: Interval | None
    random_percentile: float = Field(
        ge=0,
        le=100,
        description="share of random directions that as many of their best words describe less "
        "well",
    )
    shuffled_percentile: float = Field(
        ge=0,
        le=100,
        description="share of pairs that as many shuffled, meaningless words describe less well",
    )
    held_out_percentile: float | None = Field(
        ge=0, le=100, description="share of the model's pairs with a smaller held-out score"
    )


class BesideNeuron(Wire):
    """A pair's words beside those of its neuron."""

    cosine: float = Field(
        ge=-1, le=1, description="of the pair's direction with the neuron's mean direction"
    )
    share: float = Field(ge=0, le=1, description="the pair's part of the sum of the neuron's norms")
    strength: float = Field(
        ge=0, description="of the split: share * (1 - cosine) * monosemanticity"
    )
    neuron_words_cosine: float = Field(
        ge=-1,
        le=1,
        description="cosine of the pair's direction with the weighted sum of the neuron's words",
    )
    shared_words: list[str] = Field(
        description="words that both explanations point towards, in the pair's order"
    )
    distinct: list[DistinctWord] = Field(
        description="words near the pair that are further from the neuron's mean direction"
    )
    url: str = Field(description="the neuron")
