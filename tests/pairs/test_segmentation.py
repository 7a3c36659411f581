"""The factored segmentation against a reading of its formulas that materialises r."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors
from backend.pairs.fixed_point import FixedPoint
from backend.pairs.segmentation import (
    HeadReading,
    choose_pairs,
    clean_reading,
    head_heatmaps,
    head_logits,
    head_values,
    neuron_logits,
    official_reading,
    pair_logits,
    place_embeddings,
    self_self_values,
)
from backend.pairs.similarity import fold_texts

WINDOWS, ROWS, COLUMNS, TEXTS = 2, 3, 4, 3
CELLS = ROWS * COLUMNS
SINKS = torch.tensor([[2, 3], [0, 1]])


class Scene:
    """Random features, texts and chosen pairs, in float64."""

    def __init__(self, factors: Factors) -> None:
        generator = torch.Generator().manual_seed(4)

        def random(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        self.activations = random(WINDOWS, CELLS, factors.n_neurons).relu()
        self.tokens = self.activations + 0.1 * random(CELLS, factors.n_neurons)
        self.attention = random(WINDOWS, factors.n_heads, CELLS + 1).softmax(dim=-1)
        self.places = self.activations.flatten(0, 1)
        self.texts = F.normalize(random(TEXTS, factors.d_out), dim=1)
        self.chosen = choose_pairs(random(factors.n_heads, TEXTS, factors.n_neurons), share=0.3)

    def heatmaps(self, mode: str, factors: Factors) -> torch.Tensor:
        return head_heatmaps(read(mode, self, factors), fold_texts(self.texts, factors))


@pytest.fixture
def scene(factors: Factors) -> Scene:
    return Scene(factors)


def by_place(values: torch.Tensor) -> torch.Tensor:
    """[window, cell, head, number] as [head, number, place]."""
    return values.flatten(0, 1).permute(1, 2, 0)


def written(scene: Scene, factors: Factors) -> torch.Tensor:
    """W_O (W_V x + b_V), [window, cell, head, d_out]."""
    values = torch.einsum("hdn,bin->bihd", factors.value, scene.tokens) + factors.value_bias
    return torch.einsum("hod,bihd->biho", factors.output, values)


def official_r(scene: Scene, factors: Factors) -> torch.Tensor:
    """The paper's r, [window, cell, head, d_out], with sinks replaced cell by cell."""
    tokens = CELLS + 1
    r = scene.attention[:, :, 1:].transpose(1, 2)[..., None] * written(scene, factors)
    r = r + factors.output_bias / (tokens * factors.n_heads)
    grid = r.reshape(WINDOWS, ROWS, COLUMNS, *r.shape[2:])
    replaced = grid.clone()
    sinks = {tuple(place) for place in SINKS.tolist()}
    for row, column in sinks:
        around = [
            grid[:, row + down, column + right]
            for down in (-1, 0, 1)
            for right in (-1, 0, 1)
            if 0 <= row + down < ROWS
            and 0 <= column + right < COLUMNS
            and (row + down, column + right) not in sinks
        ]
        replaced[:, row, column] = torch.stack(around).mean(dim=0)
    return replaced.reshape(r.shape)


def read(mode: str, scene: Scene, factors: Factors) -> HeadReading:
    values = head_values(scene.tokens.flatten(0, 1), factors)
    if mode == "clean":
        return clean_reading(values, factors)
    return official_reading(
        values, scene.attention, factors, sinks=SINKS, rows=ROWS, columns=COLUMNS
    )


@pytest.mark.parametrize("mode", ["clean", "official"])
def test_heatmaps_and_logits_are_those_of_a_materialised_r(
    mode: str, scene: Scene, factors: Factors
) -> None:
    r = written(scene, factors) if mode == "clean" else official_r(scene, factors)
    expected = torch.einsum("biho,to->biht", F.normalize(r, dim=-1), scene.texts)
    heat = scene.heatmaps(mode, factors)
    torch.testing.assert_close(heat, by_place(expected), rtol=1e-9, atol=1e-10)

    found = {
        "pairs": pair_logits(scene.places, heat, scene.chosen),
        "heads": head_logits(heat, scene.chosen),
        "neurons": neuron_logits(scene.places, scene.chosen),
    }
    for text in range(TEXTS):
        total = {name: torch.zeros(WINDOWS, CELLS, dtype=torch.float64) for name in found}
        for head, neuron in scene.chosen.among[:, text].nonzero().tolist():
            neuron_map = scene.activations[:, :, neuron]
            head_map = expected[:, :, head, text]
            total["pairs"] += neuron_map * head_map
            total["heads"] += head_map
            total["neurons"] += neuron_map
        for name, logits in found.items():
            torch.testing.assert_close(logits[text], total[name].flatten() / scene.chosen.count)


def test_a_bottom_right_sink_takes_its_west_north_and_northwest_neighbours(
    scene: Scene, factors: Factors
) -> None:
    r = official_r(scene, factors).reshape(WINDOWS, ROWS, COLUMNS, factors.n_heads, -1)
    plain = scene.attention[:, :, 1:].transpose(1, 2)[..., None] * written(scene, factors)
    plain = plain + factors.output_bias / ((CELLS + 1) * factors.n_heads)
    plain = plain.reshape(r.shape)
    expected = (plain[:, 2, 2] + plain[:, 1, 3] + plain[:, 1, 2]) / 3
    torch.testing.assert_close(r[:, 2, 3], expected)


def test_cells_are_embedded_by_all_heads_together(
    scene: Scene, factors: Factors, query_key: QueryKey
) -> None:
    values = head_values(scene.tokens.flatten(0, 1), factors)
    expected = F.normalize(written(scene, factors).sum(dim=2) + factors.output_bias, dim=-1)
    torch.testing.assert_close(place_embeddings(values, factors), expected.flatten(0, 1).T)

    of_cells = torch.einsum("hdn,bin->bihd", factors.value, scene.tokens) + factors.value_bias
    mixed = torch.zeros_like(of_cells)
    for head in range(factors.n_heads):
        for weight, bias in (
            (query_key.query[head], query_key.query_bias[head]),
            (query_key.key[head], query_key.key_bias[head]),
        ):
            own = torch.einsum("dn,bin->bid", weight, scene.tokens) + bias
            scores = torch.einsum("bid,bjd->bij", own, own) / factors.d_head**0.5
            mixed[:, :, head] += scores.softmax(dim=-1) @ of_cells[:, :, head]
    torch.testing.assert_close(self_self_values(scene.tokens, values, query_key), by_place(mixed))


def test_a_gain_removes_exactly_what_its_pairs_said(scene: Scene, factors: Factors) -> None:
    heat = scene.heatmaps("clean", factors)
    gain = torch.ones(factors.n_heads, factors.n_neurons, dtype=torch.float64)
    gain[1] = 0
    gain[:, 5] *= 0.5
    ablated, removed = scene.chosen.scaled(gain), scene.chosen.scaled(1 - gain)
    for logits in (
        lambda chosen: pair_logits(scene.places, heat, chosen),
        lambda chosen: head_logits(heat, chosen),
        lambda chosen: neuron_logits(scene.places, chosen),
    ):
        torch.testing.assert_close(logits(ablated) + logits(removed), logits(scene.chosen))


def test_a_gain_of_noughts_and_ones_chooses_fewer_pairs(scene: Scene, factors: Factors) -> None:
    gain = torch.ones(factors.n_heads, factors.n_neurons, dtype=torch.float64)
    gain[1] = 0
    without = scene.chosen.scaled(gain)
    assert without.gain is None
    assert not without.among[1].any()
    assert torch.equal(without.among[0], scene.chosen.among[0])
    halved = without.scaled(gain / 2)
    assert torch.equal(halved.weights(torch.float64), without.weights(torch.float64) / 2)


def test_whole_numbers_give_the_same_logits(scene: Scene, factors: Factors) -> None:
    heat = scene.heatmaps("clean", factors)
    rounded = FixedPoint.of(scene.places)
    exact = pair_logits(scene.places, heat, scene.chosen)
    found = pair_logits(rounded, heat, scene.chosen)
    assert 0 < float((found - exact).abs().max()) < 1e-4 * float(exact.std())
    gain = torch.rand(factors.n_heads, factors.n_neurons, dtype=torch.float64)
    ablated = scene.chosen.scaled(gain)
    torch.testing.assert_close(
        pair_logits(rounded, heat, ablated),
        pair_logits(scene.places, heat, ablated),
        rtol=1e-4,
        atol=1e-4 * float(exact.std()),
    )


def test_the_chosen_pairs_are_the_most_similar() -> None:
    similarity = torch.randn(3, 2, 40)
    chosen = choose_pairs(similarity, share=0.1)
    assert chosen.count == 12
    assert chosen.among.sum(dim=(0, 2)).tolist() == [12, 12]
    for text in range(2):
        own = chosen.among[:, text]
        assert similarity[:, text][own].min() > similarity[:, text][~own].max()
    assert torch.equal(chosen.of(slice(1, 2)).among, chosen.among[:, 1:])


def test_of_equal_pairs_the_first_are_chosen() -> None:
    similarity = torch.zeros(3, 2, 4)
    similarity[2, 0, 3] = 1
    chosen = choose_pairs(similarity, share=0.5)
    first, second = chosen.among[:, 0].int().tolist(), chosen.among[:, 1].int().tolist()
    assert first == [[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 1]]
    assert second == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        choose_pairs(torch.randn(2, 1, 3), share=share)
