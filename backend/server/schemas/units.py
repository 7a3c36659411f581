"""Neurons and heads as units."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.pairs import PairSummary, Thumbnail, Word
from backend.server.schemas.words import DistinctWord, NearWord

MAX_SPLITS = 100
"""More splits than this on one page cost more to draw than anyone reads."""

DEFAULT_SPLITS = 24


class UnitImage(Wire):
    image: int = Field(ge=0, description="number of the image in the data set")
    value: float = Field(description="part of the unit's contribution along its direction")
    url: str = Field(description="thumbnail")


class WordsReached(Wire):
    words: int
    cosine: float = Field(ge=-1, le=1)


class Unit(Wire):
    """What neurons and heads have in common."""

    model: str
    images: int = Field(description="images of the data set that it was measured on")
    norm: float = Field(
        description="mean length of the centred contribution over the 50 images with the longest"
    )
    norm_percentile: float = Field(ge=0, le=100, description="among units of the same kind")
    mean: float = Field(description="mean value")
    monosemanticity: float | None = Field(
        description="1 - spread of the ten top images' embeddings over that of all, 0 to 1"
    )
    variance_shares: list[float] = Field(
        description="share of the four principal components in the 50 longest contributions, "
        "largest first"
    )
    explanation: list[Word] = Field(
        description="words of the first component, in the order OMP chose them"
    )
    cosine: float = Field(ge=-1, le=1, description="cosine reached with all words")
    cosine_by_words: list[WordsReached]
    top_images: list[UnitImage]
    bottom_images: list[UnitImage]
    data_version: str
    url: str


class Subconcept(Wire):
    """Pairs of a neuron that point the same way and share top images."""

    heads: list[int] = Field(description="its pairs' heads, strongest first")
    share: float = Field(ge=0, le=1, description="its pairs' part of the sum of the neuron's norms")
    cosine: float = Field(
        ge=-1, le=1, description="cosine of its mean direction with that of the neuron"
    )
    distinct: list[DistinctWord] = Field(
        description="words near its mean direction that are further from the neuron's"
    )
    nearest: list[NearWord] = Field(description="words nearest to its mean direction")
    thumbnails: list[Thumbnail] = Field(
        description="images that stand highest among its pairs' top images"
    )


class NeuronHead(PairSummary):
    """What one head makes of a neuron."""

    share: float = Field(ge=0, le=1, description="the pair's part of the sum of the neuron's norms")
    cosine: float = Field(
        ge=-1, le=1, description="cosine of its direction with the neuron's mean direction"
    )
    monosemanticity: float | None
    held_out: float | None
    strength: float = Field(
        ge=0, description="of the split: share * (1 - cosine) * monosemanticity"
    )
    subconcept: int | None = Field(description="place in `subconcepts`; null for a silent pair")


class Neuron(Unit):
    neuron: int
    held_out: float | None = Field(
        ge=-1, le=1, description="as of a pair; null where it is undefined"
    )
    mean_cosine: float = Field(
        ge=-1,
        le=1,
        description="cosine of the first component with the norm-weighted mean of the pairs' "
        "directions",
    )
    subconcepts: list[Subconcept] = Field(description="the largest share first")
    heads: list[NeuronHead] = Field(description="every head, the largest share first")


class HeadWord(Wire):
    """A word of the pairs of one head."""

    word: str
    pairs: int = Field(description="pairs of the head that point towards it in their first words")
    share: float = Field(ge=0, le=1, description="of the head's pairs")
    elsewhere: float = Field(ge=0, le=1, description="share of the other heads' pairs that do")
    z: float = Field(description="of the difference between both shares, in standard errors")


class Head(Unit):
    head: int
    norm_share: float = Field(
        ge=0, le=1, description="its pairs' part of the sum of the norms of all pairs"
    )
    strongest: list[PairSummary] = Field(description="its pairs with the largest norm")
    clearest: list[PairSummary] = Field(
        description="of the tenth of its pairs with the largest norms, the most monosemantic"
    )
    common_words: list[HeadWord] = Field(description="words that the most of its pairs share")
    own_words: list[HeadWord] = Field(
        description="words that stand out from other heads: the largest z"
    )


class Split(PairSummary):
    """A pair that parts from its neuron."""

    share: float = Field(ge=0, le=1, description="the pair's part of the sum of the neuron's norms")
    cosine: float = Field(
        ge=-1, le=1, description="cosine of its direction with the neuron's mean direction"
    )
    monosemanticity: float = Field(ge=0, le=1)
    strength: float = Field(gt=0, description="share * (1 - cosine) * monosemanticity")
    distinct: list[DistinctWord] = Field(
        description="words near its direction that are further from its neuron's mean direction"
    )
    neuron_words: list[NearWord] = Field(description="words nearest to the neuron's mean direction")
    neuron_thumbnails: list[Thumbnail] = Field(description="top images of the neuron as a unit")
    neuron_url: str


class Splits(Wire):
    """The strongest splits of a model, strongest first."""

    model: str
    total: int = Field(description="splits of the gallery, which has the strongest alone")
    offset: int
    limit: int
    splits: list[Split]
    previous_url: str | None = Field(description="the splits before these; null at the start")
    next_url: str | None = Field(description="the splits after these; null at the end")
    data_version: str
