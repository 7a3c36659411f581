"""Sinks that were put there are found, and nothing else is."""

from __future__ import annotations

import pytest
import torch

from backend.pairs.sinks import sink_tokens


def grid(side: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Longer features and more attention in the middle, as pictures have, and some noise."""
    generator = torch.Generator().manual_seed(seed)
    axis = torch.linspace(-1, 1, side)
    middle = 1 + torch.exp(-(axis[:, None] ** 2 + axis**2))
    norm = middle * (1 + 0.1 * torch.rand(side, side, generator=generator))
    attention = middle * (1 + 0.3 * torch.rand(5, side, side, generator=generator))
    return norm, attention / attention.sum(dim=(1, 2), keepdim=True)


@pytest.mark.parametrize("side", [1, 3, 7, 12])
@pytest.mark.parametrize("seed", range(5))
def test_plain_grids_have_none(side: int, seed: int) -> None:
    assert sink_tokens(*grid(side, seed)).shape == (0, 2)


@pytest.mark.parametrize("place", [(11, 11), (0, 5), (6, 6)])
def test_a_long_token_is_found(place: tuple[int, int]) -> None:
    norm, attention = grid(12)
    norm[place] *= 4
    assert sink_tokens(norm, attention).tolist() == [list(place)]


def test_a_token_that_heads_look_at_is_found() -> None:
    norm, attention = grid(9)
    attention[:, 8, 8] *= 5
    norm[2, 3] *= 5
    assert sink_tokens(norm, attention).tolist() == [[2, 3], [8, 8]]


def test_noise_hides_small_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    norm = torch.randn(12, 12, generator=generator).exp()
    norm[5, 5] = 2.5 * norm[4:7, 4:7].median()
    assert sink_tokens(norm, torch.ones(3, 12, 12)).shape == (0, 2)
