"""The strongest splits of a model: pairs that part from their neuron, and mean one thing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.similarity import oriented_directions
from backend.pairs.subconcepts import (
    cosines_with_neurons,
    mean_directions,
    norm_shares,
    split_strengths,
)
from backend.server import schemas
from backend.server.cards import SUMMARY_THUMBNAILS, as_cosine, finite, pair_fields
from backend.server.csv_files import Cell
from backend.server.errors import not_found
from backend.server.naming import distinct_words, nearest_words, word_similarities
from backend.server.open_store import OpenStore
from backend.server.units import unit_images
from backend.server.urls import Urls

SPLITS_KEPT = 480
"""Splits of the gallery.  Naming them holds 960 directions against the vocabulary: half a second
for 30,000 words of 768 numbers, once."""

NAMED_AT_ONCE = 24
"""Splits whose similarities to the whole vocabulary are held at a time: 6 MB for 30,000 words."""

WORDS_OF_SPLIT = 3

SPLITS_HEADER = ("neuron", "head", "strength", "share", "cosine", "monosemanticity", "words")
"""Columns of the gallery as a table; the words are those that the pair has and the neuron not."""


@dataclass(frozen=True)
class NamedSplit:
    """One split: its pair, and how it is told from its neuron.

    Attributes:
        distinct: words near the pair that are further from its neuron.
        of_neuron: words nearest to the neuron's mean direction.
    """

    neuron: int
    head: int
    distinct: list[schemas.DistinctWord]
    of_neuron: list[schemas.NearWord]


@dataclass(frozen=True)
class Splits:
    """All splits of a model.

    Attributes:
        share, cosine, strength: of every pair, as on its neuron's page.
        strongest: the SPLITS_KEPT strongest, strongest first; none of strength zero.
    """

    share: Float[np.ndarray, "head neuron"]
    cosine: Float[np.ndarray, "head neuron"]
    strength: Float[np.ndarray, "head neuron"]
    strongest: list[NamedSplit]


def find_splits(opened: OpenStore) -> Splits:
    """Every pair's split, and names for the strongest: 15 G multiply-adds for RN50x16."""
    norm = torch.from_numpy(opened.norm)
    means = mean_directions(opened.factors, opened.scale, norm)
    share = norm_shares(norm)
    cosine = cosines_with_neurons(opened.factors, opened.scale, means)
    alike = torch.from_numpy(np.array(opened.store.statistics["monosemanticity"]))
    strength = split_strengths(share, cosine, alike)
    flat = strength.flatten()
    places = flat.argsort(descending=True, stable=True)[:SPLITS_KEPT]
    places = places[flat[places] > 0]
    named = [
        split
        for start in range(0, len(places), NAMED_AT_ONCE)
        for split in _named(opened, means, places[start : start + NAMED_AT_ONCE])
    ]
    return Splits(share.numpy(), cosine.numpy(), strength.numpy(), named)


def gallery(opened: OpenStore, urls: Urls, *, offset: int, limit: int) -> schemas.Splits:
    """Some of the strongest splits; 404 behind the last."""
    name, strongest = opened.store.name, opened.splits.strongest
    if offset and offset >= len(strongest):
        raise not_found("page", f"There are {len(strongest)} splits; offset must be below that.")
    shown = strongest[offset : offset + limit]
    after = offset + len(shown)

    def page(start: int) -> str:
        return urls.api_splits(name, offset=start or None, limit=limit)

    return schemas.Splits(
        model=name,
        total=len(strongest),
        offset=offset,
        limit=limit,
        splits=[_split(opened, urls, each) for each in shown],
        previous_url=page(max(offset - limit, 0)) if offset else None,
        next_url=page(after) if after < len(strongest) else None,
        data_version=opened.store.data_version,
    )


def split_rows(opened: OpenStore) -> Iterator[list[Cell]]:
    """The whole gallery under SPLITS_HEADER."""
    alike = opened.store.statistics["monosemanticity"]
    for split in opened.splits.strongest:
        at = (split.head, split.neuron)
        figures = (opened.splits.strength, opened.splits.share, opened.splits.cosine, alike)
        words = " · ".join(word.word for word in split.distinct)
        yield [split.neuron, split.head, *(float(each[at]) for each in figures), words]


def featured_splits(opened: OpenStore, urls: Urls, *, wanted: int) -> list[schemas.Split]:
    """The strongest splits with distinct words, each of another neuron, strongest first.

    A split with no word of its own is passed over; words that share a part count as the same.
    """
    chosen: list[NamedSplit] = []
    seen: set[str] = set()
    neurons: set[int] = set()
    for split in opened.splits.strongest:
        if len(chosen) == wanted:
            break
        parts = set(split.distinct[0].word.casefold().split()) if split.distinct else seen
        if parts & seen or split.neuron in neurons or not parts:
            continue
        seen |= parts
        neurons.add(split.neuron)
        chosen.append(split)
    return [_split(opened, urls, each) for each in chosen]


def _named(
    opened: OpenStore, means: Float[Tensor, "neuron d_out"], places: Int[Tensor, " split"]
) -> list[NamedSplit]:
    neurons, heads = places % opened.n_neurons, places // opened.n_neurons
    own = oriented_directions(opened.factors, opened.scale, head=heads, neuron=neurons)
    similar = word_similarities(opened, torch.cat([own, means[neurons]]))
    return [
        NamedSplit(
            neuron=int(neurons[at]),
            head=int(heads[at]),
            distinct=distinct_words(opened, similar[at], means[neurons[at]], wanted=WORDS_OF_SPLIT),
            of_neuron=nearest_words(opened, similar[len(places) + at], wanted=WORDS_OF_SPLIT),
        )
        for at in range(len(places))
    ]


def _split(opened: OpenStore, urls: Urls, split: NamedSplit) -> schemas.Split:
    at = (split.head, split.neuron)
    return schemas.Split(
        **pair_fields(opened, urls, split.neuron, split.head),
        share=min(float(opened.splits.share[at]), 1.0),
        cosine=as_cosine(float(opened.splits.cosine[at])),
        monosemanticity=finite(opened.store.statistics["monosemanticity"][at]) or 0.0,
        strength=float(opened.splits.strength[at]),
        distinct=split.distinct,
        neuron_words=split.of_neuron,
        neuron_thumbnails=neuron_thumbnails(opened, urls, split.neuron),
        neuron_url=urls.neuron(opened.store.name, split.neuron),
    )


def neuron_thumbnails(opened: OpenStore, urls: Urls, neuron: int) -> list[schemas.Thumbnail]:
    """The first top images of a neuron as a unit; it has no heatmaps."""
    shown = unit_images(opened, urls, opened.store.neurons, neuron, "top", SUMMARY_THUMBNAILS)
    return [schemas.Thumbnail(image=e.image, url=e.url, heatmap_url=None) for e in shown]
