"""Collections: read from an address, drawn as cards, written as files, read back from them.

Nothing is kept: the address holds the whole list, and a share of the address is its short link.
In an address the pairs stand as ``pairs=3.4,7.3`` (neuron.head), their notes as one ``note``
each in the same order.  ``pairs`` may be repeated; places that are left empty are passed over
together with their notes, so a plain form with a field for each pair works without scripts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from pydantic import ValidationError

from backend.server import formats, schemas
from backend.server.cards import pair_fields
from backend.server.csv_files import Cell
from backend.server.errors import invalid, reason
from backend.server.queries import Catalog
from backend.server.text import clean_writing
from backend.server.urls import Urls, pairs_text

MAX_FILE_BYTES = 256 * 1024
"""A file that is read in: 60 pairs with the longest notes take 40 KB, with their cards 100."""

ENTRIES_HEADER = (
    "model",
    "neuron",
    "head",
    "words",
    "norm",
    "norm_percentile",
    "note",
    "data_version",
)

_PAIR = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})")


@dataclass(frozen=True)
class Wanted:
    """A list as an address holds it: (neuron, head, note) of each pair."""

    title: str = ""
    about: str = ""
    pairs: tuple[tuple[int, int, str], ...] = ()


def wanted_list(
    pairs: Sequence[str] = (), notes: Sequence[str] = (), title: str = "", about: str = ""
) -> Wanted:
    """Read an address.  Raises 422 for what is no pair, and for more or longer than is allowed."""
    places = [place.strip() for text in pairs for place in text.split(",")]
    if len(notes) > len(places):
        raise invalid("note", f"There are {len(notes)} notes for {len(places)} pairs.")
    wanted: dict[tuple[int, int], str] = {}
    for place, note in zip_longest(places, notes, fillvalue=""):
        if place:
            wanted.setdefault(_pair(place), _writing("note", note, _NOTE))
    if len(wanted) > schemas.MAX_COLLECTED:
        raise invalid(
            "pairs",
            f"A collection holds at most {schemas.MAX_COLLECTED} pairs, not {len(wanted)}.",
        )
    return Wanted(
        title=_writing("title", title, schemas.MAX_TITLE_CHARACTERS),
        about=_writing("about", about, schemas.MAX_NOTE_CHARACTERS),
        pairs=tuple((*pair, note) for pair, note in wanted.items()),
    )


def pair_of(text: str) -> tuple[int, int] | None:
    """(neuron, head) of ``neuron.head``; ``None`` for any other text."""
    found = _PAIR.fullmatch(text)
    return None if found is None else (int(found[1]), int(found[2]))


def pair_places(text: str) -> list[tuple[int, int]]:
    """(neuron, head) of the pairs of an address, each once; 422 for what is no pair."""
    return [(neuron, head) for neuron, head, _ in wanted_list([text]).pairs]


def address_of(urls: Urls, model: str, wanted: Wanted) -> str:
    """The address that holds a list.  Raises 422 where it would be too long to be passed on."""
    notes = [note for _, _, note in wanted.pairs]
    address = urls.collection(
        model,
        pairs=pairs_text([(neuron, head) for neuron, head, _ in wanted.pairs]) or None,
        title=wanted.title or None,
        about=wanted.about or None,
        note=notes if any(notes) else None,
    )
    if len(address) > schemas.MAX_VIEW_CHARACTERS:
        raise invalid(
            "collection",
            f"The collection's address would have {len(address):,} characters; at most "
            f"{schemas.MAX_VIEW_CHARACTERS:,} can be passed on. Shorten the notes.",
        )
    return address


def collection(catalog: Catalog, urls: Urls, model: str, wanted: Wanted) -> schemas.Collection:
    """The list with what its cards show; 404 for a model or pair that does not exist."""
    entries = []
    for neuron, head, note in wanted.pairs:
        opened = catalog.check_pair(model, neuron, head)
        entries.append(
            schemas.CollectionEntry(**pair_fields(opened, urls, neuron, head), note=note)
        )
    return schemas.Collection(
        model=model,
        title=wanted.title,
        about=wanted.about,
        entries=entries,
        data_version=catalog.open_store(model).store.data_version,
        url=address_of(urls, model, wanted),
    )


def read_file(data: bytes) -> Wanted:
    """The list of a file that was saved as JSON.  Raises 422 for any other file."""
    if len(data) > MAX_FILE_BYTES:
        raise invalid("file", f"A collection's file has at most {MAX_FILE_BYTES // 1024} KB.")
    try:
        told = schemas.CollectionFile.model_validate_json(data)
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        where = f" ({place}: {reason(first)})" if place else ""
        raise invalid("file", f"This file is no collection saved as JSON{where}.") from None
    return wanted_list(
        pairs=[f"{entry.neuron}.{entry.head}" for entry in told.entries],
        notes=[entry.note for entry in told.entries],
        title=told.title,
        about=told.about,
    )


def entry_rows(told: schemas.Collection) -> Iterator[list[Cell]]:
    """The list as a table under ``ENTRIES_HEADER``, a pair a row."""
    for entry in told.entries:
        yield [
            told.model,
            entry.neuron,
            entry.head,
            formats.first_words(entry.words),
            entry.norm,
            entry.norm_percentile,
            entry.note,
            told.data_version,
        ]


_NOTE = schemas.MAX_ENTRY_NOTE_CHARACTERS


def _pair(place: str) -> tuple[int, int]:
    found = pair_of(place)
    if found is None:
        raise invalid("pairs", "pairs are neuron.head, separated by commas, like 3.4,7.3.")
    return found


def _writing(name: str, text: str, longest: int) -> str:
    if len(text) > longest:
        raise invalid(name, f"{name} may have at most {longest:,} characters, not {len(text):,}.")
    return clean_writing(text)
