"""Stored statistics against the same from coefficients computed anew, in float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backend.clip import ClipResNet
from backend.store import Store
from precompute.datasets import ImageSet
from precompute.verification.report import Check

MOMENT_BOUND = 1e-5
"""Of each pair's own deviation."""

SPREAD_BOUND = 1e-4
VALUE_BOUND = 1e-3
"""Of each pair's deviation: another machine's float32 rounds single coefficients otherwise."""

HISTOGRAM_BOUND = 1e-4
"""Share of all counts: coefficients within rounding of an edge."""

LEAST_DEVIATION = 1e-6
"""Of a pair's |mean|: a pair that deviates less is constant but for rounding and has no scale."""

MOST_BYTES = 2 << 30
"""Coefficients of a whole data set are held at once up to here; beyond it, images are sampled."""


@dataclass(frozen=True)
class Recomputed:
    """Coefficients and embeddings of the readable images among ``numbers``."""

    numbers: np.ndarray
    coefficients: np.ndarray
    embeddings: np.ndarray


def fits(store: Store) -> bool:
    """Whether the coefficients of the whole data set may be held at once."""
    return 4 * store.manifest.dataset.images * store.n_heads * store.n_neurons <= MOST_BYTES


def recompute(
    store: Store,
    model: ClipResNet,
    images: ImageSet,
    *,
    numbers: list[int] | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Recomputed:
    """Runs the model over the data set (or some of it) in the blocks that the store was made in."""
    block = int(store.manifest.parameters["images_at_once"])
    found: list[int] = []
    coefficients, embeddings = [], []
    for part in images.blocks(model.preprocess, size=block, numbers=numbers):
        if part.numbers:
            passed = model.decompose(part.pixels)
            coefficients.append(passed.coefficients.cpu().numpy())
            embeddings.append(passed.embedding.cpu().numpy())
            found += part.numbers
        advance(len(part.numbers) + len(part.unreadable))
    return Recomputed(np.array(found), np.concatenate(coefficients), np.concatenate(embeddings))


def statistics_checks(store: Store, again: Recomputed) -> list[Check]:
    """Every statistic of every pair, from the coefficients of the whole data set at once."""
    over = f"all pairs, {len(again.numbers):,} images"
    worst: dict[str, float] = {}

    def note(name: str, error: float) -> None:
        worst[name] = max(worst.get(name, 0.0), error)

    statistics, misplaced = store.statistics, 0
    for head in range(store.n_heads):
        column = again.coefficients[:, head].astype(np.float64)
        mean, deviation = column.mean(axis=0), column.std(axis=0)
        varies = deviation > LEAST_DEVIATION * np.abs(mean)
        scale = np.where(varies, deviation, np.inf)
        note("mean", float((np.abs(statistics["mean"][head] - mean) / scale).max()))
        spread = np.sqrt(np.asarray(statistics["m2"][head], np.float64) / len(column))
        note("deviation", float((np.abs(spread - deviation) / scale).max()))
        sign = np.asarray(statistics["sign"][head], dtype=np.float64)
        oriented = np.sort(column * sign, axis=0)
        ranks = min(statistics["top_values"].shape[-1], len(column))
        for name, extreme in (("top", oriented[::-1][:ranks].T), ("bottom", oriented[:ranks].T)):
            error = np.abs(statistics[f"{name}_values"][head, :, :ranks] - extreme)
            note("values", float((error / scale[:, None]).max()))
        misplaced += _misplaced(store, head, again.coefficients[:, head])
    covariance = _covariance_error(store, again)
    total = len(again.numbers) * store.n_heads * store.n_neurons
    checks = [
        Check("images counted, difference", _count_error(store, again), 0, over),
        Check("stored mean, of the deviation", worst["mean"], MOMENT_BOUND, over),
        Check("stored deviation, relative", worst["deviation"], MOMENT_BOUND, over),
        Check("stored covariance between heads, relative", covariance, SPREAD_BOUND, over),
        Check("stored top and bottom values, of the deviation", worst["values"], VALUE_BOUND, over),
        Check("histogram, share misplaced", misplaced / total, HISTOGRAM_BOUND, over),
        Check("stored monosemanticity", _monosemanticity_error(store, again), SPREAD_BOUND, over),
    ]
    return [*checks, value_check(store, again)]


def value_check(store: Store, again: Recomputed) -> Check:
    """Each stored value of the top and bottom lists against its own image's coefficient."""
    place_of = np.full(int(again.numbers.max()) + 1, -1)
    place_of[again.numbers] = np.arange(len(again.numbers))
    worst, compared = 0.0, 0
    statistics = store.statistics
    count = max(int(statistics["count"]), 1)
    for head in range(store.n_heads):
        sign = np.asarray(statistics["sign"][head], dtype=np.float64)[:, None]
        mean = np.abs(np.asarray(statistics["mean"][head], np.float64))
        deviation = np.sqrt(np.asarray(statistics["m2"][head], np.float64) / count)
        scale = np.where(deviation > LEAST_DEVIATION * mean, deviation, np.inf)[:, None]
        for name in ("top", "bottom"):
            images = np.asarray(statistics[f"{name}_images"][head])
            known = (images >= 0) & (images < len(place_of))
            places = np.where(known, place_of[np.where(known, images, 0)], -1)
            columns = np.broadcast_to(np.arange(store.n_neurons)[:, None], images.shape)
            values = again.coefficients[np.maximum(places, 0), head, columns] * sign
            error = np.abs(statistics[f"{name}_values"][head] - values) / scale
            there = places >= 0
            worst = max(worst, float(error[there].max(initial=0.0)))
            compared += int(there.sum())
    return Check(
        "stored values - their images' coefficients, of the deviation",
        worst,
        VALUE_BOUND,
        f"{compared:,} values, {len(again.numbers):,} images",
    )


def listed_images(store: Store, *, samples: int, seed: int = 0) -> list[int]:
    """Seeded random choice among the images that any pair's lists name, in ascending order."""
    listed = np.unique(store.statistics["top_images"][..., 0])
    listed = listed[listed >= 0]
    chosen = np.random.default_rng(seed).permutation(listed)[:samples]
    return sorted(int(number) for number in chosen)


def _count_error(store: Store, again: Recomputed) -> float:
    return abs(int(store.statistics["count"]) - len(again.numbers))


def _misplaced(store: Store, head: int, column: np.ndarray) -> int:
    """Images of a head's pairs that stand in another bin than the stored one."""
    edges = np.asarray(store.statistics["edges"][head])
    stored = np.asarray(store.statistics["histogram"][head])
    wrong = 0
    for neuron in range(store.n_neurons):
        places = np.searchsorted(edges[neuron, 1:-1], column[:, neuron], side="right")
        counts = np.bincount(places, minlength=stored.shape[1])
        wrong += int(np.abs(counts - stored[neuron]).sum()) // 2
    return wrong


def _covariance_error(store: Store, again: Recomputed) -> float:
    """Largest difference of a neuron's covariances, of the product of the heads' deviations."""
    worst = 0.0
    for neuron in range(store.n_neurons):
        column = again.coefficients[:, :, neuron].astype(np.float64)
        centred = column - column.mean(axis=0)
        covariance = centred.T @ centred / max(len(column) - 1, 1)
        deviation = np.sqrt(covariance.diagonal())
        varies = deviation > LEAST_DEVIATION * np.abs(column.mean(axis=0))
        scale = np.where(varies, deviation, np.inf)
        error = np.abs(store.statistics["neuron_covariance"][neuron] - covariance)
        worst = max(worst, float((error / np.outer(scale, scale)).max()))
    return worst


def _monosemanticity_error(store: Store, again: Recomputed) -> float:
    """1 - spread of the ten top images' unit embeddings / spread over all, by its definition."""
    unit = again.embeddings.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    overall = 1 - float(np.square(unit.mean(axis=0)).sum())
    place_of = np.full(int(again.numbers.max()) + 1, -1)
    place_of[again.numbers] = np.arange(len(again.numbers))
    worst = 0.0
    for head in range(store.n_heads):
        images = np.asarray(store.statistics["top_images"][head, :, :10])
        known = images >= 0
        vectors = unit[place_of[np.where(known, images, 0)]] * known[..., None]
        several = known.sum(axis=1) > 1
        centroid = vectors.sum(axis=1) / np.maximum(known.sum(axis=1), 1)[:, None]
        score = np.clip(1 - (1 - np.square(centroid).sum(axis=1)) / overall, 0, 1)
        stored = np.asarray(store.statistics["monosemanticity"][head])
        worst = max(worst, float(np.abs(stored - score)[several].max(initial=0.0)))
    return worst
