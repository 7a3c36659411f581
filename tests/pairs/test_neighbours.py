"""Neighbours against all pairs compared at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.pairs import neighbours
from backend.pairs.factors import Factors, write_norms
from backend.pairs.neighbours import (
    NEIGHBOURS,
    NO_PAIR,
    CoActivation,
    largest_counts,
    largest_places,
    nearest_directions,
)
from backend.pairs.similarity import orientation_scale


def test_largest_places() -> None:
    generator = torch.Generator().manual_seed(0)
    for places in (5, 128, 1000):
        scores = torch.rand(30, places, generator=generator)
        found, where = largest_places(scores, 12)
        expected = scores.topk(min(12, places), dim=1)
        assert torch.equal(where, expected.indices)
        assert torch.equal(found, expected.values)


def test_largest_counts_with_many_equal() -> None:
    generator = torch.Generator().manual_seed(0)
    for places in (5, 128, 1000):
        counts = torch.randint(0, 6, (30, places), generator=generator).to(torch.uint8)
        found, where = largest_counts(counts, 12)
        order = counts.long().argsort(dim=1, descending=True, stable=True)[:, :12]
        assert torch.equal(where, order)
        assert torch.equal(found, counts.long().gather(1, order))


def test_nearest_directions(factors: Factors) -> None:
    factors.value[2, :, 5] = 0
    norms = write_norms(factors)
    generator = torch.Generator().manual_seed(1)
    sign = torch.randint(0, 2, norms.shape, generator=generator).double() * 2 - 1
    scale = orientation_scale(sign, norms)
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value) * scale[..., None]
    flat = dense.flatten(0, 1)
    silent = 2 * factors.n_neurons + 5
    cosines = flat @ flat.T
    cosines.fill_diagonal_(-2)
    cosines[:, silent] = -2
    for head in range(factors.n_heads):
        ids, found = nearest_directions(factors, scale, head=head)
        for neuron in range(factors.n_neurons):
            pair = head * factors.n_neurons + neuron
            if pair == silent:
                assert (ids[neuron] == NO_PAIR).all()
                assert found[neuron].isnan().all()
                continue
            expected = cosines[pair].topk(NEIGHBOURS)
            assert ids[neuron].tolist() == expected.indices.tolist()
            torch.testing.assert_close(found[neuron], expected.values)


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("common", [1, 32, 10**9])
@pytest.mark.parametrize(("images", "ranks", "known"), [(400, 50, 50), (60, 50, 50), (9, 12, 9)])
def test_co_activation_is_jaccard_of_top_images(
    images: int, ranks: int, known: int, common: int, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether images are counted by flags, by lists or both."""
    monkeypatch.setattr(neighbours, "has_native_bfloat16", lambda _: native)
    monkeypatch.setattr(neighbours, "COMMON", common)
    monkeypatch.setattr(neighbours, "COMMON_IN_BFLOAT16", common)
    heads, neurons = 3, 40
    generator = torch.Generator().manual_seed(2)
    # Some images far more popular than others.
    popularity = torch.rand(images, generator=generator).pow(4)
    noise = torch.rand(heads, neurons, images, generator=generator) * popularity
    tops = F.pad(noise.argsort(dim=-1, descending=True)[..., :known], (0, ranks - known), value=-1)
    active = torch.ones(heads, neurons, dtype=torch.bool)
    active[1, 7] = False
    found, jaccard = CoActivation(tops, active, images=images).nearest(range(heads * neurons))
    sets = [set(row.tolist()) - {-1} for row in tops.flatten(0, 1)]
    for pair, mine in enumerate(sets):
        if pair == neurons + 7:
            assert (found[pair] == NO_PAIR).all()
            assert jaccard[pair].isnan().all()
            continue
        overlaps = [
            (-len(mine & other) / len(mine | other), place)
            for place, other in enumerate(sets)
            if place not in (pair, neurons + 7) and mine & other
        ]
        expected = sorted(overlaps)[:NEIGHBOURS]
        held = len(expected)
        assert found[pair, :held].tolist() == [place for _, place in expected]
        assert jaccard[pair, :held].tolist() == pytest.approx([-overlap for overlap, _ in expected])
        assert (found[pair, held:] == NO_PAIR).all()
