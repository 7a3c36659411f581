"""Why a picture has its score with a text, and why a cell of it has its class."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from backend.server.schemas.base import Wire
from backend.server.schemas.images import ResultRequest
from backend.server.schemas.options import Method, Texts
from backend.server.schemas.pairs import PairSummary
from backend.server.schemas.results import Result

MAX_PARTS_TOLD = 100
"""Pairs and neurons of an answer: each is shown with its words and three images."""

PARTS_TOLD = 20

MAX_MAPS = 12
"""Pairs whose own maps an answer holds: a heatmap of 20 KB each."""


def _cell(value: Any) -> Any:
    """``3,4`` of a form is row 3, column 4."""
    return value.split(",") if isinstance(value, str) else value


Cell = Annotated[tuple[int, int], BeforeValidator(_cell)]


class AttributionRequest(ResultRequest):
    """A picture and a text whose score is to be explained, a cell to be explained, or both.

    The options, ``prompts`` and ``method`` concern the cell alone.
    """

    text: str | None = Field(
        default=None, description="may be left out with a cell: the prompt that is strongest there"
    )
    against: str | None = Field(
        default=None,
        description="what is subtracted; by default, with a cell and no text, the second strongest",
    )
    top: int = Field(
        default=PARTS_TOLD, ge=1, le=MAX_PARTS_TOLD, description="pairs and neurons to name"
    )
    cell: Cell | None = Field(
        default=None,
        description="row and column on the cell grid of a segmentation; `row,column` in a form",
        examples=[[3, 4]],
    )
    token: Cell | None = Field(
        default=None,
        description="row and column on the grid of `tokens`, whose part of the score is wanted by "
        "pairs; `row,column` in a form",
        examples=[[2, 2]],
    )
    prompts: Texts = Field(default=[], description="what the cell is decided among")
    method: Method = "pairs"
    pairs: Texts = Field(
        default=[],
        description=f"up to {MAX_MAPS} pairs, NEURON.HEAD each, whose own maps are wanted",
        examples=[["3.4"]],
    )


class PairPart(PairSummary):
    """A pair and what it adds."""

    contribution: float
    value: float = Field(description="its oriented coefficient in this picture")


class NeuronPart(Wire):
    neuron: int
    url: str
    contribution: float = Field(description="of all its pairs")


class HeadPart(Wire):
    head: int
    contribution: float = Field(description="of all its pairs")


class Remainder(Wire):
    """All pairs that are not named."""

    contribution: float
    pairs: int = Field(description="how many they are")


class Region(Wire):
    """What of the picture the model sees in one piece, as shares of its width and height."""

    left: float
    top: float
    width: float
    height: float


class TokenParts(Wire):
    """The score over places: the sum of ``cells``, ``position`` and ``constant`` is the score."""

    rows: int
    columns: int
    cells: list[list[float]] = Field(description="[row][column], over the region")
    position: float = Field(description="what positions add, whatever the picture shows")
    constant: float
    scale: float = Field(description="value at full colour of the heatmap")
    heatmap_url: str
    region: Region


class TokenPart(Wire):
    """One of the ``tokens.cells`` over pairs: ``pairs`` and ``remainder`` sum to it."""

    row: int
    column: int
    contribution: float
    pairs: list[PairPart]
    remainder: Remainder


class CellDecision(Wire):
    """Why a cell has its logit: the contributions of ``pairs``, ``remainder`` and ``constant`` sum
    to ``difference``."""

    row: int
    column: int
    rows: int
    columns: int
    method: Method
    text: str
    against: str | None
    logit: float = Field(description="of the text, before the background's is subtracted")
    against_logit: float | None
    background_logit: float | None = Field(description="what a prompt must beat here")
    difference: float = Field(description="of the two logits; the logit where there is one alone")
    constant: float
    pairs: list[PairPart]
    remainder: Remainder


class PairHeatmap(Wire):
    """Where in the picture one pair's value comes from: ``cells`` and ``position`` sum to it."""

    neuron: int
    head: int
    url: str
    value: float = Field(description="its oriented coefficient in this picture")
    percentile: float | None = Field(description="of the value among the images of the data set")
    position: float
    cells: list[list[float]] = Field(description="[row][column], over the region")
    scale: float = Field(description="value at full colour of the heatmap")
    heatmap_url: str


class Attribution(Result):
    """The contributions of ``pairs``, ``remainder`` and ``constant`` sum to ``score``; so do those
    of all ``heads`` and ``constant``.  Attention is held fixed."""

    segmentation: str | None
    text: str
    against: str | None
    known: bool = Field(description="false when the model may not know the text")
    doubt: str | None = Field(description="why it may not, in one sentence")
    score: float = Field(description="cosine of picture and text, or the difference of two")
    text_score: float
    against_score: float | None
    norm: float = Field(description="length of the picture's embedding, the divisor of all parts")
    constant: float = Field(description="what the biases add")
    positive: float = Field(description="sum of all pairs' positive contributions")
    negative: float = Field(description="sum of their negative ones")
    pairs: list[PairPart] = Field(description="the largest contributions of either sign first")
    remainder: Remainder
    heads: list[HeadPart] = Field(description="all of them, in their own order")
    neurons: list[NeuronPart] = Field(description="the largest contributions first")
    tokens: TokenParts
    token: TokenPart | None
    cell: CellDecision | None
    maps: list[PairHeatmap]
