"""Units' principal directions against a plain SVD of contributions that were built."""

from __future__ import annotations

import pytest
import torch

from backend.pairs.components import COMPONENTS, UnitComponents, unit_components
from backend.pairs.factors import Factors
from backend.pairs.statistics import NO_IMAGE, RANKS

IMAGES = 120


@pytest.fixture
def coefficients(factors: Factors) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (IMAGES, factors.n_heads, factors.n_neurons)
    return torch.randn(shape, generator=generator, dtype=torch.float64).exp()


@pytest.fixture
def vectors(factors: Factors) -> torch.Tensor:
    """[neuron, head, d_out]"""
    return torch.einsum("hod,hdn->nho", factors.output, factors.value)


def test_components_are_those_of_a_plain_svd(
    coefficients: torch.Tensor, vectors: torch.Tensor
) -> None:
    found = unit_components(coefficients.permute(2, 0, 1), vectors)
    contributions = torch.einsum("ihn,nho->nio", coefficients, vectors)
    for neuron, contribution in enumerate(contributions):
        centred = contribution - contribution.mean(dim=0)
        kept = centred[centred.norm(dim=1).argsort(descending=True)[:RANKS]]
        _, singular, right = torch.linalg.svd(kept, full_matrices=False)
        for component in range(COMPONENTS):
            direction = found.components[neuron, component] @ vectors[neuron]
            expected = right[component]
            values = kept @ expected
            positive = int((values > 0).sum())
            if positive * 2 < RANKS or (positive * 2 == RANKS and values.sum() < 0):
                expected = -expected
            torch.testing.assert_close(direction, expected, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(
            found.variance_share[neuron], (singular**2 / (singular**2).sum())[:COMPONENTS]
        )
        torch.testing.assert_close(
            found.direction[neuron], found.components[neuron, 0] @ vectors[neuron]
        )
        torch.testing.assert_close(found.norm[neuron], kept.norm(dim=1).mean())


def test_values_are_projections_of_the_contribution(
    coefficients: torch.Tensor, vectors: torch.Tensor
) -> None:
    found = unit_components(coefficients.permute(2, 0, 1), vectors)
    values = torch.einsum("ihn,nho,no->ni", coefficients, vectors, found.direction)
    torch.testing.assert_close(found.mean, values.mean(dim=1))
    torch.testing.assert_close(found.top_values, values.sort(dim=1, descending=True)[0][:, :RANKS])
    torch.testing.assert_close(found.bottom_values, values.sort(dim=1)[0][:, :RANKS])
    torch.testing.assert_close(values.gather(1, found.top_images), found.top_values)
    torch.testing.assert_close(values.gather(1, found.bottom_images), found.bottom_values)


def test_a_head_is_a_unit_too(coefficients: torch.Tensor, factors: Factors) -> None:
    values = torch.einsum("hdn,ihn->hid", factors.value, coefficients)
    found = unit_components(values, factors.output.transpose(1, 2))
    whole = torch.einsum("hod,hid->hio", factors.output, values)
    for head, contribution in enumerate(whole):
        centred = contribution - contribution.mean(dim=0)
        kept = centred[centred.norm(dim=1).argsort(descending=True)[:RANKS]]
        first = torch.linalg.svd(kept)[2][0]
        assert (found.direction[head] @ first).abs() == pytest.approx(1)


def test_one_vector_is_its_own_direction(coefficients: torch.Tensor, factors: Factors) -> None:
    """A pair as a unit: rank one, and oriented as pairs are."""
    vectors = (factors.output[0] @ factors.value[0]).T[:, None]
    found = unit_components(coefficients[:, 0, :].T[..., None], vectors)
    unit = torch.nn.functional.normalize(vectors[:, 0], dim=1)
    assert torch.allclose((found.direction * unit).sum(dim=1).abs(), torch.ones(len(unit)).double())
    expected = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(len(unit), -1)
    torch.testing.assert_close(found.variance_share, expected, atol=1e-9, rtol=0)
    deviation = coefficients[:, 0] - coefficients[:, 0].mean(dim=0)
    for neuron, column in enumerate(deviation.T):
        chosen = column[column.abs().argsort(descending=True, stable=True)[:RANKS]]
        sign = 1 if (chosen > 0).sum() * 2 >= RANKS else -1
        assert torch.sign(found.direction[neuron] @ unit[neuron]) == sign


@pytest.mark.parametrize("images", [1, 3])
def test_few_images_and_dead_units(images: int, factors: Factors) -> None:
    weights = torch.zeros(2, images, factors.n_heads, dtype=torch.float64)
    if images > 1:
        weights[0, 1] = 1
    vectors = torch.einsum("hod,hdn->nho", factors.output, factors.value)[:2]
    found = unit_components(weights, vectors)
    assert isinstance(found, UnitComponents)
    assert found.components.shape == (2, COMPONENTS, factors.n_heads)
    assert found.top_images.shape == (2, RANKS)
    assert (found.top_images[:, images:] == NO_IMAGE).all()
    assert found.top_values[:, images:].isnan().all()
    assert (found.norm[1], found.direction[1].abs().sum()) == (0, 0)
    assert found.variance_share[1].isnan().any()
    assert not found.components.isnan().any()
    alive = float(found.direction[0].norm())
    assert alive == pytest.approx(1 if images > 1 else 0)
