"""Stored facts of a neuron-head pair."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.certainty import BesideNeuron, Certainty


class Word(Wire):
    word: str
    weight: float = Field(description="signed OMP coefficient of the unit, centred word")


class ExemplarImage(Wire):
    image: int = Field(ge=0, description="number of the image in the data set")
    value: float = Field(description="sign * coefficient of the pair on this image")
    url: str = Field(description="thumbnail")
    heatmap_url: str | None = Field(
        description="where in the image the value comes from; null where none is stored"
    )


class Thumbnail(Wire):
    image: int
    url: str
    heatmap_url: str | None


class PairSummary(Wire):
    """How a pair is recognised everywhere: three top images and its first three words."""

    neuron: int
    head: int
    url: str
    norm: float
    norm_percentile: float = Field(ge=0, le=100)
    words: list[Word] = Field(description="the first three words")
    thumbnails: list[Thumbnail] = Field(description="up to three top images")


class NearPair(PairSummary):
    cosine: float = Field(ge=-1, le=1, description="cosine between the two oriented directions")


class CoactivePair(PairSummary):
    jaccard: float = Field(
        ge=0, le=1, description="top-50 images of both over those of either: Jaccard overlap"
    )


class Histogram(Wire):
    edges: list[float] = Field(description="bin edges of the oriented value, ascending")
    counts: list[int] = Field(description="images per bin; the outermost bins hold the rest")


class CosineStep(Wire):
    words: int
    cosine: float
    random: float = Field(
        description="mean cosine that random directions in the heads' ranges reach with as many"
    )
    shuffled: float = Field(
        description="mean cosine that pairs reach with as many shuffled, meaningless words"
    )


class Pair(Wire):
    model: str
    neuron: int
    head: int
    sign: Literal[-1, 1]
    norm: float = Field(description="mean of |s - mean| * |D| over the 50 most deviating images")
    norm_percentile: float = Field(ge=0, le=100)
    monosemanticity: float | None = Field(
        description="1 - spread of the ten top images' embeddings over that of all, 0 to 1"
    )
    images: int = Field(description="images the statistics are over")
    mean: float = Field(description="mean oriented value")
    deviation: float = Field(description="standard deviation of the value")
    explanation: list[Word] = Field(description="all words in the order OMP chose them")
    cosine: float = Field(ge=-1, le=1, description="cosine reached with all words")
    cosine_by_words: list[CosineStep]
    held_out: float | None = Field(
        ge=-1,
        le=1,
        description="correlation over images of the value with the similarity of the image, less "
        "the pair's own contribution, to the sum of its words; null where undefined",
    )
    histogram: Histogram
    top_images: list[ExemplarImage]
    bottom_images: list[ExemplarImage]
    heatmap_scale: float | None = Field(
        description="the value at full colour; all heatmaps of this pair share it"
    )
    certainty: Certainty
    beside_neuron: BesideNeuron
    siblings: list[PairSummary] = Field(description="other heads of this neuron, strongest first")
    nearest: list[NearPair] = Field(description="pairs with the most similar direction")
    coactive: list[CoactivePair] = Field(description="pairs that share the most top images")
    data_version: str
    url: str
