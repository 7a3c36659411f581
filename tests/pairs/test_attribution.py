"""Parts of a score against contributions that are built one by one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.pairs.attribution import (
    attribute_places,
    attribute_score,
    attribute_token,
    largest_parts,
)
from backend.pairs.coefficients import (
    QueryKey,
    embedding_from_coefficients,
    pair_coefficients,
    pool_tokens,
    pooled_attention,
)
from backend.pairs.factors import Factors, write_vector

ROWS, COLUMNS = 2, 3


class Seen:
    """One image through a small pool."""

    def __init__(self, factors: Factors, query_key: QueryKey) -> None:
        generator = torch.Generator().manual_seed(5)
        shape = (1, factors.n_neurons, ROWS, COLUMNS)
        features = torch.rand(shape, generator=generator, dtype=torch.float64)
        self.positions = torch.randn(
            ROWS * COLUMNS + 1, factors.n_neurons, generator=generator, dtype=torch.float64
        )
        tokens = pool_tokens(features, self.positions)
        attention = pooled_attention(tokens, query_key)
        coefficients = pair_coefficients(tokens, attention)
        self.features, self.attention, self.coefficients = (
            features[0], attention[0], coefficients[0],
        )  # fmt: skip
        self.embedding = embedding_from_coefficients(coefficients, factors)[0]
        self.texts = F.normalize(
            torch.randn(2, factors.d_out, generator=generator, dtype=torch.float64), dim=1
        )


@pytest.fixture
def seen(factors: Factors, query_key: QueryKey) -> Seen:
    return Seen(factors, query_key)


def test_pairs_sum_to_the_cosine_and_each_is_its_contribution(seen: Seen, factors: Factors) -> None:
    text = seen.texts[0]
    found = attribute_score(seen.coefficients, seen.embedding, text, factors)
    cosine = F.cosine_similarity(seen.embedding, text, dim=0)
    torch.testing.assert_close(found.score, cosine)
    for parts in (found.pairs, found.heads, found.neurons):
        torch.testing.assert_close(parts.sum() + found.constant, cosine)
    for head, neuron in ((0, 0), (3, 20), (2, 7)):
        vector = write_vector(factors, neuron=neuron, head=head)
        expected = seen.coefficients[head, neuron] * (vector @ text) / seen.embedding.norm()
        torch.testing.assert_close(found.pairs[head, neuron], expected)


def test_a_contrast_is_the_difference_of_two_scores(seen: Seen, factors: Factors) -> None:
    first, second = (
        attribute_score(seen.coefficients, seen.embedding, text, factors) for text in seen.texts
    )
    both = attribute_score(
        seen.coefficients, seen.embedding, seen.texts[0] - seen.texts[1], factors
    )
    torch.testing.assert_close(both.score, first.score - second.score)
    torch.testing.assert_close(both.pairs, first.pairs - second.pairs)


def test_a_baseline_moves_into_the_constant(seen: Seen, factors: Factors) -> None:
    text, mean = seen.texts[0], torch.rand_like(seen.coefficients)
    plain = attribute_score(seen.coefficients, seen.embedding, text, factors)
    found = attribute_score(seen.coefficients, seen.embedding, text, factors, baseline=mean)
    torch.testing.assert_close(found.score, plain.score)
    torch.testing.assert_close(found.pairs.sum() + found.constant, found.score)
    unchanged = attribute_score(
        seen.coefficients, seen.embedding, text, factors, baseline=seen.coefficients
    )
    assert unchanged.pairs.abs().max() == 0


def test_places_sum_to_the_score_and_pairs_to_their_place(seen: Seen, factors: Factors) -> None:
    text = seen.texts[0]
    score = attribute_score(seen.coefficients, seen.embedding, text, factors)
    placed = attribute_places(
        seen.features, seen.attention, seen.positions, seen.embedding, text, factors
    )
    total = placed.cells.sum() + placed.position + placed.constant
    torch.testing.assert_close(total, score.score)
    torch.testing.assert_close(placed.score, score.score)
    over_cells = torch.zeros_like(score.pairs)
    for row in range(ROWS):
        for column in range(COLUMNS):
            pairs = attribute_token(
                seen.features, seen.attention, seen.embedding, text, factors, row=row, column=column
            )
            torch.testing.assert_close(pairs.sum(), placed.cells[row, column])
            over_cells += pairs
    # What is left of every pair is its position term.
    vector = write_vector(factors, neuron=3, head=1)
    position = (seen.attention[1] @ seen.positions[:, 3]) * (vector @ text) / seen.embedding.norm()
    torch.testing.assert_close(score.pairs[1, 3] - over_cells[1, 3], position)


def test_single_precision_keeps_the_sum(seen: Seen, factors: Factors) -> None:
    single = Factors(*(array.float() for array in vars(factors).values()))
    embedding = seen.embedding.float()
    text = F.normalize(seen.texts[0].float(), dim=0)
    found = attribute_score(seen.coefficients.float(), embedding, text, single)
    cosine = F.cosine_similarity(embedding.double(), text.double(), dim=0)
    assert float((found.pairs.sum() + found.constant - cosine).abs()) < 1e-6


def test_the_largest_parts_and_the_rest_are_all() -> None:
    parts = torch.tensor([[3.0, -5.0, 0.5], [1.0, 4.0, -0.25]])
    found = largest_parts(parts, 3)
    assert found.places.tolist() == [1, 4, 0]
    assert found.values.tolist() == [-5.0, 4.0, 3.0]
    assert float(found.remainder) == pytest.approx(1.25)
    assert float(largest_parts(parts, 100).remainder) == 0
