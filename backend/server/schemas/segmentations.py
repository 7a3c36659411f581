"""Segmentations of uploaded pictures."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.server.schemas.base import Wire

MAX_PROMPTS = 20
"""More are refused: each prompt adds a text embedding and a pair mask to every window."""

MAX_PROMPT_CHARACTERS = 200


class SegmentationClass(Wire):
    prompt: str
    colour: str = Field(description="#rrggbb, the same in mask, legend and heatmap")
    area_share: float = Field(ge=0, le=1, description="share of the mask's pixels")
    heatmap_url: str
    peak: float = Field(description="largest logit")
    known: bool = Field(description="false when the model may not know this text")
    doubt: str | None = Field(description="why it may not, in one sentence")


class Segmentation(Wire):
    id: str
    model: str
    width: int
    height: int
    background: bool
    method: Literal["pairs"]
    classes: list[SegmentationClass]
    background_share: float = Field(ge=0, le=1)
    picture_known: bool = Field(
        description="false when the picture is stranger to the model than 95 % of the data set"
    )
    picture_doubt: str | None = Field(description="why the model may not know it, in one sentence")
    heatmap_scale: float = Field(description="logit at full colour, shared by all heatmaps")
    image_url: str
    mask_url: str
    overlay_url: str
    url: str = Field(description="the lab page that shows it")
    data_version: str
    created: datetime
    expires: datetime | None = Field(description="null once it is shared")
