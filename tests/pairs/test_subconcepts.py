from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import silhouette_samples

from backend.pairs.factors import Factors, write_norms
from backend.pairs.similarity import orientation_scale
from backend.pairs.statistics import NO_IMAGE
from backend.pairs.subconcepts import (
    cosines_with_neurons,
    mean_directions,
    norm_shares,
    overlaps,
    pair_distances,
    split_strengths,
    weighted_silhouette,
)


@pytest.fixture
def norm(factors: Factors) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(factors.n_heads, factors.n_neurons, generator=generator, dtype=torch.float64)


def scaled(factors: Factors) -> torch.Tensor:
    sign = torch.ones(factors.n_heads, factors.n_neurons, dtype=torch.float64)
    sign[::2, ::3] = -1
    return orientation_scale(sign, write_norms(factors))


def test_directions_and_cosines_equal_the_dense_definition(
    factors: Factors, norm: torch.Tensor
) -> None:
    scale = scaled(factors)
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value) * scale[..., None]
    expected = F.normalize((dense * norm[..., None]).sum(dim=0), dim=1)
    found = mean_directions(factors, scale, norm)
    torch.testing.assert_close(found, expected)
    cosine = cosines_with_neurons(factors, scale, found)
    torch.testing.assert_close(cosine, (dense * expected).sum(dim=2))


def test_a_silent_neuron_has_no_direction_and_no_splits(
    factors: Factors, norm: torch.Tensor
) -> None:
    factors.value[:, :, 2] = 0
    norm[:, 2] = 0
    scale = scaled(factors)
    directions = mean_directions(factors, scale, norm)
    assert (directions[2] == 0).all()
    shares = norm_shares(norm)
    assert (shares[:, 2] == 0).all()
    strength = split_strengths(
        shares, cosines_with_neurons(factors, scale, directions), torch.ones_like(norm)
    )
    assert (strength[:, 2] == 0).all()


def test_shares_of_a_neuron_sum_to_one(norm: torch.Tensor) -> None:
    shares = norm_shares(norm)
    torch.testing.assert_close(shares.sum(dim=0), torch.ones_like(shares[0]))


def test_strength_is_the_product_and_unknown_is_none(norm: torch.Tensor) -> None:
    alike = torch.full_like(norm, 0.25)
    alike[0, 0] = torch.nan
    strength = split_strengths(norm_shares(norm), torch.full_like(norm, -0.5), alike)
    assert strength[0, 0] == 0
    assert strength[1, 1] == pytest.approx(float(norm[1, 1] / norm[:, 1].sum() * 1.5 * 0.25))


def test_overlaps_are_of_sets_of_images() -> None:
    tops = torch.tensor([[1, 2, 3, 4], [4, 3, 9, NO_IMAGE], [NO_IMAGE] * 4])
    found = overlaps(tops)
    assert found[0, 1] == found[1, 0] == pytest.approx(2 / 5)
    assert found[0, 0] == found[1, 1] == 1
    assert (found[2] == 0).all()


def test_the_silhouette_is_scikit_learns() -> None:
    generator = torch.Generator().manual_seed(0)
    points = F.normalize(torch.randn(20, 6, generator=generator, dtype=torch.float64), dim=1)
    distance = pair_distances(points @ points.T, torch.eye(20, dtype=torch.float64))
    group = torch.arange(20) % 3
    group[0] = 3  # alone
    weight = torch.rand(20, generator=generator, dtype=torch.float64)
    samples = silhouette_samples(distance.numpy(), group.numpy(), metric="precomputed")
    expected = np.average(samples, weights=weight.numpy())
    assert weighted_silhouette(distance, group, weight) == pytest.approx(expected)
