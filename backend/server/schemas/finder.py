"""The table of all pairs: what is asked of it, and what it answers."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from backend.server.schemas.base import Wire
from backend.server.schemas.pairs import PairSummary

MAX_ROWS = 100
"""More rows than this on one page cost more to draw than anyone reads."""

DEFAULT_ROWS = 25

MAX_OFFSET = 10_000_000
"""Beyond the pairs of any model."""

MAX_WORDS_CHARACTERS = 200
MAX_WORDS = 5
"""Each is looked for in the whole vocabulary: a few milliseconds for 30,000 words."""

MAX_CORNERS = 40
"""Of a region: each costs a pass over the pairs in its bounds, about 1 ms for 147,456."""

MAX_REGION_CHARACTERS = MAX_CORNERS * 2 * 12

SortColumn = Literal["norm", "monosemanticity", "cosine", "held_out", "neuron", "head"]

Order = Literal["asc", "desc"]


def _corners(text: str | None) -> str | None:
    if text is not None:
        corners_of(text)
    return text


Region = Annotated[
    str | None,
    Field(
        max_length=MAX_REGION_CHARACTERS,
        description="corners of a polygon on the map that the pairs lie in, "
        f"`x,y,x,y,…`: 3 to {MAX_CORNERS}, each number from -1 to 1",
        examples=["-0.5,-0.5,0.5,-0.5,0,0.5"],
    ),
    AfterValidator(_corners),
]


def without_blanks(given: Any) -> Any:
    """A form's fields without those left empty: all of its fields are sent."""
    if not isinstance(given, dict):
        return given
    return {
        name: value
        for name, value in given.items()
        if not (isinstance(value, str) and value.strip() == "")
    }


def _words(text: str | None) -> str | None:
    if text is not None and len(words_in(text)) > MAX_WORDS:
        raise ValueError(f"at most {MAX_WORDS} words, separated by commas")
    return text


def corners_of(region: str) -> list[tuple[float, float]]:
    """The corners that ``x,y,x,y,…`` names, each number in [-1, 1]."""
    try:
        numbers = [float(part) for part in region.split(",")]
    except ValueError:
        raise ValueError("must be numbers, separated by commas") from None
    if len(numbers) % 2 or not 3 <= len(numbers) // 2 <= MAX_CORNERS:
        raise ValueError(f"must be x and y of 3 to {MAX_CORNERS} corners")
    if not all(-1 <= number <= 1 for number in numbers):
        raise ValueError("numbers must be from -1 to 1")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def words_in(text: str) -> list[str]:
    """The words that commas separate, without blanks."""
    return [word for part in text.split(",") if (word := " ".join(part.split()))]


Share = Annotated[float | None, Field(ge=0, le=1, allow_inf_nan=False)]
Cosine = Annotated[float | None, Field(ge=-1, le=1, allow_inf_nan=False)]
Percentile = Annotated[float | None, Field(ge=0, le=100, allow_inf_nan=False)]
Length = Annotated[float | None, Field(ge=0, allow_inf_nan=False)]


class FinderQuery(BaseModel):
    """Which pairs, in which order: the query string of the table, as page and as JSON."""

    model_config = ConfigDict(frozen=True)

    words: Annotated[
        str | None,
        Field(
            max_length=MAX_WORDS_CHARACTERS,
            description=f"up to {MAX_WORDS} words, separated by commas, each of which must be "
            "among the first of a pair's explanation, by itself or within a longer entry of the "
            "vocabulary",
            examples=["red, hat"],
        ),
        AfterValidator(_words),
    ] = None
    neuron: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this neuron"
    )
    head: int | None = Field(
        default=None, ge=0, le=MAX_OFFSET, description="only pairs of this head"
    )
    norm_min: Length = None
    norm_max: Length = None
    percentile_min: Percentile = Field(default=None, description="of the norm")
    percentile_max: Percentile = Field(default=None, description="of the norm")
    monosemanticity_min: Share = None
    monosemanticity_max: Share = None
    cosine_min: Cosine = Field(
        default=None, description="reached with all words of the explanation"
    )
    cosine_max: Cosine = Field(
        default=None, description="reached with all words of the explanation"
    )
    held_out_min: Cosine = None
    held_out_max: Cosine = None
    region: Region = None
    sort: SortColumn = Field(
        default="norm", description="undefined figures come last in either order"
    )
    order: Order = "desc"
    limit: int = Field(default=DEFAULT_ROWS, ge=1, le=MAX_ROWS)
    offset: int = Field(default=0, ge=0, le=MAX_OFFSET, description="pairs to pass over")

    _given = model_validator(mode="before")(without_blanks)

    def asked(self) -> dict[str, Any]:
        """What differs from what goes without saying, for an address."""
        return self.model_dump(exclude_defaults=True)


class FoundPair(PairSummary):
    """A row of the table."""

    monosemanticity: float | None
    cosine: float = Field(ge=-1, le=1, description="reached with all words")
    held_out: float | None = Field(ge=-1, le=1)


class FoundPairs(Wire):
    total: int = Field(description="pairs of the model")
    matching: int = Field(description="pairs that fulfil all conditions")
    offset: int
    limit: int
    sort: SortColumn
    order: Order
    results: list[FoundPair]
    unknown_words: list[str] = Field(description="asked for, but in no entry of the vocabulary")
    previous_url: str | None = Field(description="the pairs before these; null at the start")
    next_url: str | None = Field(description="the pairs after these; null at the end")
    csv_url: str = Field(description="all that match, with the same conditions and order")
    data_version: str
