"""How a pair is recognised everywhere: three top images, its first three words, and its norm."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from backend.server import schemas
from backend.server.open_store import OpenStore
from backend.server.urls import Urls
from backend.store.format import BOTTOM_SHOWN, TOP_SHOWN

SUMMARY_WORDS = 3
SUMMARY_THUMBNAILS = 3
EXEMPLARS_SHOWN = {"top": TOP_SHOWN, "bottom": BOTTOM_SHOWN}
"""Images on a pair's page: those that the store keeps a thumbnail and a map of."""


def pair_summary(opened: OpenStore, urls: Urls, neuron: int, head: int) -> schemas.PairSummary:
    """A pair in short, as lists show it."""
    return schemas.PairSummary(**pair_fields(opened, urls, neuron, head))


def pair_fields(opened: OpenStore, urls: Urls, neuron: int, head: int) -> dict[str, Any]:
    """The fields of :class:`~backend.server.schemas.PairSummary`, for those who add to them."""
    name, statistics = opened.store.name, opened.store.statistics
    top = exemplar_images(opened, urls, neuron, head, "top", SUMMARY_THUMBNAILS)
    return {
        "neuron": neuron,
        "head": head,
        "url": urls.pair(name, neuron, head),
        "norm": float(statistics["norm"][head, neuron]),
        "norm_percentile": float(statistics["norm_percentile"][head, neuron]),
        "words": words_of(opened, neuron, head, SUMMARY_WORDS),
        "thumbnails": [
            schemas.Thumbnail(image=e.image, url=e.url, heatmap_url=e.heatmap_url) for e in top
        ],
    }


def exemplar_images(
    opened: OpenStore,
    urls: Urls,
    neuron: int,
    head: int,
    end: Literal["top", "bottom"],
    wanted: int | None = None,
) -> list[schemas.ExemplarImage]:
    """The first ``wanted``, or all, of the top or bottom images that are shown, most extreme first.

    None without exemplars.
    """
    store = opened.store
    if store.exemplars is None:
        return []
    shown = EXEMPLARS_SHOWN[end] if wanted is None else wanted
    images = store.statistics[f"{end}_images"][head, neuron, :shown].tolist()
    values = store.statistics[f"{end}_values"][head, neuron, :shown].tolist()
    return [
        schemas.ExemplarImage(
            image=image,
            value=value,
            url=urls.exemplar(store.name, image),
            heatmap_url=urls.pair_heatmap(store.name, neuron, head, image),
        )
        for image, value in zip(images, values, strict=True)
        if image >= 0
    ]


def words_of(
    opened: OpenStore, neuron: int, head: int, wanted: int | None = None
) -> list[schemas.Word]:
    """The first ``wanted`` words of a pair, or all, in the order OMP chose them."""
    explanations = opened.store.explanations
    return weighted_words(
        opened,
        explanations["word_ids"][head, neuron, :wanted],
        explanations["weights"][head, neuron, :wanted],
    )


def weighted_words(
    opened: OpenStore, ids: Int[np.ndarray, " atom"], weights: Float[np.ndarray, " atom"]
) -> list[schemas.Word]:
    """Stored word numbers as words; places that OMP left empty have number -1."""
    vocabulary = opened.store.vocabulary
    return [
        schemas.Word(word=vocabulary[word], weight=weight)
        for word, weight in zip(ids.tolist(), weights.tolist(), strict=True)
        if word >= 0
    ]


def finite(value: float) -> float | None:
    """A number as the wire has it: None where it is undefined."""
    return float(value) if math.isfinite(value) else None


def as_cosine(value: float) -> float:
    """Rounding may carry a cosine past 1 by an ulp, which the wire refuses."""
    return max(-1.0, min(1.0, value))
