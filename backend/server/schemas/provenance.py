"""Where a model's numbers come from: everything that its store records of its making."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from backend.server.schemas.base import Wire


class StoredArray(Wire):
    name: str
    dtype: str
    shape: list[int]


class StoredFile(Wire):
    path: str = Field(description="relative to the store")
    size: int = Field(description="bytes")
    sha256: str
    arrays: list[StoredArray] = Field(description="none in a text file")


class ExactnessCheck(BaseModel):
    """One comparison of the store with what it was not made with."""

    model_config = ConfigDict(frozen=True)

    check: str = Field(description="what was compared")
    figure: float | None = Field(description="largest difference found; null where it is no number")
    bound: float = Field(description="the figure must be at most this")
    ok: bool
    over: str = Field(description="on what")


class ExactnessReport(BaseModel):
    """What `pairscope verify` found."""

    model_config = ConfigDict(frozen=True)

    data_version: str
    made: datetime
    ok: bool
    checks: list[ExactnessCheck]
    left_out: list[str] = Field(description="checks that could not be made, each with its reason")


class Provenance(Wire):
    model: str
    url: str
    data_version: str
    architecture: str
    pretrained: str | None = Field(description="open_clip's tag; null for weights from a file")
    quickgelu: bool
    weights_sha256: str
    preprocessing: dict[str, Any] = Field(description="open_clip's settings for pictures")
    dataset: str
    images: int
    unreadable: list[str] = Field(description="images that could not be read, relative to the set")
    dataset_sha256: str = Field(description="of the names and sizes of the set's files")
    words: int
    vocabulary_sha256: str
    templates: list[str]
    parameters: dict[str, Any]
    code_version: str
    format_version: int
    created: datetime
    timings: dict[str, float] = Field(description="seconds by stage")
    files: list[StoredFile]
    size: int = Field(description="bytes of all files")
    exactness: ExactnessReport | None = Field(
        description="the last exactness report that was kept; null where there is none. It may be "
        "of another data version"
    )
