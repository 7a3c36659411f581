"""What would be if pairs, neurons or heads were switched off or scaled."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.images import ResultRequest
from backend.server.schemas.options import Method, SegmentationSettings, Texts
from backend.server.schemas.results import Result
from backend.server.schemas.segmentations import MAX_PROMPTS, MethodResult

MAX_PARTS = 1000
"""Of a model, in one request: as many names as fit into the largest JSON body."""

MAX_FACTOR = 10.0

Fill = Literal["zero", "mean"]


class AblationRequest(ResultRequest):
    """A picture, and what of the model is changed.

    A part is a pair (`3.4`, NEURON.HEAD), a neuron (`neuron:3`) or a head (`head:4`).
    """

    prompts: Texts = Field(
        default=[],
        description=f"1 to {MAX_PROMPTS} texts to be ranked and looked for; a segmentation's by "
        "default",
    )
    method: Method | None = Field(
        default=None,
        description="of the masks; one that chooses pairs: pairs (default), heads or neurons",
    )
    off: Texts = Field(default=[], description="parts to switch off", examples=[["3.4", "head:2"]])
    keep: Texts = Field(default=[], description="if any, everything but these is switched off")
    scale: Texts = Field(
        default=[],
        description=f"PART=FACTOR, 0 to {MAX_FACTOR:g}; a pair in several parts takes the product",
        examples=[["neuron:3=0.5"]],
    )
    fill: Fill = Field(
        default="zero",
        description="what a pair that is off holds: nothing, or its mean over the data set",
    )


class Standing(Wire):
    """A prompt's place among all of them, zero-shot."""

    score: float = Field(description="cosine of picture and text")
    rank: int = Field(ge=1, description="1 is the largest score")
    probability: float = Field(ge=0, le=1, description="softmax at the model's own scale")


class RankedPrompt(Wire):
    prompt: str
    colour: str = Field(description="#rrggbb, the same in mask, legend and heatmap")
    known: bool = Field(description="false when the model may not know this text")
    doubt: str | None = Field(description="why it may not, in one sentence")
    before: Standing
    after: Standing


class Ablation(Result):
    """Attention is held fixed: this is what the picture's embedding would be without these
    contributions, and not what another network would have computed."""

    segmentation: str | None
    off: list[str]
    keep: list[str]
    scale: list[str]
    fill: Fill
    pairs_changed: int = Field(description="pairs whose factor is not 1")
    prompts: list[RankedPrompt]
    norm_before: float = Field(description="length of the picture's embedding")
    norm_after: float
    similarity: float = Field(description="cosine of the embeddings before and after")
    settings: SegmentationSettings
    method: Method
    rows: int = Field(description="cells of the grid that the logits lie on")
    columns: int
    before: MethodResult
    after: MethodResult = Field(description="without the pairs that are off in the classes' sums")
    changed_share: float = Field(ge=0, le=1, description="share of the mask's pixels that changed")
