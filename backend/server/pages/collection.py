"""A collection: a list of pairs that somebody made, held by its address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.collected import Wanted, collection
from backend.server.pages.base import Page
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services
from backend.server.urls import pairs_text


@dataclass(frozen=True, kw_only=True)
class CollectionPage(Page):
    """Pairs with a title and notes, and the form that changes them."""

    template: ClassVar[str] = "collection.html"

    collection: schemas.Collection
    """The list, as its JSON twin gives it."""
    file_url: str
    """The list as a file that can be read in again."""
    table_url: str
    """The list as a table for spreadsheets."""
    compare_url: str | None
    """The pairs on the same images, where there are as few as can be compared."""
    most_pairs: int
    """More are refused."""
    most_title: int
    """Characters of the title."""
    most_about: int
    """Characters of what is written of the whole."""
    most_note: int
    """Characters of a note."""
    example: str
    """A pair of the model as addresses name it."""


def collection_page(services: Services, name: str, wanted: Wanted) -> CollectionPage:
    urls = services.urls
    told = collection(services.catalog, urls, name, wanted)
    detail = services.catalog.summary(name)
    query = told.url.partition("?")[2]
    number = len(told.entries)
    return CollectionPage(
        title=told.title or (f"{number} pairs of {name}" if number else f"Collection of {name}"),
        description=told.about or f"A list of neuron-head pairs of {name}.",
        json_url=_with(urls.api_collection(name), query),
        tiles=tiles_of_pairs(detail.name, told.entries),
        view_url=told.url,
        model=detail,
        collection=told,
        file_url=_with(urls.api_collection(name, "json"), query),
        table_url=_with(urls.api_collection(name, "csv"), query),
        compare_url=_comparison(services, told),
        most_pairs=schemas.MAX_COLLECTED,
        most_title=schemas.MAX_TITLE_CHARACTERS,
        most_about=schemas.MAX_NOTE_CHARACTERS,
        most_note=schemas.MAX_ENTRY_NOTE_CHARACTERS,
        example=pairs_text(services.catalog.open_store(name).examples[:1]),
    )


def _comparison(services: Services, told: schemas.Collection) -> str | None:
    places = [(entry.neuron, entry.head) for entry in told.entries]
    if not 2 <= len(places) <= schemas.MAX_COMPARED:
        return None
    return services.urls.compare(told.model, places)


def _with(address: str, query: str) -> str:
    return f"{address}?{query}" if query else address
