"""Several pairs looked up together, and held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Int

from backend.pairs.similarity import oriented_directions
from backend.pairs.subconcepts import overlaps
from backend.server import schemas
from backend.server.cards import as_cosine, exemplar_images, finite, pair_fields, words_of
from backend.server.csv_files import Cell
from backend.server.open_store import OpenStore
from backend.server.urls import Urls
from backend.store import Store

Place = tuple[int, int]
"""(neuron, head) of a pair."""


def pair_batch(opened: OpenStore, urls: Urls, places: Sequence[Place]) -> schemas.PairBatch:
    """What is known of some pairs that exist, each named once."""
    store = opened.store
    neurons, heads = (torch.tensor(column) for column in zip(*places, strict=True))
    directions = oriented_directions(opened.factors, opened.scale, head=heads, neuron=neurons)
    tops = torch.from_numpy(
        np.stack([np.array(store.statistics["top_images"][h, n]) for n, h in places])
    )
    pairs = [_pair(opened, urls, neuron, head) for neuron, head in places]
    compared = len(places) <= schemas.MAX_COMPARED
    return schemas.PairBatch(
        model=store.name,
        pairs=pairs,
        cosines=[[as_cosine(each) for each in row] for row in (directions @ directions.T).tolist()],
        overlaps=overlaps(tops).tolist(),
        images=_images(opened, urls, places, pairs) if compared else [],
        words=compared_words(pairs) if compared else [],
        data_version=store.data_version,
        url=urls.compare(store.name, places) if compared else None,
    )


def compared_words(pairs: Sequence[schemas.BatchPair]) -> list[schemas.ComparedWord]:
    """All words of some explanations, those that the most share first."""
    weights: dict[str, list[float | None]] = {}
    for at, pair in enumerate(pairs):
        for word in pair.explanation:
            weights.setdefault(word.word, [None] * len(pairs))[at] = word.weight

    def order(row: list[float | None]) -> tuple[int, float]:
        known = [abs(weight) for weight in row if weight is not None]
        return -len(known), -sum(known)

    return [
        schemas.ComparedWord(word=word, weights=row)
        for word, row in sorted(weights.items(), key=lambda item: order(item[1]))
    ]


def words_table(batch: schemas.PairBatch) -> tuple[list[str], Iterator[list[Cell]]]:
    """Header and rows of the words that are compared."""
    header = ["word", *(f"{pair.neuron}.{pair.head}" for pair in batch.pairs)]
    return header, ([word.word, *word.weights] for word in batch.words)


def _pair(opened: OpenStore, urls: Urls, neuron: int, head: int) -> schemas.BatchPair:
    statistics, explanations = opened.store.statistics, opened.store.explanations
    at = (head, neuron)
    return schemas.BatchPair(
        **pair_fields(opened, urls, neuron, head),
        sign=1 if statistics["sign"][at] > 0 else -1,
        monosemanticity=finite(statistics["monosemanticity"][at]),
        held_out=finite(explanations["held_out"][at]),
        cosine=as_cosine(float(explanations["cosine"][head, neuron, -1])),
        explanation=words_of(opened, neuron, head),
        top_images=exemplar_images(opened, urls, neuron, head, "top"),
    )


def _images(
    opened: OpenStore, urls: Urls, places: Sequence[Place], pairs: Sequence[schemas.BatchPair]
) -> list[schemas.ComparedImage]:
    """Top images of all pairs, by the first pair that has them and their place there."""
    first: dict[int, int] = {}
    for at, pair in enumerate(pairs):
        for image in pair.top_images:
            first.setdefault(image.image, at)
    columns = [_values(opened, urls, place, list(first)) for place in places]
    return [
        schemas.ComparedImage(
            image=image,
            url=urls.exemplar(opened.store.name, image),
            top_of=at,
            values=[column[row] for column in columns],
        )
        for row, (image, at) in enumerate(first.items())
    ]


def _values(
    opened: OpenStore, urls: Urls, place: Place, images: Sequence[int]
) -> list[schemas.ComparedValue]:
    """A pair's values on some images, as far as the store knows them."""
    store, (neuron, head) = opened.store, place
    statistics = store.statistics
    known = {
        image: value
        for end in ("bottom", "top")
        for image, value in zip(
            statistics[f"{end}_images"][head, neuron].tolist(),
            statistics[f"{end}_values"][head, neuron].tolist(),
            strict=True,
        )
    }
    low = float(np.nanmax(statistics["bottom_values"][head, neuron]))
    high = float(np.nanmin(statistics["top_values"][head, neuron]))
    mapped = set(_mapped(store, neuron, head).tolist())
    return [
        schemas.ComparedValue(
            value=known.get(image),
            low=known.get(image, min(low, high)),
            high=known.get(image, max(low, high)),
            heatmap_url=(
                urls.pair_heatmap(store.name, neuron, head, image) if image in mapped else None
            ),
        )
        for image in images
    ]


def _mapped(store: Store, neuron: int, head: int) -> Int[np.ndarray, " image"]:
    """Images on which the store keeps a map of a pair."""
    if store.exemplars is None:
        return np.empty(0, np.int32)
    return store.exemplars.shown(head=head, neuron=neuron)
