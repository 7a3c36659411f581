"""How sure one can be of a pair's figures, and what its words say that its neuron's do not."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.resampling import LEVEL, RESAMPLES, PairSample, interval, resample
from backend.pairs.similarity import centre
from backend.server import schemas
from backend.server.cards import as_cosine, finite
from backend.server.grouping import neuron_pairs
from backend.server.naming import distinct_words, word_similarities
from backend.server.open_store import OpenStore
from backend.server.urls import Urls
from backend.store import Store
from backend.store.format import TOP_SHOWN

WORDS_BESIDE_NEURON = 6


def certainty_of(opened: OpenStore, neuron: int, head: int) -> schemas.Certainty:
    """How far a pair's figures would move with other images, and how far chance would get."""
    store, at = opened.store, (head, neuron)
    found = resample(_sample(store, neuron, head), top=TOP_SHOWN)
    scale = abs(float(opened.scale[at]))
    norm = found.spread / scale if scale > 0 else torch.zeros_like(found.spread)
    retained = finite(float(found.retained.mean()))
    held_out = finite(store.explanations["held_out"][at])
    cosine = float(store.explanations["cosine"][head, neuron, -1])
    return schemas.Certainty(
        resamples=RESAMPLES,
        level=LEVEL,
        norm=_interval(norm),
        top_retained=retained,
        top_retained_interval=None if retained is None else _interval(found.retained),
        random_percentile=_percentile(store.nulls["random_cosine"][:, -1], cosine),
        shuffled_percentile=_percentile(store.nulls["shuffled_cosine"][:, -1], cosine),
        held_out_percentile=(
            None if held_out is None else _percentile(store.explanations["held_out"], held_out)
        ),
    )


def beside_neuron(opened: OpenStore, urls: Urls, neuron: int, head: int) -> schemas.BesideNeuron:
    """A pair beside its neuron: how far it points elsewhere, and in which words."""
    store = opened.store
    pairs = neuron_pairs(opened, neuron)
    (own,) = word_similarities(opened, pairs.directions[head, None])
    share, cosine = float(pairs.share[head]), float(pairs.cosine[head])
    alike = finite(store.statistics["monosemanticity"][head, neuron]) or 0.0
    return schemas.BesideNeuron(
        cosine=cosine,
        share=min(share, 1.0),
        strength=share * (1 - cosine) * alike,
        neuron_words_cosine=as_cosine(
            float(pairs.directions[head] @ _neuron_words(opened, neuron))
        ),
        shared_words=_shared(store, neuron, head),
        distinct=distinct_words(opened, own, pairs.mean_direction, wanted=WORDS_BESIDE_NEURON),
        url=urls.neuron(store.name, neuron),
    )


def _sample(store: Store, neuron: int, head: int) -> PairSample:
    """A pair's stored values, oriented."""
    statistics, at = store.statistics, (head, neuron)
    sign = int(statistics["sign"][at])

    def of(name: str) -> Tensor:
        return torch.from_numpy(np.array(statistics[name][at]))

    counts, edges = of("histogram").long(), of("edges").float()
    return PairSample(
        high=of("top_values").float(),
        high_images=of("top_images").long(),
        low=of("bottom_values").float(),
        low_images=of("bottom_images").long(),
        counts=counts if sign > 0 else counts.flip(0),
        edges=edges if sign > 0 else -edges.flip(0),
        count=int(statistics["count"].item()),
        mean=sign * float(statistics["mean"][at]),
        m2=float(statistics["m2"][at]),
    )


def _neuron_words(opened: OpenStore, neuron: int) -> Float[Tensor, " d_out"]:
    """Weighted sum of the neuron's words, unit length; zero without words."""
    units = opened.store.neurons
    ids = torch.from_numpy(np.array(units["word_ids"][neuron])).long()
    weights = torch.from_numpy(np.array(units["weights"][neuron]))[ids >= 0]
    words = centre(opened.vocabulary_embeddings[ids[ids >= 0]], opened.text_mean)
    return F.normalize(weights @ words, dim=0)


def _shared(store: Store, neuron: int, head: int) -> list[str]:
    ids, weights = (store.explanations[name][head, neuron] for name in ("word_ids", "weights"))
    units = store.neurons
    of_neuron = set(units["word_ids"][neuron][units["weights"][neuron] > 0].tolist()) - {-1}
    return [store.vocabulary[word] for word in ids[weights > 0].tolist() if word in of_neuron]


def _interval(values: Float[Tensor, " resample"]) -> schemas.Interval:
    low, high = interval(values)
    return schemas.Interval(low=low, high=high)


def _percentile(others: np.ndarray, value: float) -> float:
    """Share of the others that are smaller, in percent; unknown ones are left out."""
    known = np.count_nonzero(~np.isnan(others))
    return 100 * np.count_nonzero(others < value) / known if known else math.nan
