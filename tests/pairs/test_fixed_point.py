"""Sums in whole numbers against sums in float64."""

from __future__ import annotations

import pytest
import torch

from backend.pairs.fixed_point import LARGEST, FixedPoint, has_fast_bytes


@pytest.mark.parametrize(("rows", "columns", "choices"), [(1, 1, 1), (5, 7, 3), (50, 1031, 41)])
def test_sums_are_those_of_the_rounded_numbers(rows: int, columns: int, choices: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    numbers = torch.randn(rows, columns, generator=generator) * torch.rand(
        rows, 1, generator=generator
    )
    chosen = torch.rand(choices, columns, generator=generator) < 0.5
    fixed = FixedPoint.of(numbers)
    high, low = fixed.bytes.double().chunk(2)
    rounded = (256 * high + low) * fixed.unit
    largest = numbers.abs().amax(dim=1, keepdim=True)
    assert ((rounded - numbers).abs() <= 0.501 * largest / LARGEST).all()
    torch.testing.assert_close(
        fixed.sums(chosen).double(), chosen.double() @ rounded.T, rtol=1e-6, atol=1e-6
    )


def test_extremes_fit_their_bytes() -> None:
    """The largest numbers, and those half way between two high bytes."""
    whole = torch.tensor([LARGEST, -LARGEST, 128, 127, -128, -129, 0, 256, 32512 - 128.0])
    fixed = FixedPoint.of(whole[None])
    found = fixed.sums(torch.eye(len(whole), dtype=torch.bool))
    assert torch.equal(found.round()[:, 0], whole)
    nothing = FixedPoint.of(torch.zeros(2, 3))
    assert (nothing.sums(torch.ones(1, 3, dtype=torch.bool)) == 0).all()


@pytest.mark.parametrize(("rows", "columns", "others"), [(1, 1, 1), (5, 7, 3), (50, 1031, 41)])
def test_products_lose_what_half_precision_would(rows: int, columns: int, others: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    left = torch.randn(rows, columns, generator=generator) * torch.rand(
        rows, 1, generator=generator
    )
    right = torch.randn(others, columns, generator=generator)
    exact = left.double() @ right.double().T
    found = FixedPoint.of(left).products(FixedPoint.of(right)).double()
    lengths = left.norm(dim=1, keepdim=True).double() * right.norm(dim=1).double()
    assert ((found - exact).abs() <= 2e-4 * lengths).all()


def test_products_of_extremes_fit_their_sums() -> None:
    ones = torch.ones(2, 65_536)
    ones[1] *= -1
    found = FixedPoint.of(ones).products(FixedPoint.of(3 * ones))
    expected = 3 * 65_536 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_bytes_are_for_processors() -> None:
    assert not has_fast_bytes(torch.device("meta"))
