"""Neurons as units, against a plain SVD of what they write on the calibration images."""

from __future__ import annotations

import numpy as np

from backend.store import Store
from precompute.stages.plan import calibration_numbers
from precompute.verification.report import Check
from precompute.verification.statistics import Recomputed

KEPT = 50
"""Images with the longest centred contribution, whose SVD is taken."""

ANGLE_BOUND = 1e-4
SHARE_BOUND = 1e-4
CLEAR_LEAD = 0.02
"""Two components whose shares differ by less may turn in their plane with the last digit."""


def neuron_checks(store: Store, again: Recomputed, *, samples: int, seed: int = 0) -> list[Check]:
    """First component and its share of sampled neurons, from contributions that are materialised.

    ``again`` holds the whole data set, of which the calibration images are taken.
    """
    rows = _calibration_rows(store, again)
    output = np.asarray(store.factors["output"], np.float64)
    angle, share, compared = 0.0, 0.0, 0
    for neuron in np.random.default_rng(seed).permutation(store.n_neurons).tolist():
        if compared == samples:
            break
        value = np.asarray(store.factors["value"][:, :, neuron], np.float64)
        vectors = np.einsum("hod,hd->ho", output, value)
        contribution = again.coefficients[rows, :, neuron].astype(np.float64) @ vectors
        contribution -= contribution.mean(axis=0)
        length = np.linalg.norm(contribution, axis=1)
        kept = contribution[np.argsort(-length, kind="stable")[:KEPT]]
        _, singular, components = np.linalg.svd(kept, full_matrices=False)
        total = np.square(singular).sum()
        shares = np.square(singular) / total if total > 0 else np.zeros(2)
        if len(shares) < 2 or shares[0] - shares[1] < CLEAR_LEAD:
            continue
        compared += 1
        cosine = abs(float(components[0] @ store.neurons["direction"][neuron]))
        angle = max(angle, abs(1 - cosine))
        stored = float(store.neurons["variance_share"][neuron, 0])
        share = max(share, abs(stored - float(shares[0])))
    over = f"{compared} neurons, {len(rows):,} images"
    return [
        Check("1 - |cos(neuron's direction, SVD of its contributions)|", angle, ANGLE_BOUND, over),
        Check("a neuron's share of variance - that of the SVD", share, SHARE_BOUND, over),
    ]


def _calibration_rows(store: Store, again: Recomputed) -> np.ndarray:
    """Rows of ``again`` that hold calibration images: as many as the store was made with."""
    images = store.manifest.dataset.images + len(store.manifest.dataset.unreadable)
    wanted = int(store.manifest.parameters["calibration_images"])
    numbers = calibration_numbers(images, wanted)
    return np.flatnonzero(np.isin(again.numbers, list(numbers)))
