"""Segmentations of uploaded pictures."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.images import PictureRequest
from backend.server.schemas.options import (
    Method,
    Methods,
    SegmentationOptions,
    SegmentationSettings,
    Texts,
)
from backend.server.schemas.results import Result

MAX_PROMPTS = 20
"""More are refused: each prompt adds a text embedding and a pair mask to every window."""

MAX_PROMPT_CHARACTERS = 200

MAX_LOGITS = 20_000
"""Numbers that an answer holds: 150 KB of text.  The heatmaps show the same."""


class SegmentationRequest(PictureRequest, SegmentationOptions):
    """A picture and what to look for in it."""

    prompts: Texts = Field(
        default=[],
        description=f"1 to {MAX_PROMPTS} texts; one may list synonyms: `car, automobile`",
        examples=[["cat", "grass"]],
    )
    method: Methods = Field(default=["pairs"], description="one or more, answered side by side")


class SegmentationClass(Wire):
    prompt: str
    colour: str = Field(description="#rrggbb, the same in mask, legend and heatmap")
    area_share: float = Field(ge=0, le=1, description="share of the mask's pixels")
    heatmap_url: str
    peak: float = Field(description="largest logit")
    known: bool = Field(description="false when the model may not know this text")
    doubt: str | None = Field(description="why it may not, in one sentence")
    logits: list[list[float]] | None = Field(
        description="on the cell grid, [row][column]; null when an answer would hold too many"
    )


class MethodResult(Wire):
    """What one method makes of the picture."""

    method: Method
    classes: list[SegmentationClass]
    background_share: float = Field(ge=0, le=1)
    heatmap_scale: float = Field(
        description="logit at full colour, shared by all heatmaps: the largest of any prompt"
    )
    mask_url: str
    overlay_url: str


class Segmentation(Result):
    """The fields ``method``, ``classes``, ``background_share``, ``heatmap_scale``, ``mask_url`` and
    ``overlay_url`` are those of the first of ``results``."""

    width: int
    height: int
    rows: int = Field(description="cells of the grid that the logits lie on")
    columns: int
    background: bool = Field(description="whether a pixel may belong to none of the prompts")
    settings: SegmentationSettings
    method: Method
    classes: list[SegmentationClass]
    background_share: float = Field(ge=0, le=1)
    results: list[MethodResult]
    picture_known: bool = Field(
        description="false when the picture is stranger to the model than 95 % of the data set"
    )
    picture_doubt: str | None = Field(description="why the model may not know it, in one sentence")
    heatmap_scale: float = Field(
        description="logit at full colour, shared by all heatmaps: the largest of any prompt"
    )
    mask_url: str
    overlay_url: str
