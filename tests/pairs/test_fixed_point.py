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
        fixed.sums(chosen).double(), rounded @ chosen.double().T, rtol=1e-6, atol=1e-6
    )


def test_extremes_fit_their_bytes() -> None:
    """The largest numbers, and those half way between two high bytes."""
    whole = torch.tensor([LARGEST, -LARGEST, 128, 127, -128, -129, 0, 256, 32512 - 128.0])
    fixed = FixedPoint.of(whole[None])
    found = fixed.sums(torch.eye(len(whole), dtype=torch.bool))
    assert torch.equal(found.round()[0], whole)
    nothing = FixedPoint.of(torch.zeros(2, 3))
    assert (nothing.sums(torch.ones(1, 3, dtype=torch.bool)) == 0).all()


def test_only_float32_on_a_processor_is_taken_in_bytes() -> None:
    assert not has_fast_bytes(torch.zeros(1, dtype=torch.float64))
    assert not has_fast_bytes(torch.zeros(1, device="meta"))
