"""Two to four pairs on the same images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.collected import pair_places
from backend.server.comparison import pair_batch
from backend.server.errors import ApiError
from backend.server.pages.base import Page
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services
from backend.server.urls import pairs_text

LETTERS = "ABCD"
"""Names of the pairs on the page: as many as can be compared."""

OWN_WORDS_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One of the pairs."""

    letter: str
    pair: schemas.BatchPair
    images: list[schemas.ComparedImage]
    """Its top images that are no earlier pair's."""
    own_words: list[schemas.Word]
    """The first of its words that no other pair has."""
    without_url: str
    """The page without this pair."""


@dataclass(frozen=True, kw_only=True)
class ComparePage(Page):
    """Pairs on the same images, their directions, top images and words beside each other."""

    template: ClassVar[str] = "compare.html"

    asked: str
    """What stands in the form."""
    compared: list[Compared]
    """The pairs; empty when there is nothing to compare yet."""
    batch: schemas.PairBatch | None
    """The comparison, as its JSON twin gives it; ``None`` when there is none yet."""
    shared_words: list[schemas.ComparedWord]
    """Words that two pairs or more have."""
    problem: str | None
    """Why nothing is compared, in one sentence; ``None`` when nothing was asked or all is well."""
    csv_url: str | None
    """All words as a table."""
    example: str
    """Pairs of the model as the form takes them."""


def compare_page(services: Services, name: str, pairs: str) -> tuple[ComparePage, int]:
    """The page and its status: what cannot be compared is explained on the page itself."""
    services.catalog.open_store(name)
    try:
        places = pair_places(pairs)
        _check(services, name, places)
    except ApiError as error:
        return _page(services, name, pairs, [], error.message), error.status
    return _page(services, name, pairs_text(places), places, None), 200


def _check(services: Services, name: str, places: list[tuple[int, int]]) -> None:
    if len(places) > schemas.MAX_COMPARED:
        raise ApiError(
            422,
            "invalid_pairs",
            f"At most {schemas.MAX_COMPARED} pairs can be compared, not {len(places)}.",
        )
    for neuron, head in places:
        services.catalog.check_pair(name, neuron, head)


def _page(
    services: Services,
    name: str,
    asked: str,
    places: list[tuple[int, int]],
    problem: str | None,
) -> ComparePage:
    urls = services.urls
    opened = services.catalog.open_store(name)
    batch = pair_batch(opened, urls, places) if places else None
    shared = [each for each in batch.words if _holders(each) > 1] if batch else []
    names = " and ".join(f"({n}, {h})" for n, h in places)
    return ComparePage(
        title=f"Compare {names}" if places else f"Compare pairs of {name}",
        description=f"Pairs {names} of {name} on the same images."
        if places
        else f"Two to four pairs of {name} on the same images.",
        json_url=urls.api_batch(name, places) if places else None,
        tiles=tiles_of_pairs(name, batch.pairs) if batch else (),
        view_url=urls.compare(name, places),
        model=services.catalog.summary(name),
        asked=asked,
        compared=_compared(services, batch, places, shared) if batch else [],
        batch=batch,
        shared_words=shared,
        problem=problem,
        csv_url=urls.api_batch_csv(name, places) if places else None,
        example=pairs_text(opened.examples),
    )


def _compared(
    services: Services,
    batch: schemas.PairBatch,
    places: list[tuple[int, int]],
    shared: list[schemas.ComparedWord],
) -> list[Compared]:
    words = {each.word for each in shared}
    return [
        Compared(
            letter=LETTERS[at],
            pair=pair,
            images=[image for image in batch.images if image.top_of == at],
            own_words=[word for word in pair.explanation if word.word not in words][
                :OWN_WORDS_SHOWN
            ],
            without_url=services.urls.compare(batch.model, places[:at] + places[at + 1 :]),
        )
        for at, pair in enumerate(batch.pairs)
    ]


def _holders(word: schemas.ComparedWord) -> int:
    return sum(weight is not None for weight in word.weights)
