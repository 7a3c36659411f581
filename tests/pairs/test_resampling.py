from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.pairs.resampling import LEVEL, PairSample, interval, resample
from backend.pairs.statistics import NO_IMAGE, RANKS

BINS = 32


def sample_of(values: np.ndarray) -> PairSample:
    """What a store keeps of these values."""
    order = np.argsort(-values, kind="stable")
    missing = max(RANKS - len(values), 0)
    high, low = order[:RANKS], order[::-1][:RANKS]
    counts, edges = np.histogram(values, bins=BINS)

    def padded(images: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        told = np.append(values[images], np.full(missing, np.nan))
        return torch.from_numpy(told).float(), torch.from_numpy(
            np.append(images, np.full(missing, NO_IMAGE))
        )

    (top, top_images), (bottom, bottom_images) = padded(high), padded(low)
    return PairSample(
        high=top,
        high_images=top_images,
        low=bottom,
        low_images=bottom_images,
        counts=torch.from_numpy(counts),
        edges=torch.from_numpy(edges).float(),
        count=len(values),
        mean=float(values.mean()),
        m2=float(((values - values.mean()) ** 2).sum()),
    )


def spread_of(values: np.ndarray) -> float:
    deviation = np.sort(np.abs(values - values.mean()))[::-1]
    return float(deviation[:RANKS].mean())


def plainly(values: np.ndarray, draws: int = 2000) -> np.ndarray:
    """The textbook bootstrap, with all values at hand."""
    rng = np.random.default_rng(1)
    chosen = rng.integers(0, len(values), (draws, len(values)))
    return np.array([spread_of(values[each]) for each in chosen])


@pytest.mark.parametrize("kind", ["normal", "one-sided", "heavy", "few"])
def test_the_interval_is_that_of_the_textbook_bootstrap(kind: str) -> None:
    rng = np.random.default_rng(0)
    values = {
        "normal": rng.normal(size=1000),
        "one-sided": rng.gamma(0.5, 1.0, 1000),
        "heavy": rng.standard_t(3, 1000),
        "few": rng.normal(size=80),
    }[kind]
    plain = plainly(values)
    low, high = np.quantile(plain, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    found = interval(resample(sample_of(values), top=8).spread)
    assert found == pytest.approx((low, high), abs=0.12 * (high - low))


def test_the_same_draws_give_the_same_figures() -> None:
    sample = sample_of(np.random.default_rng(0).normal(size=500))
    first, second = resample(sample, top=8), resample(sample, top=8)
    assert torch.equal(first.spread, second.spread)
    assert torch.equal(first.retained, second.retained)


def test_top_images_that_are_alike_are_retained() -> None:
    flat = np.concatenate([np.ones(50), np.zeros(950)])
    assert resample(sample_of(flat), top=8).retained.min() == pytest.approx(1)
    peaked = np.concatenate([[100.0], np.linspace(1, 0, 999)])
    found = resample(sample_of(peaked), top=8).retained
    assert found.min() < 0.2
    assert found.max() <= 1


def test_values_that_never_vary_have_no_retention() -> None:
    found = resample(sample_of(np.zeros(200)), top=8)
    assert (found.spread == 0).all()
    assert found.retained.isnan().all()


def test_few_images_are_all_there_is() -> None:
    values = np.array([3.0, 1.0, -2.0])
    found = resample(sample_of(values), top=8)
    assert found.spread.isfinite().all()
    assert found.spread.max() <= 6
