"""The models that are served."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.pairs import PairSummary


class ModelSummary(Wire):
    """One store that the server has open."""

    name: str
    url: str
    architecture: str
    pretrained: str | None
    weights_sha256: str
    dataset: str
    images: int
    neurons: int
    heads: int
    d_out: int
    pairs: int
    vocabulary: int
    atoms: int
    image_size: int
    data_version: str
    live: Literal["ready", "loading", "unavailable"] = Field(
        description="whether the weights are loaded, so that uploads and free text can be answered"
    )
    live_message: str | None = Field(description="why it is not ready, in one sentence")


class Models(Wire):
    models: list[ModelSummary]


class ModelDetail(ModelSummary):
    """The model's page: its provenance and where to start."""

    quickgelu: bool
    templates: list[str]
    created: datetime
    unreadable_images: int
    strongest: list[PairSummary] = Field(description="pairs with the largest norm")
    clearest: list[PairSummary] = Field(
        description="strong pairs with distinct first words whose top images agree most"
    )
    example_words: list[str] = Field(description="vocabulary words worth a first search")
