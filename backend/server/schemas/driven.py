"""Search by a picture: the pairs that it drives."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.server.schemas.base import Wire
from backend.server.schemas.finder import MAX_OFFSET, Percentile, without_blanks
from backend.server.schemas.images import UploadedImage
from backend.server.schemas.pairs import PairSummary
from backend.server.schemas.search import MAX_RESULTS

DRIVEN_ROWS = 24


class DrivenQuery(BaseModel):
    """Which pairs of those that a picture drives."""

    model_config = ConfigDict(frozen=True)

    rank: Literal["standing", "movement"] = Field(
        default="standing",
        description="`standing`: by how far the value lies above its mean over the data set, in "
        "standard deviations; `movement`: by how far it moves the embedding from there",
    )
    neuron: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this neuron"
    )
    head: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this head"
    )
    percentile_min: Percentile = Field(default=None, description="of the norm")
    limit: int = Field(default=DRIVEN_ROWS, ge=1, le=MAX_RESULTS)

    _given = model_validator(mode="before")(without_blanks)

    def asked(self) -> dict[str, Any]:
        """What differs from what goes without saying, for an address."""
        return self.model_dump(exclude_defaults=True)


class DrivenPair(PairSummary):
    value: float = Field(description="sign * coefficient of the pair on this picture")
    standing: float = Field(
        description="(value - mean) / deviation, both of the data set; zero where it never varies"
    )
    percentile: float | None = Field(
        ge=0, le=100, description="share of the data set's images with a lower value"
    )
    movement: float = Field(
        description="(value - mean) times the length of the write vector: how far the picture "
        "moves the embedding along the pair's direction"
    )


class DrivenPairs(Wire):
    picture: UploadedImage
    total: int = Field(description="pairs that were searched")
    results: list[DrivenPair]
    next_limit: int | None = Field(
        description="a larger limit that would show more; null at the end"
    )
