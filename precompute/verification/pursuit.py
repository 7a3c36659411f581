"""Stored explanations against scikit-learn's orthogonal matching pursuit, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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


Place = tuple[int, ...]
"""Where in the arrays of a file: (head, neuron), or the number of a neuron or head."""


@dataclass(frozen=True)
class _Kind:
    """Explanations of one kind of unit: pairs, neurons or heads."""

    name: str
    arrays: Mapping[str, np.ndarray]
    direction: Callable[[Place], np.ndarray]


def pursuit_checks(
    store: Store,
    *,
    samples: int,
    seed: int = 0,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Check]:
    """Words, weights and cosines of sampled pairs, neurons and heads; monotone cosines of all.

    The dictionary is the stored embeddings, centred on their mean and each word normalised.  Where
    scikit-learn takes other words, every stored step must be within TIE of the best.
    """
    dictionary = np.array(store.vocabulary_embeddings, dtype=np.float64)
    dictionary -= dictionary.mean(axis=0)
    dictionary /= np.maximum(np.linalg.norm(dictionary, axis=1, keepdims=True), 1e-300)
    few = max(1, samples // 4)
    kinds = [
        (_Kind("pairs", store.explanations, lambda place: _pair_direction(store, place)), samples),
        (_Kind("neurons", store.neurons, lambda place: _unit(store.neurons, place)), few),
        (_Kind("heads", store.heads, lambda place: _unit(store.heads, place)), few),
    ]
    return [
        check
        for kind, wanted in kinds
        for check in _kind_checks(kind, dictionary, _explained(kind, wanted, seed), advance)
    ]


def _kind_checks(
    kind: _Kind, dictionary: np.ndarray, places: list[Place], advance: Callable[[int], None]
) -> list[Check]:
    compared = []
    for place in places:
        compared.append(_compare(kind, dictionary, place))
        advance(1)
    ties = sum(not one.same_words and one.valid for one in compared)
    wrong = sum(not one.valid for one in compared)
    same = [one for one in compared if one.same_words]
    over = f"{len(same)} {kind.name}"
    falls = max(0.0, float(-np.diff(kind.arrays["cosine"], axis=-1).min(initial=0.0)))
    return [
        Check(
            f"{kind.name} whose words are not scikit-learn's",
            wrong,
            0,
            f"{len(compared)} {kind.name}, {ties} with ties",
        ),
        Check(
            f"stored weights of {kind.name} - scikit-learn's, of the largest",
            max((one.weights for one in same), default=0.0),
            WEIGHT_BOUND,
            over,
        ),
        Check(
            f"stored cosine of {kind.name} - that of scikit-learn's reconstruction",
            max((one.cosine for one in same), default=0.0),
            COSINE_BOUND,
            over,
        ),
        Check(
            f"fall of the cosine of {kind.name} with more words",
            falls,
            FALL_BOUND,
            f"all {kind.name}",
        ),
    ]


def _explained(kind: _Kind, samples: int, seed: int) -> list[Place]:
    """Seeded random places that have words; a direction that is zero has none."""
    ids = kind.arrays["word_ids"]
    shape = ids.shape[:-1]
    order = np.random.default_rng(seed).permutation(int(np.prod(shape)))
    places = (tuple(int(i) for i in np.unravel_index(number, shape)) for number in order)
    chosen = (place for place in places if ids[(*place, 0)] >= 0)
    return [place for _, place in zip(range(samples), chosen, strict=False)]


def _pair_direction(store: Store, place: Place) -> np.ndarray:
    head, neuron = place
    write = np.float64(store.factors["output"][head]) @ store.factors["value"][head, :, neuron]
    direction: np.ndarray = write / np.linalg.norm(write) * store.statistics["sign"][place]
    return direction


def _unit(arrays: Mapping[str, np.ndarray], place: Place) -> np.ndarray:
    direction = np.array(arrays["direction"][place], dtype=np.float64)
    unit: np.ndarray = direction / np.linalg.norm(direction)
    return unit


def _compare(kind: _Kind, dictionary: np.ndarray, place: Place) -> _Compared:
    signal = kind.direction(place)
    ids = np.asarray(kind.arrays["word_ids"][place], dtype=np.int64)
    weights = np.asarray(kind.arrays["weights"][place])[ids >= 0]
    ids = ids[ids >= 0]
    reference = orthogonal_mp(dictionary.T, signal, n_nonzero_coefs=len(ids))
    if set(ids.tolist()) != set(np.flatnonzero(reference).tolist()):
        valid = largest_lead(dictionary, signal, ids) < TIE
        return _Compared(same_words=False, valid=valid, weights=math.nan, cosine=math.nan)
    scale = float(np.abs(reference).max())
    rebuilt = reference @ dictionary
    stored = float(kind.arrays["cosine"][place][-1])
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
