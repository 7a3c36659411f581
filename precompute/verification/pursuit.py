"""Stored explanations against scikit-learn's orthogonal matching pursuit, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import orthogonal_mp

from backend.store import Store
from precompute.verification.report import Check

TIE = 1e-6
"""Two words whose |score| differ by less are equal as far as float32 can tell."""

WEIGHT_BOUND = 1e-3
"""Of the largest weight: near-parallel words share a sum that float32 splits less exactly."""

COSINE_BOUND = 1e-5
FALL_BOUND = 1e-6


@dataclass(frozen=True)
class _Compared:
    """One pair: whether the words are scikit-learn's, or as good; differences of the numbers."""

    same_words: bool
    valid: bool
    weights: float
    cosine: float


def pursuit_checks(
    store: Store,
    *,
    samples: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Check]:
    """Words, weights and cosines of sampled pairs; monotone cosines of all pairs.

    The dictionary is the stored embeddings, centred on their mean and each word normalised.  Where
    scikit-learn takes other words, every stored step must be within TIE of the best.
    """
    dictionary = np.array(store.vocabulary_embeddings, dtype=np.float64)
    dictionary -= dictionary.mean(axis=0)
    dictionary /= np.maximum(np.linalg.norm(dictionary, axis=1, keepdims=True), 1e-300)
    places = _writing_pairs(store, samples, seed)
    compared = []
    for place in places:
        compared.append(_compare(store, dictionary, *place))
        advance(1)
    ties = sum(not one.same_words and one.valid for one in compared)
    wrong = sum(not one.valid for one in compared)
    over = f"{len(compared)} pairs"
    same = [one for one in compared if one.same_words]
    cosine = store.explanations["cosine"]
    falls = max(0.0, float(-np.diff(cosine, axis=-1).min(initial=0.0)))
    return [
        Check("pairs whose words are not scikit-learn's", wrong, 0, f"{over}, {ties} with ties"),
        Check(
            "stored weights - scikit-learn's, of the largest",
            max((one.weights for one in same), default=0.0),
            WEIGHT_BOUND,
            f"{len(same)} pairs",
        ),
        Check(
            "stored cosine - that of scikit-learn's reconstruction",
            max((one.cosine for one in same), default=0.0),
            COSINE_BOUND,
            f"{len(same)} pairs",
        ),
        Check("fall of the cosine with more words", falls, FALL_BOUND, "all pairs"),
    ]


def _writing_pairs(store: Store, samples: int, seed: int) -> list[tuple[int, int]]:
    """(head, neuron) of seeded random pairs that have words; a zero write vector has none."""
    order = np.random.default_rng(seed).permutation(store.n_heads * store.n_neurons)
    places = (divmod(int(place), store.n_neurons) for place in order)
    chosen = (place for place in places if store.explanations["word_ids"][(*place, 0)] >= 0)
    return [place for _, place in zip(range(samples), chosen, strict=False)]


def _compare(store: Store, dictionary: np.ndarray, head: int, neuron: int) -> _Compared:
    write = np.float64(store.factors["output"][head]) @ store.factors["value"][head, :, neuron]
    signal = write / np.linalg.norm(write) * store.statistics["sign"][head, neuron]
    ids = np.asarray(store.explanations["word_ids"][head, neuron])
    weights = np.asarray(store.explanations["weights"][head, neuron])[ids >= 0]
    ids = ids[ids >= 0]
    reference = orthogonal_mp(dictionary.T, signal, n_nonzero_coefs=len(ids))
    if set(ids.tolist()) != set(np.flatnonzero(reference).tolist()):
        valid = largest_lead(dictionary, signal, ids) < TIE
        return _Compared(same_words=False, valid=valid, weights=math.nan, cosine=math.nan)
    scale = float(np.abs(reference).max())
    rebuilt = reference @ dictionary
    stored = float(store.explanations["cosine"][head, neuron, -1])
    return _Compared(
        same_words=True,
        valid=True,
        weights=float(np.abs(weights - reference[ids]).max()) / scale,
        cosine=abs(stored - float(rebuilt @ signal) / float(np.linalg.norm(rebuilt))),
    )


def largest_lead(dictionary: np.ndarray, signal: np.ndarray, ids: np.ndarray) -> float:
    """By how much the best word's |score| beats the chosen one's, at the worst of all steps.

    Zero for a pursuit that takes the best word each time; ``ids`` in the order of choice.
    """
    worst = 0.0
    residual = signal
    for step, word in enumerate(ids):
        scores = np.abs(dictionary @ residual)
        worst = max(worst, float(scores.max() - scores[word]))
        chosen = dictionary[ids[: step + 1]].T
        residual = signal - chosen @ np.linalg.lstsq(chosen, signal, rcond=None)[0]
    return worst
