"""Search of pairs by text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backend.server.schemas.base import Wire
from backend.server.schemas.finder import MAX_OFFSET, Percentile, without_blanks
from backend.server.schemas.pairs import PairSummary, Word

MAX_QUERY_CHARACTERS = 200

MAX_RESULTS = 100
"""More search results than this on one page cost more to draw than anyone reads."""

DEFAULT_RESULTS = 20

MAX_SUGGESTIONS = 20

By = Literal["both", "meaning", "words"]

Rank = Literal["cosine", "weighted"]


class SearchQuery(BaseModel):
    """What is searched for, and how."""

    model_config = ConfigDict(frozen=True)

    q: str = Field(
        description="a word or phrase; in quotation marks, an entry of the vocabulary must hold it "
        "as it is; a vocabulary word needs no live model",
        examples=["butterfly"],
        json_schema_extra={"minLength": 1, "maxLength": MAX_QUERY_CHARACTERS},
    )
    by: By = Field(
        default="both",
        description="`meaning`: how similar the text is to what pairs point at; `words`: whether "
        "it is among the first words of their explanations",
    )
    rank: Rank = Field(
        default="cosine",
        description="`weighted`: by cosine (or weight of the word) times norm, so that strong "
        "pairs come first",
    )
    neuron: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this neuron"
    )
    head: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this head"
    )
    percentile_min: Percentile = Field(default=None, description="of the norm")
    limit: int = Field(default=DEFAULT_RESULTS, ge=1, le=MAX_RESULTS, description="of either kind")

    @model_validator(mode="before")
    @classmethod
    def _given(cls, given: Any) -> Any:
        """A blank text stays, to be refused by name; other blanks are fields left empty."""
        kept = without_blanks(given)
        return {**kept, "q": given["q"]} if isinstance(given, dict) and "q" in given else kept

    def asked(self) -> dict[str, Any]:
        """What differs from what goes without saying, for an address."""
        return self.model_dump(exclude_defaults=True)


class SearchResult(PairSummary):
    similarity: float = Field(
        ge=-1, le=1, description="cosine of the centred text with the pair's direction"
    )
    weighted: float = Field(
        description="similarity times norm: how far the pair moves the embedding along the text"
    )
    null_percentile: float = Field(
        ge=0,
        le=100,
        description="share of random vocabulary words that are less similar to this pair; the norm "
        "does not change it",
    )


class WordMatch(PairSummary):
    matched: list[Word] = Field(description="words of its explanation that hold the text")
    weight: float = Field(description="of the matched words; summed over the text's parts")
    weighted: float = Field(description="weight times norm")
    null_percentile: float = Field(
        ge=0,
        le=100,
        description="share of the first words of all pairs' explanations with a smaller |weight|",
    )


class WordMatches(Wire):
    """Pairs in whose explanation the text stands."""

    total: int
    entries: int = Field(description="entries of the vocabulary that hold the text, or a part")
    typical: float = Field(description="pairs that a vocabulary word explains, in the median")
    results: list[WordMatch]


class SearchResults(Wire):
    query: str
    source: Literal["vocabulary", "text tower"] | None = Field(
        description="where the text's embedding came from: stored word or live model; null when "
        "it was not asked for or not to be had"
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
    unavailable: str | None = Field(
        description="why there are no results by meaning, where there should be"
    )
    total: int = Field(description="pairs that were searched")
    results: list[SearchResult] = Field(description="by meaning")
    by_words: WordMatches | None = Field(description="null when not asked for")
    did_you_mean: list[str] = Field(description="words of the vocabulary that are spelt alike")
    next_limit: int | None = Field(
        description="a larger limit that would show more; null at the end"
    )


class Suggestion(Wire):
    word: str
    kind: Literal["begins", "similar"] = Field(
        description="whether the word, or a part of it, begins with the text, or is spelt alike"
    )
    pairs: int = Field(description="pairs that have it among the first words of explanations")


class Suggestions(Wire):
    query: str
    suggestions: list[Suggestion]
