"""The table of all pairs: sorted, filtered and paged on the server."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Int

from backend.server import schemas
from backend.server.cards import SUMMARY_WORDS, as_cosine, finite, pair_fields
from backend.server.csv_files import Cell
from backend.server.errors import not_found
from backend.server.open_store import OpenStore
from backend.server.schemas.finder import corners_of, words_in
from backend.server.urls import Urls

FIGURES = ("norm", "percentile", "monosemanticity", "cosine", "held_out")
"""Columns with a least and a most in a query, and a column of the file."""

CSV_HEADER = (
    "neuron",
    "head",
    *FIGURES,
    *(f"{what}_{place}" for place in range(1, SUMMARY_WORDS + 1) for what in ("word", "weight")),
)


def find_pairs(opened: OpenStore, urls: Urls, asked: schemas.FinderQuery) -> schemas.FoundPairs:
    """One page of the pairs that fulfil all conditions; 404 for a page past the last one."""
    name = opened.store.name
    places = matching(opened, asked)
    if asked.offset and asked.offset >= len(places):
        raise not_found("page", f"Only {len(places):,} pairs match; offset must be below that.")
    shown = places[asked.offset : asked.offset + asked.limit]

    def page(offset: int) -> str:
        return urls.api_pairs(name, asked.model_copy(update={"offset": offset}).asked())

    after = asked.offset + len(shown)
    return schemas.FoundPairs(
        total=len(opened.pair_table),
        matching=len(places),
        offset=asked.offset,
        limit=asked.limit,
        sort=asked.sort,
        order=asked.order,
        results=[_row(opened, urls, place) for place in shown.tolist()],
        unknown_words=_unknown(opened, asked),
        previous_url=page(max(asked.offset - asked.limit, 0)) if asked.offset else None,
        next_url=page(after) if after < len(places) else None,
        csv_url=urls.api_pairs_csv(name, conditions(asked)),
        data_version=opened.store.data_version,
    )


def conditions(asked: schemas.FinderQuery) -> dict[str, object]:
    """The query without its page: what names all pairs that match, in their order."""
    paged = {"limit", "offset"}
    return {name: value for name, value in asked.asked().items() if name not in paged}


def matching(opened: OpenStore, asked: schemas.FinderQuery) -> Int[np.ndarray, " pair"]:
    """Places of the pairs that fulfil all conditions, in the order asked for."""
    table = opened.pair_table
    order = table.order(asked.sort, descending=asked.order == "desc")
    chosen = _chosen(opened, asked)
    return order if chosen is None else order[chosen[order]]


def csv_rows(opened: OpenStore, asked: schemas.FinderQuery) -> Iterator[list[Cell]]:
    """All pairs that match, a row each, under ``CSV_HEADER``."""
    table, places = opened.pair_table, matching(opened, asked)
    figures = [table.column(name)[places].tolist() for name in FIGURES]
    # Read at once: pair by pair, as cards are, takes nine times as long.
    ids, weights = (
        np.array(opened.store.explanations[name][..., :SUMMARY_WORDS]).reshape(len(table), -1)
        for name in ("word_ids", "weights")
    )
    vocabulary = opened.store.vocabulary
    for place, *told in zip(places.tolist(), *figures, strict=True):
        head, neuron = divmod(place, opened.n_neurons)
        cells: list[Cell] = [neuron, head, *told]
        for word, weight in zip(ids[place].tolist(), weights[place].tolist(), strict=True):
            cells += [vocabulary[word], weight] if word >= 0 else [None, None]
        yield cells


def _chosen(opened: OpenStore, asked: schemas.FinderQuery) -> Bool[np.ndarray, " pair"] | None:
    """Which pairs fulfil all conditions; ``None`` where none is set."""
    table = opened.pair_table
    masks: list[Bool[np.ndarray, " pair"]] = []
    for name in FIGURES:
        least, most = getattr(asked, f"{name}_min"), getattr(asked, f"{name}_max")
        if least is not None or most is not None:
            masks.append(table.between(name, least, most))
    if asked.neuron is not None:
        masks.append(table.column("neuron") == asked.neuron)
    if asked.head is not None:
        masks.append(table.column("head") == asked.head)
    if asked.words is not None:
        entries = [opened.vocabulary.having(word) for word in words_in(asked.words)]
        masks += [table.explained_by(words) for words in entries]
    if asked.region is not None:
        masks.append(table.within(corners_of(asked.region)))
    return np.logical_and.reduce(masks) if masks else None


def _unknown(opened: OpenStore, asked: schemas.FinderQuery) -> list[str]:
    words = words_in(asked.words or "")
    return [word for word in words if not opened.vocabulary.having(word)]


def _row(opened: OpenStore, urls: Urls, place: int) -> schemas.FoundPair:
    head, neuron = divmod(place, opened.n_neurons)
    table = opened.pair_table
    return schemas.FoundPair(
        **pair_fields(opened, urls, neuron, head),
        monosemanticity=finite(table.column("monosemanticity")[place]),
        cosine=as_cosine(float(table.column("cosine")[place])),
        held_out=finite(table.column("held_out")[place]),
    )
