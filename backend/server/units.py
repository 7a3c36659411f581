"""Queries on neurons and heads as units: arrays in, objects of the wire out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int

from backend.pairs.subconcepts import split_strengths
from backend.server import schemas
from backend.server.cards import as_cosine, finite, pair_fields, pair_summary, weighted_words
from backend.server.csv_files import Cell
from backend.server.formats import first_words
from backend.server.grouping import Group, NeuronPairs, groups_of, neuron_pairs
from backend.server.head_words import head_words
from backend.server.naming import distinct_words, nearest_words, word_similarities
from backend.server.open_store import OpenStore
from backend.server.urls import Urls
from backend.store.format import BOTTOM_SHOWN, TOP_SHOWN
from backend.store.reader import Arrays

HEADS_HEADER = (
    "neuron",
    "head",
    "subconcept",
    "share",
    "cosine",
    "strength",
    "norm",
    "norm_percentile",
    "monosemanticity",
    "held_out",
    "words",
)
"""Columns of a neuron's heads as a table."""

WORDS_OF_SUBCONCEPT = 4
"""Words of each kind that a sub-concept is told by."""

IMAGES_OF_SUBCONCEPT = 6

PAIRS_OF_HEAD = 12
"""Strongest and clearest pairs on a head's page."""

CLEAR_PART = 10
"""A pair is strong enough to be called clear in the tenth of its head with the largest norms."""

WORDS_OF_HEAD = 12
"""Common and own words on a head's page."""


def neuron_unit(opened: OpenStore, urls: Urls, neuron: int) -> schemas.Neuron:
    """One neuron that exists: its own concept, and what its heads make of it."""
    pairs = neuron_pairs(opened, neuron)
    groups = groups_of(opened, neuron, pairs)
    direction = torch.from_numpy(np.array(opened.store.neurons["direction"][neuron]))
    return schemas.Neuron(
        **unit_fields(opened, urls, opened.store.neurons, neuron),
        neuron=neuron,
        held_out=finite(opened.store.neurons["held_out"][neuron]),
        mean_cosine=as_cosine(float(direction @ pairs.mean_direction)),
        subconcepts=_subconcepts(opened, urls, neuron, pairs, groups),
        heads=_heads(opened, urls, neuron, pairs, groups),
        url=urls.neuron(opened.store.name, neuron),
    )


def head_unit(opened: OpenStore, urls: Urls, head: int) -> schemas.Head:
    """One head that exists: its own concept, its pairs, and the words they share."""
    norm = opened.norm[head]
    by_norm = np.argsort(-norm, kind="stable")
    strong = by_norm[: max(len(norm) // CLEAR_PART, PAIRS_OF_HEAD)]
    alike = np.nan_to_num(opened.store.statistics["monosemanticity"][head][strong], nan=-1.0)
    clear = strong[np.argsort(-alike, kind="stable")]
    common, own = head_words(opened.store, opened.word_counts, head, wanted=WORDS_OF_HEAD)
    return schemas.Head(
        **unit_fields(opened, urls, opened.store.heads, head),
        head=head,
        norm_share=float(opened.head_shares[head]),
        strongest=[pair_summary(opened, urls, int(n), head) for n in by_norm[:PAIRS_OF_HEAD]],
        clearest=[pair_summary(opened, urls, int(n), head) for n in clear[:PAIRS_OF_HEAD]],
        common_words=common,
        own_words=own,
        url=urls.head(opened.store.name, head),
    )


def head_rows(neuron: schemas.Neuron) -> Iterator[list[Cell]]:
    """A neuron's heads under HEADS_HEADER."""
    for each in neuron.heads:
        figures = [getattr(each, column) for column in HEADS_HEADER[1:-1]]
        yield [neuron.neuron, *figures, first_words(each.words)]


def unit_fields(opened: OpenStore, urls: Urls, units: Arrays, number: int) -> dict[str, Any]:
    """The fields of :class:`~backend.server.schemas.Unit` but for its address."""
    manifest = opened.store.manifest
    steps = manifest.parameters["cosine_steps"]
    reached = [
        schemas.WordsReached(words=words, cosine=as_cosine(cosine))
        for words, cosine in zip(steps, units["cosine"][number].tolist(), strict=True)
    ]
    norms = units["norm"]
    others = max(len(norms) - 1, 1)
    return {
        "model": opened.store.name,
        "images": min(manifest.dataset.images, manifest.parameters["calibration_images"]),
        "norm": float(norms[number]),
        "norm_percentile": 100 * float((norms < norms[number]).sum()) / others,
        "mean": float(units["mean"][number]),
        "monosemanticity": finite(units["monosemanticity"][number]),
        "variance_shares": [
            share for share in units["variance_share"][number].tolist() if np.isfinite(share)
        ],
        "explanation": weighted_words(opened, units["word_ids"][number], units["weights"][number]),
        "cosine": reached[-1].cosine if reached else 0.0,
        "cosine_by_words": reached,
        "top_images": unit_images(opened, urls, units, number, "top", TOP_SHOWN),
        "bottom_images": unit_images(opened, urls, units, number, "bottom", BOTTOM_SHOWN),
        "data_version": opened.store.data_version,
    }


def unit_images(
    opened: OpenStore, urls: Urls, units: Arrays, number: int, end: str, shown: int
) -> list[schemas.UnitImage]:
    """Extreme images of a unit, those that the store has a thumbnail of."""
    exemplars = opened.store.exemplars
    if exemplars is None:
        return []
    images = units[f"{end}_images"][number, :shown].tolist()
    values = units[f"{end}_values"][number, :shown].tolist()
    return [
        schemas.UnitImage(image=image, value=value, url=urls.exemplar(opened.store.name, image))
        for image, value in zip(images, values, strict=True)
        if exemplars.holds(image)
    ]


def _subconcepts(
    opened: OpenStore, urls: Urls, neuron: int, pairs: NeuronPairs, groups: list[Group]
) -> list[schemas.Subconcept]:
    if not groups:
        return []
    similar = word_similarities(opened, torch.stack([group.direction for group in groups]))
    return [
        schemas.Subconcept(
            heads=group.heads,
            share=min(group.share, 1.0),
            cosine=group.cosine,
            distinct=distinct_words(opened, own, pairs.mean_direction, wanted=WORDS_OF_SUBCONCEPT),
            nearest=nearest_words(opened, own, wanted=WORDS_OF_SUBCONCEPT),
            thumbnails=_shared_images(opened, urls, neuron, group, pairs.share.numpy()),
        )
        for group, own in zip(groups, similar, strict=True)
    ]


def _shared_images(
    opened: OpenStore,
    urls: Urls,
    neuron: int,
    group: Group,
    share: Float[np.ndarray, " head"],
) -> list[schemas.Thumbnail]:
    """Images that stand highest among the top images of a group's pairs.

    An image's standing with a pair falls evenly from 1 at the first of the 50 places to 0 behind
    the last; pairs count by their share of the norm, and equal images come by their number.
    """
    store = opened.store
    if store.exemplars is None:
        return []
    tops = store.statistics["top_images"][group.heads, neuron]
    ranks = tops.shape[1]
    points = share[group.heads][:, None] * (1 - np.arange(ranks) / ranks)
    images, places = np.unique(tops, return_inverse=True)
    standing = np.bincount(places.ravel(), points.ravel())
    best = images[np.argsort(-standing, kind="stable")].tolist()
    shown = [image for image in best if store.exemplars.holds(image)][:IMAGES_OF_SUBCONCEPT]
    return [
        schemas.Thumbnail(
            image=image,
            url=urls.exemplar(store.name, image),
            heatmap_url=_heatmap_of(opened, urls, neuron, tops, group.heads, image),
        )
        for image in shown
    ]


def _heatmap_of(
    opened: OpenStore,
    urls: Urls,
    neuron: int,
    tops: Int[np.ndarray, "pair rank"],
    heads: Sequence[int],
    image: int,
) -> str | None:
    """The map of the strongest of some pairs that has one of this image."""
    having = np.flatnonzero((tops[:, :TOP_SHOWN] == image).any(axis=1))
    if len(having) == 0:
        return None
    return urls.pair_heatmap(opened.store.name, neuron, heads[int(having[0])], image)


def _heads(
    opened: OpenStore, urls: Urls, neuron: int, pairs: NeuronPairs, groups: list[Group]
) -> list[schemas.NeuronHead]:
    statistics, explanations = opened.store.statistics, opened.store.explanations
    alike = torch.from_numpy(np.array(statistics["monosemanticity"][:, neuron]))
    strength = split_strengths(pairs.share[:, None], pairs.cosine[:, None], alike[:, None])[:, 0]
    place = {head: at for at, group in enumerate(groups) for head in group.heads}
    return [
        schemas.NeuronHead(
            **pair_fields(opened, urls, neuron, head),
            share=min(float(pairs.share[head]), 1.0),
            cosine=float(pairs.cosine[head]),
            monosemanticity=finite(float(alike[head])),
            held_out=finite(explanations["held_out"][head, neuron]),
            strength=float(strength[head]),
            subconcept=place.get(head),
        )
        for head in pairs.share.argsort(descending=True, stable=True).tolist()
    ]
