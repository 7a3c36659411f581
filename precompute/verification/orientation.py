"""Sign, norm and percentile of every pair, from the stored lists by their definition."""

from __future__ import annotations

import numpy as np

from backend.store import Store
from precompute.verification.report import Check

RELATIVE_BOUND = 1e-5
"""The lists and means are stored in float32, the norms were made from float64."""

PERCENTILE_BOUND = 1e-3

TIE = 1e-5
"""Of the deviation at the border: images whose |s - mean| differ by less may change places in
float32, and with them the sign of a pair whose most deviating images lie half above its mean."""


def orientation_checks(store: Store) -> list[Check]:
    """Recomputes sign and norm of all pairs from mean, top and bottom images, and the factors."""
    wrong, worst, ties = 0, 0.0, 0
    for head in range(store.n_heads):
        sign, norm, unsure = _of_head(store, head)
        differs = sign != store.statistics["sign"][head]
        ties += int((differs & unsure).sum())
        wrong += int((differs & ~unsure).sum())
        stored = np.asarray(store.statistics["norm"][head], dtype=np.float64)
        floor = float(np.max(stored, initial=0.0)) * RELATIVE_BOUND
        error = np.abs(stored - norm) / np.maximum(stored, max(floor, 1e-300))
        worst = max(worst, float(error.max()))
    over = "all pairs"
    return [
        Check("pairs with another sign", wrong, 0, f"{over}, {ties} undecided"),
        Check("stored norm - norm by definition, relative", worst, RELATIVE_BOUND, over),
        Check("stored percentile of norm - its rank", _percentile(store), PERCENTILE_BOUND, over),
    ]


def _of_head(store: Store, head: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sign, norm, and whether the sign rests on a tie, of a head's pairs ``[neuron]``."""
    statistics = store.statistics
    stored_sign = np.asarray(statistics["sign"][head], dtype=np.float64)[:, None]
    values = np.concatenate(
        [statistics["top_values"][head], statistics["bottom_values"][head]], axis=1
    ).astype(np.float64)
    images = np.concatenate(
        [statistics["top_images"][head], statistics["bottom_images"][head]], axis=1
    )
    deviation = values * stored_sign - np.asarray(statistics["mean"][head], np.float64)[:, None]
    deviation[images < 0] = np.nan
    deviation[_repeated(images)] = np.nan
    order = np.argsort(-np.nan_to_num(np.abs(deviation), nan=-1.0), axis=1, kind="stable")
    ordered = np.take_along_axis(deviation, order, axis=1)
    ranks = statistics["top_values"].shape[-1]
    chosen, next_best = ordered[:, :ranks], ordered[:, ranks]
    present = (~np.isnan(chosen)).sum(axis=1)
    above = (chosen > 0).sum(axis=1)
    sign = np.where(2 * above >= present, 1, -1)
    write = np.asarray(store.factors["output"][head], np.float64) @ store.factors["value"][head]
    norm = np.nansum(np.abs(chosen), axis=1) / np.maximum(present, 1)
    last = chosen[np.arange(len(chosen)), np.maximum(present - 1, 0)]
    gap = np.abs(np.abs(last) - np.abs(np.nan_to_num(next_best)))
    mean = np.abs(np.asarray(statistics["mean"][head], np.float64))
    float32 = np.finfo(np.float32).eps * (mean + np.abs(last))
    unsure = (np.abs(2 * above - present) <= 2) & (gap <= TIE * np.abs(last) + 4 * float32)
    # A deviation within rounding of zero has no side.
    unsure |= np.nanmin(np.abs(chosen), axis=1, initial=np.inf) <= 4 * float32
    return sign, norm * np.linalg.norm(write, axis=0), unsure


def _repeated(images: np.ndarray) -> np.ndarray:
    """Whether an image stands further left in its row already, ``[row, place]``."""
    order = np.argsort(images, axis=1, kind="stable")
    ordered = np.take_along_axis(images, order, axis=1)
    again = np.zeros_like(images, dtype=bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    found = np.zeros_like(again)
    np.put_along_axis(found, order, again, axis=1)
    return found


def _percentile(store: Store) -> float:
    norm = np.asarray(store.statistics["norm"]).ravel()
    below = np.searchsorted(np.sort(norm), norm)
    expected = 100 * below / max(len(norm) - 1, 1)
    stored = np.asarray(store.statistics["norm_percentile"]).ravel()
    return float(np.abs(stored - expected).max())
