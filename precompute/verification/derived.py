"""What a store derives from its own arrays, for looking up: neighbours and the index of words."""

from __future__ import annotations

import numpy as np

from backend.store import Store
from backend.store.format import INDEX_ATOMS
from precompute.verification.report import Check

HALF_BOUND = 1e-3
"""Cosines and overlaps of look-ups are stored with three significant digits."""


def neighbour_checks(store: Store, *, samples: int, seed: int = 0) -> list[Check]:
    """Neighbours of sampled pairs against a plain comparison with all pairs, in float64.

    A list is right if its figures are those of its pairs, and no pair left out has a larger one.
    """
    order = np.random.default_rng(seed).permutation(store.n_heads * store.n_neurons)
    directions, overlaps, compared = 0.0, 0.0, 0
    for place in order.tolist():
        if compared == samples:
            break
        if store.neighbours["direction_ids"].reshape(len(order), -1)[place, 0] < 0:
            continue  # writes nothing
        compared += 1
        for name, figures, found in (
            ("direction", "cosine", _cosines(store, place)),
            ("coactivation", "jaccard", _overlaps(store, place)),
        ):
            error = _list_error(store, f"{name}_ids", f"{name}_{figures}", place, found)
            if name == "direction":
                directions = max(directions, error)
            else:
                overlaps = max(overlaps, error)
    over = f"{compared} pairs against all"
    return [
        Check("nearest pairs by direction - the best cosines", directions, HALF_BOUND, over),
        Check("nearest pairs by images - the best overlaps", overlaps, HALF_BOUND, over),
    ]


def _list_error(store: Store, ids: str, figures: str, place: int, found: np.ndarray) -> float:
    """Largest difference of a stored list's figures from its pairs' own, and from the best."""
    flat = store.neighbours[ids].reshape(len(found), -1)
    listed = flat[place]
    listed = listed[listed >= 0]
    stored = store.neighbours[figures].reshape(len(found), -1)[place, : len(listed)]
    found = found.copy()
    found[place] = -np.inf
    best = -np.sort(-found)[: flat.shape[1]]
    if len(listed) < flat.shape[1]:  # as many as share anything
        best = best[best > 0]
    if len(best) != len(listed):
        return float("inf")
    own = np.abs(stored - found[listed]).max(initial=0.0)
    return float(max(own, np.abs(stored - best).max(initial=0.0)))


def _cosines(store: Store, place: int) -> np.ndarray:
    """Cosines of a pair's oriented direction with all pairs', by flat number; -inf for silent."""
    head, neuron = divmod(place, store.n_neurons)
    output = np.asarray(store.factors["output"], np.float64)
    value = np.asarray(store.factors["value"], np.float64)
    own = output[head] @ value[head, :, neuron]
    found = np.empty((store.n_heads, store.n_neurons))
    for other in range(store.n_heads):
        vectors = output[other] @ value[other]
        norms = np.linalg.norm(vectors, axis=0)
        cosine = own @ vectors / np.linalg.norm(own)
        found[other] = np.where(norms > 0, cosine / np.where(norms > 0, norms, 1), -np.inf)
    sign = np.asarray(store.statistics["sign"], np.float64)
    cosines: np.ndarray = (found * sign * sign[head, neuron]).ravel()
    cosines[np.isinf(cosines)] = -np.inf
    return cosines


def _overlaps(store: Store, place: int) -> np.ndarray:
    """Jaccard overlap of a pair's top images with all pairs', by flat number.

    Zero for pairs that are constant: their lists say nothing.
    """
    top = np.asarray(store.statistics["top_images"])
    tops = top.reshape(-1, top.shape[-1])
    own = tops[place][tops[place] >= 0]
    shared = np.isin(tops, own).sum(axis=1)
    size = (tops >= 0).sum(axis=1)
    varies = np.asarray(store.statistics["m2"]).ravel() > 0
    found: np.ndarray = shared / (size + len(own) - shared) * varies * varies[place]
    return found


def index_checks(store: Store) -> list[Check]:
    """The index of words against the first words of every pair's explanation."""
    pairs = store.n_heads * store.n_neurons
    ids = np.asarray(store.explanations["word_ids"]).reshape(pairs, -1)[:, :INDEX_ATOMS]
    weights = np.asarray(store.explanations["weights"]).reshape(pairs, -1)[:, :INDEX_ATOMS]
    pair, atom = np.nonzero(ids >= 0)
    expected = _by_word(ids[pair, atom].astype(np.int64), pair, weights[pair, atom])
    offsets = np.asarray(store.index["offsets"], np.int64)
    entries = len(store.index["pairs"])
    over = f"{len(pair):,} entries"
    if entries != len(pair) or offsets[0] != 0 or offsets[-1] != entries:
        return [Check("entries of the index that differ", abs(entries - len(pair)) + 1, 0, over)]
    stored_weights = np.asarray(store.index["weights"], np.float64)
    word = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    found = _by_word(word, np.asarray(store.index["pairs"], np.int64), stored_weights)
    differ = int(((found[0] != expected[0]) | (found[1] != expected[1])).sum())
    error = np.abs(found[2] - expected[2]).max(initial=0.0)
    same_word = word[1:] == word[:-1]
    rise = np.diff(np.abs(stored_weights))[same_word].max(initial=0.0)
    return [
        Check("entries of the index that differ", differ, 0, over),
        Check("weights of the index - those of the explanations", float(error), 0, over),
        Check("rise of |weight| along a word's entries", max(0.0, float(rise)), 0, over),
    ]


def _by_word(
    word: np.ndarray, pair: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    order = np.lexsort((pair, word))
    return word[order], pair[order], weight[order]
