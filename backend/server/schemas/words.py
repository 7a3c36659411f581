"""Single words that lie near a direction."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire


class NearWord(Wire):
    word: str
    similarity: float = Field(ge=-1, le=1, description="cosine with the direction")


class DistinctWord(NearWord):
    """A word that is nearer to one direction than to another."""

    gain: float = Field(ge=0, le=2, description="that cosine less the cosine with the other")
