"""How one image drives pairs, against the definitions read one by one."""

from __future__ import annotations

import pytest
import torch

from backend.pairs.factors import Factors, head_directions, write_norms
from backend.pairs.similarity import orientation_scale
from backend.pairs.standing import movement, standing


@pytest.fixture
def figures() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    shape = (3, 5)
    deviation = torch.rand(shape, generator=draw)
    deviation[1, 2] = 0
    return {
        "coefficients": torch.randn(shape, generator=draw),
        "mean": torch.randn(shape, generator=draw),
        "deviation": deviation,
        "sign": torch.where(torch.rand(shape, generator=draw) > 0.5, 1.0, -1.0),
    }


def test_standing_is_the_oriented_distance_from_the_mean_in_deviations(
    figures: dict[str, torch.Tensor],
) -> None:
    found = standing(**figures)
    for head in range(3):
        for neuron in range(5):
            s, mean, deviation, sign = (float(each[head, neuron]) for each in figures.values())
            expected = sign * (s - mean) / deviation if deviation else 0.0
            assert float(found[head, neuron]) == pytest.approx(expected, rel=1e-5)


def test_movement_is_the_part_of_the_contribution_along_the_direction(
    figures: dict[str, torch.Tensor],
) -> None:
    draw = torch.Generator().manual_seed(1)
    factors = Factors(
        value=torch.randn(3, 4, 5, generator=draw),
        output=torch.randn(3, 6, 4, generator=draw),
        value_bias=torch.zeros(3, 4),
        output_bias=torch.zeros(6),
    )
    factors.value[2, :, 1] = 0  # a pair that writes nothing
    scale = orientation_scale(figures["sign"], write_norms(factors))
    found = movement(figures["coefficients"], mean=figures["mean"], scale=scale)
    for head in range(3):
        directions = figures["sign"][head][:, None] * head_directions(factors, head=head)
        for neuron in range(5):
            vector = factors.output[head] @ factors.value[head, :, neuron]
            change = figures["coefficients"][head, neuron] - figures["mean"][head, neuron]
            expected = float((change * vector) @ directions[neuron]) if vector.any() else 0.0
            assert float(found[head, neuron]) == pytest.approx(expected, rel=1e-4, abs=1e-6)
