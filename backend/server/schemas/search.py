"""Search of pairs by text."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.pairs import PairSummary

MAX_QUERY_CHARACTERS = 200

MAX_RESULTS = 100
"""More search results than this on one page cost more to draw than anyone reads."""


class SearchResult(PairSummary):
    similarity: float = Field(
        ge=-1, le=1, description="cosine of the centred text with the pair's direction"
    )
    null_percentile: float = Field(
        ge=0,
        le=100,
        description="share of random vocabulary words that are less similar to this pair",
    )


class SearchResults(Wire):
    query: str
    source: Literal["vocabulary", "text tower"] = Field(
        description="where the text's embedding came from: stored word or live model"
    )
    may_not_know: bool = Field(
        description="true when a token was never trained on, or `standing` is below 95"
    )
    doubt: str | None = Field(description="why the model may not know the text, in one sentence")
    standing: float | None = Field(
        ge=0,
        le=100,
        description="percentile among meaningless texts of how far the text's embeddings in all "
        "templates agree; null where the weights tell which tokens were trained on",
    )
    total: int = Field(description="pairs that were searched")
    results: list[SearchResult]
    next_limit: int | None = Field(
        description="a larger limit that would show more; null at the end"
    )
