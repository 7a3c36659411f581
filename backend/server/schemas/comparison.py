"""Several pairs at once: looked up together, and held against each other."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.collections import MAX_COLLECTED
from backend.server.schemas.pairs import ExemplarImage, PairSummary, Word

MAX_COMPARED = 4
"""Pairs that are compared image by image and word by word: more do not fit side by side."""

MAX_BATCH = MAX_COLLECTED
"""Pairs of one look-up: as many as a collection holds.  Their JSON has some 400 KB."""


class PairPlace(Wire):
    neuron: int
    head: int


class PairBatchRequest(Wire):
    pairs: list[PairPlace] = Field(
        min_length=1,
        max_length=MAX_BATCH,
        description="each is answered once, in the order of its first mention",
        examples=[[{"neuron": 3, "head": 1}, {"neuron": 7, "head": 4}]],
    )


class BatchPair(PairSummary):
    """One of several pairs."""

    sign: int
    monosemanticity: float | None
    held_out: float | None
    cosine: float = Field(ge=-1, le=1, description="cosine reached with all words")
    explanation: list[Word] = Field(description="all words in the order OMP chose them")
    top_images: list[ExemplarImage]


class ComparedValue(Wire):
    """The value of one pair on one image."""

    value: float | None = Field(
        description="null where the image is among neither the highest nor the lowest that are kept"
    )
    low: float = Field(description="the value, or the largest of the pair's lowest values kept")
    high: float = Field(description="the value, or the smallest of the pair's highest values kept")
    heatmap_url: str | None = Field(
        description="where in the image the value comes from; null where none is stored"
    )


class ComparedImage(Wire):
    image: int
    url: str
    top_of: int = Field(description="place in `pairs` of the first pair that has it at the top")
    values: list[ComparedValue] = Field(description="of each pair, in the order of `pairs`")


class ComparedWord(Wire):
    word: str
    weights: list[float | None] = Field(description="in each explanation; null where it is absent")


class PairBatch(Wire):
    model: str
    pairs: list[BatchPair]
    cosines: list[list[float]] = Field(description="between the pairs' directions")
    overlaps: list[list[float]] = Field(
        description="top-50 images of both pairs over those of either: Jaccard"
    )
    images: list[ComparedImage] = Field(
        description=f"all top images of the pairs, of up to {MAX_COMPARED} pairs; else empty"
    )
    words: list[ComparedWord] = Field(
        description=f"all words of the explanations, of up to {MAX_COMPARED} pairs; else empty. "
        "Those that more pairs share come first, then the largest sum of |weight|"
    )
    data_version: str
    url: str | None = Field(
        description=f"the page that compares them; null for more than {MAX_COMPARED} pairs"
    )
