"""Read-only queries over open stores: arrays in, objects of the wire out.

Needs no model, except for the embedding of a text that is not in the vocabulary.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from jaxtyping import Float

from backend.server import schemas
from backend.server.cards import (
    as_cosine,
    exemplar_images,
    finite,
    pair_fields,
    pair_summary,
    words_of,
)
from backend.server.certainty import beside_neuron, certainty_of
from backend.server.errors import not_found
from backend.server.heatmaps import heatmap_png
from backend.server.live import LiveModels
from backend.server.open_store import FEATURED, OpenStore
from backend.server.search import search_pairs
from backend.server.urls import Urls
from backend.store import Store, StoreError
from backend.store.format import check_name as check_slug

NEIGHBOURS = 12
"""Siblings and nearest pairs on a pair's page."""


HEATMAP_SIDE = 224
"""Pixels of a pair's heatmap: the size at which exemplars are shown."""


@dataclass(frozen=True)
class Heatmap:
    """Cells of a pair on an image, oriented, and the value at full colour."""

    values: Float[np.ndarray, "row column"]
    scale: float


class Catalog:
    """All stores that the server has open, by name."""

    def __init__(self, stores: Sequence[Store], urls: Urls, live: LiveModels) -> None:
        self._urls = urls
        self._live = live
        self._open: dict[str, OpenStore] = {}
        for store in stores:
            check_name(store.name, self._open, urls)
            self._open[store.name] = OpenStore(store)

    def stores(self) -> list[OpenStore]:
        """All open stores, in the order in which they were given."""
        return list(self._open.values())

    def open_store(self, name: str) -> OpenStore:
        """The store of a name; 404 naming those that there are."""
        opened = self._open.get(name)
        if opened is None:
            known = ", ".join(self._open) or "none"
            raise not_found(
                "model",
                f"There is no page here, and no model of that name; this server serves: {known}.",
            )
        return opened

    def data_version(self, name: str | None) -> str | None:
        """Data version of one store, or of all together; ``None`` when it is not served."""
        if name is not None:
            opened = self._open.get(name)
            return None if opened is None else opened.store.data_version
        versions = "\n".join(f"{n} {o.store.data_version}" for n, o in sorted(self._open.items()))
        return hashlib.sha256(versions.encode()).hexdigest()[:12]

    def check_neuron(self, name: str, neuron: int) -> OpenStore:
        """The store of a neuron that exists; 404 with the allowed range."""
        opened = self.open_store(name)
        if not 0 <= neuron < opened.n_neurons:
            raise not_found(
                "neuron", f"{name} has no neuron {neuron}; neurons are 0 to {opened.n_neurons - 1}."
            )
        return opened

    def check_head(self, name: str, head: int) -> OpenStore:
        """The store of a head that exists; 404 with the allowed range."""
        opened = self.open_store(name)
        if not 0 <= head < opened.n_heads:
            raise not_found(
                "head", f"{name} has no head {head}; heads are 0 to {opened.n_heads - 1}."
            )
        return opened

    def check_pair(self, name: str, neuron: int, head: int) -> OpenStore:
        """The store of a pair that exists; 404 with the allowed range."""
        self.check_neuron(name, neuron)
        return self.check_head(name, head)

    def models(self) -> schemas.Models:
        """Every model, in short."""
        return schemas.Models(
            models=[schemas.ModelSummary(**self._summary(o)) for o in self._open.values()]
        )

    def summary(self, name: str) -> schemas.ModelSummary:
        """One model, in short."""
        return schemas.ModelSummary(**self._summary(self.open_store(name)))

    def model(self, name: str) -> schemas.ModelDetail:
        """One model: where it comes from and where to start."""
        opened = self.open_store(name)
        manifest = opened.store.manifest
        strongest = [divmod(int(place), opened.n_neurons) for place in opened.by_norm[:FEATURED]]
        return schemas.ModelDetail(
            **self._summary(opened),
            quickgelu=manifest.model.quickgelu,
            templates=list(manifest.templates),
            created=datetime.fromisoformat(manifest.created),
            unreadable_images=len(manifest.dataset.unreadable),
            strongest=[pair_summary(opened, self._urls, n, h) for h, n in strongest],
            clearest=[pair_summary(opened, self._urls, n, h) for n, h in opened.clearest],
            example_words=opened.example_words,
        )

    def pair(self, name: str, neuron: int, head: int) -> schemas.Pair:
        """Everything stored about one pair, oriented."""
        opened = self.check_pair(name, neuron, head)
        store, statistics = opened.store, opened.store.statistics
        sign = int(statistics["sign"][head, neuron])
        count = int(statistics["count"].item())
        words = words_of(opened, neuron, head)
        steps = _cosine_steps(opened, neuron, head)
        return schemas.Pair(
            model=name,
            neuron=neuron,
            head=head,
            sign=1 if sign > 0 else -1,
            norm=float(statistics["norm"][head, neuron]),
            norm_percentile=float(statistics["norm_percentile"][head, neuron]),
            monosemanticity=finite(statistics["monosemanticity"][head, neuron]),
            images=count,
            mean=sign * float(statistics["mean"][head, neuron]),
            deviation=math.sqrt(float(statistics["m2"][head, neuron]) / max(count, 1)),
            explanation=words,
            cosine=steps[-1].cosine if steps else 0.0,
            cosine_by_words=steps,
            held_out=finite(store.explanations["held_out"][head, neuron]),
            histogram=_histogram(opened, neuron, head, sign),
            top_images=exemplar_images(opened, self._urls, neuron, head, "top"),
            bottom_images=exemplar_images(opened, self._urls, neuron, head, "bottom"),
            heatmap_scale=_heatmap_scale(store, neuron, head),
            certainty=certainty_of(opened, neuron, head),
            beside_neuron=beside_neuron(opened, self._urls, neuron, head),
            siblings=self._siblings(opened, neuron, head),
            nearest=self._nearest(opened, neuron, head),
            coactive=self._coactive(opened, neuron, head),
            data_version=store.data_version,
            url=self._urls.pair(name, neuron, head),
        )

    def search(self, name: str, asked: schemas.SearchQuery) -> schemas.SearchResults:
        """The pairs that answer to a text; see :func:`~backend.server.search.search_pairs`."""
        opened = self.check_pair(name, asked.neuron or 0, asked.head or 0)
        return search_pairs(opened, self._urls, self._live, asked)

    def exemplar(self, name: str, image: int) -> bytes:
        """Thumbnail of an image of the data set, WebP; 404 where none is stored."""
        exemplars = self.open_store(name).store.exemplars
        thumbnail = None if exemplars is None else exemplars.thumbnail(image)
        if thumbnail is None:
            raise not_found("image", f"{name} has no thumbnail of image {image}.")
        return thumbnail

    def heatmap(self, name: str, neuron: int, head: int, image: int) -> Heatmap:
        """Map of a pair on one of its exemplars; 404 where none is stored."""
        exemplars = self.check_pair(name, neuron, head).store.exemplars
        values = None
        if exemplars is not None:
            values = exemplars.heatmap(head=head, neuron=neuron, image=image)
        if exemplars is None or values is None:
            raise not_found("heatmap", f"{name} has no heatmap of this pair on image {image}.")
        return Heatmap(values, exemplars.scale(head=head, neuron=neuron))

    def heatmap_png(self, name: str, neuron: int, head: int, image: int) -> bytes:
        """The same as a signed overlay."""
        found = self.heatmap(name, neuron, head, image)
        return heatmap_png(found.values, scale=found.scale, size=(HEATMAP_SIDE, HEATMAP_SIDE))

    def _summary(self, opened: OpenStore) -> dict[str, Any]:
        store, manifest = opened.store, opened.store.manifest
        live = self._live.status(store)
        return {
            "name": store.name,
            "url": self._urls.model(store.name),
            "architecture": manifest.model.architecture,
            "pretrained": manifest.model.pretrained,
            "weights_sha256": manifest.model.weights_sha256,
            "dataset": manifest.dataset.name,
            "images": manifest.dataset.images,
            "neurons": opened.n_neurons,
            "heads": opened.n_heads,
            "d_out": opened.factors.d_out,
            "pairs": opened.factors.n_pairs,
            "vocabulary": len(store.vocabulary),
            "atoms": store.explanations["word_ids"].shape[-1],
            "image_size": _image_size(manifest.preprocessing["size"]),
            "data_version": store.data_version,
            "live": live.state,
            "live_message": live.message,
        }

    def _siblings(self, opened: OpenStore, neuron: int, head: int) -> list[schemas.PairSummary]:
        order = np.argsort(-opened.norm[:, neuron], kind="stable")
        others = [int(other) for other in order if other != head][:NEIGHBOURS]
        return [pair_summary(opened, self._urls, neuron, other) for other in others]

    def _nearest(self, opened: OpenStore, neuron: int, head: int) -> list[schemas.NearPair]:
        return [
            schemas.NearPair(**pair_fields(opened, self._urls, n, h), cosine=as_cosine(cosine))
            for n, h, cosine in _neighbours(
                opened, neuron, head, "direction_ids", "direction_cosine"
            )
        ]

    def _coactive(self, opened: OpenStore, neuron: int, head: int) -> list[schemas.CoactivePair]:
        names = ("coactivation_ids", "coactivation_jaccard")
        return [
            schemas.CoactivePair(**pair_fields(opened, self._urls, n, h), jaccard=jaccard)
            for n, h, jaccard in _neighbours(opened, neuron, head, *names)
        ]


def check_name(name: str, taken: Iterable[str], urls: Urls) -> None:
    """Raise :class:`StoreError` when a store's name cannot be an address here.

    ``taken`` are the names of the stores that are open already.
    """
    check_slug(name)
    if name in taken:
        raise StoreError(f"two stores are named {name}; a server needs distinct names")
    if urls.prefix and name == urls.prefix.split("/")[1]:
        # With a proxy that strips the prefix, /name/… could not be told from the prefix itself.
        raise StoreError(f"a store may not be named {name}, like the public address's path")


def _neighbours(
    opened: OpenStore, neuron: int, head: int, ids: str, likeness: str
) -> Iterator[tuple[int, int, float]]:
    """(neuron, head, likeness) of a pair's stored neighbours, nearest first."""
    stored = opened.store.neighbours
    flat = stored[ids][head, neuron][:NEIGHBOURS].tolist()
    for other, value in zip(flat, stored[likeness][head, neuron].tolist(), strict=False):
        if other >= 0:
            yield other % opened.n_neurons, other // opened.n_neurons, value


def _cosine_steps(opened: OpenStore, neuron: int, head: int) -> list[schemas.CosineStep]:
    steps = opened.store.manifest.parameters["cosine_steps"]
    cosines = opened.store.explanations["cosine"][head, neuron].tolist()
    nulls = [opened.store.nulls[f"{name}_cosine"].mean(axis=0) for name in ("random", "shuffled")]
    return [
        schemas.CosineStep(
            words=words,
            cosine=as_cosine(cosine),
            random=as_cosine(random),
            shuffled=as_cosine(shuffled),
        )
        for words, cosine, random, shuffled in zip(steps, cosines, *map(list, nulls), strict=True)
    ]


def _histogram(opened: OpenStore, neuron: int, head: int, sign: int) -> schemas.Histogram:
    """Oriented: the store's bins are of the raw coefficient, so a negative sign mirrors them."""
    statistics = opened.store.statistics
    edges = np.array(statistics["edges"][head, neuron], np.float64)
    counts = np.array(statistics["histogram"][head, neuron])
    if sign < 0:
        edges, counts = -edges[::-1], counts[::-1]
    return schemas.Histogram(edges=edges.tolist(), counts=counts.tolist())


def _heatmap_scale(store: Store, neuron: int, head: int) -> float | None:
    return None if store.exemplars is None else store.exemplars.scale(head=head, neuron=neuron)


def _image_size(size: int | list[int]) -> int:
    return size if isinstance(size, int) else size[0]
