"""Streaming statistics against all-at-once float64, in any batches, shards and order."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.pairs import statistics as statistics_module
from backend.pairs.statistics import (
    NO_IMAGE,
    RANKS,
    PairStatistics,
    histogram_edges,
    monosemanticity,
    orient,
    percentiles,
    spread,
)

HEADS, NEURONS = 3, 5


def sample(images: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(images, HEADS, NEURONS, generator=generator) ** 3 + 2
    values[:, 0, 0] = 1.5  # a pair that never changes
    values[:, 1, 1] = (values[:, 1, 1] * 2).round() / 2  # a pair with many equal values
    return values


def stream(values: torch.Tensor, parts: list[torch.Tensor]) -> PairStatistics:
    edges = histogram_edges(values[:20], bins=12)
    total = PairStatistics.empty(edges)
    for part in parts:
        total.update(values[part], part)
    return total


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_the_neurons_and_change_no_bit(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, numbers = sample(90), torch.arange(90)
    whole = stream(values, [numbers])
    monkeypatch.setattr(statistics_module, "TEMPORARY_NUMBERS", 90 * HEADS)  # a neuron at a time
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    for name, array in stream(values, [numbers]).arrays().items():
        torch.testing.assert_close(array, whole.arrays()[name], rtol=0, atol=0)


@given(images=st.integers(1, 260), size=st.integers(1, 97), order=st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_any_batches_in_any_order_equal_all_at_once(images: int, size: int, order: object) -> None:
    values = sample(images)
    numbers = list(range(images))
    order.shuffle(numbers)  # type: ignore[attr-defined]
    shuffled = torch.tensor(numbers)
    streamed = stream(values, list(shuffled.split(size)))
    exact = values.double()
    deviation = exact.std(dim=0, correction=0).clamp_min(1e-9)
    assert ((streamed.mean - exact.mean(dim=0)).abs() <= 1e-5 * deviation).all()
    m2 = (exact - exact.mean(dim=0)).square().sum(dim=0)
    torch.testing.assert_close(streamed.m2, m2, rtol=1e-9, atol=1e-9)
    assert (streamed.histogram.sum(dim=-1) == images).all()

    at_once = stream(values, [torch.arange(images)])
    torch.testing.assert_close(streamed.high_keys, at_once.high_keys, rtol=0, atol=0)
    torch.testing.assert_close(streamed.low_keys, at_once.low_keys, rtol=0, atol=0)
    torch.testing.assert_close(streamed.histogram, at_once.histogram, rtol=0, atol=0)


def test_shards_merge_in_any_order() -> None:
    values = sample(150)
    edges = histogram_edges(values[:20], bins=12)
    shards = []
    for part in torch.arange(150).split(40):
        shard = PairStatistics.empty(edges)
        shard.update(values[part], part)
        shards.append(shard)
    merged = PairStatistics.empty(edges)
    for shard in reversed(shards):
        merged.merge(shard)
    whole = stream(values, [torch.arange(150)])
    torch.testing.assert_close(merged.comoment, whole.comoment)
    torch.testing.assert_close(merged.high_keys, whole.high_keys, rtol=0, atol=0)


def test_extremes_are_sorted_with_ties_by_lower_image() -> None:
    values = sample(120)
    found, images = stream(values, list(torch.arange(120).split(32))).high
    for head in range(HEADS):
        for neuron in range(NEURONS):
            column = values[:, head, neuron].tolist()
            expected = sorted(range(120), key=lambda image: (-column[image], image))[:RANKS]
            assert images[head, neuron].tolist() == expected
            assert found[head, neuron].tolist() == [column[image] for image in expected]


@pytest.mark.parametrize("images", [1, 7, 49, 50, 51, 99, 100, 101, 300])
def test_orientation_against_the_definition(images: int) -> None:
    values = sample(images, seed=images)
    statistics = stream(values, list(torch.arange(images).split(16)))
    lengths = torch.rand(HEADS, NEURONS) + 0.5
    oriented = orient(statistics, lengths)
    exact = values.double()
    for head in range(HEADS):
        for neuron in range(NEURONS):
            column = exact[:, head, neuron]
            deviation = column - column.mean()
            order = sorted(range(images), key=lambda i: (-float(deviation[i].abs()), i))[:RANKS]
            chosen = deviation[order]
            above = int((chosen > 0).sum())
            if (head, neuron) != (0, 0):  # rounding decides the sign of a constant pair's zeros
                assert oriented.sign[head, neuron] == (1 if 2 * above >= len(order) else -1)
            norm = float(chosen.abs().mean() * lengths[head, neuron])
            assert float(oriented.norm[head, neuron]) == pytest.approx(norm, rel=1e-5, abs=1e-6)
            sign = int(oriented.sign[head, neuron])
            top = sorted(range(images), key=lambda i: (-sign * float(column[i]), i))[:RANKS]
            shown = oriented.top_images[head, neuron]
            assert shown[: len(top)].tolist() == top
            assert (shown[len(top) :] == NO_IMAGE).all()
            missing = oriented.top_values[head, neuron].isnan()
            assert missing.tolist() == (shown == NO_IMAGE).tolist()


def test_monosemanticity_is_one_for_equal_images_and_zero_for_any() -> None:
    embeddings = torch.nn.functional.normalize(torch.randn(400, 16), dim=-1)
    embeddings[:10] = embeddings[0]
    top = torch.stack([torch.arange(10), torch.arange(100, 110)])[None]
    overall = spread(embeddings, readable=400)
    same, mixed = monosemanticity(top, embeddings, overall=overall)[0].tolist()
    assert same == pytest.approx(1, abs=1e-5)
    assert mixed < 0.3
    alone = torch.full((1, 1, 10), NO_IMAGE)
    alone[0, 0, 0] = 3
    assert monosemanticity(alone, embeddings, overall=overall).isnan().all()


def test_the_spread_is_the_mean_squared_distance_to_the_centroid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics_module, "EMBEDDINGS_AT_ONCE", 7)
    unit = torch.nn.functional.normalize(torch.randn(40, 16) + 0.3, dim=-1)
    exact = (unit.double() - unit.double().mean(dim=0)).square().sum(dim=1).mean()
    assert spread(unit, readable=40) == pytest.approx(float(exact), rel=1e-6)
    with_unreadable = torch.cat([unit.half(), torch.zeros(9, 16, dtype=torch.float16)])
    assert spread(with_unreadable, readable=40) == pytest.approx(float(exact), rel=1e-3)


@given(seed=st.integers(0, 1000), bins=st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_values_stand_in_the_bins_that_the_edges_say(seed: int, bins: int) -> None:
    values = sample(88, seed=seed)
    edges = histogram_edges(values[:30], bins=bins)
    values[30 : 30 + bins] = edges[..., :bins].permute(2, 0, 1)  # values on the very edges
    found = PairStatistics.empty(edges)
    found.update(values, torch.arange(88))
    columns = values.permute(1, 2, 0).contiguous()
    places = torch.searchsorted(edges[..., 1:-1].contiguous(), columns, right=True)
    expected = torch.nn.functional.one_hot(places, bins).sum(dim=2)
    assert torch.equal(found.histogram.long(), expected)


def test_percentiles_run_from_zero_to_a_hundred() -> None:
    values = torch.tensor([[3.0, 1.0], [2.0, 2.0]])
    expected = torch.tensor([[100.0, 0.0], [100 / 3, 100 / 3]])
    torch.testing.assert_close(percentiles(values), expected)
