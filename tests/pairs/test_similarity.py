from __future__ import annotations

import torch
import torch.nn.functional as F

from backend.pairs.factors import Factors, write_norms
from backend.pairs.similarity import (
    centre,
    null_percentiles,
    orientation_scale,
    oriented_directions,
    pair_similarity,
)


def test_through_the_factors_equals_the_dense_cosine(factors: Factors) -> None:
    texts = F.normalize(torch.randn(7, factors.d_out, dtype=torch.float64), dim=1)
    sign = torch.randint(0, 2, (factors.n_heads, factors.n_neurons)).double() * 2 - 1
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value) * sign[..., None]
    expected = torch.einsum("to,hno->thn", texts, F.normalize(dense, dim=-1))
    scale = orientation_scale(sign, write_norms(factors))
    torch.testing.assert_close(pair_similarity(texts, factors, scale), expected)

    head, neuron = torch.tensor([0, 3]), torch.tensor([23, 4])
    found = oriented_directions(factors, scale, head=head, neuron=neuron)
    torch.testing.assert_close(found, F.normalize(dense, dim=-1)[head, neuron])


def test_a_pair_that_writes_nothing_is_similar_to_nothing(factors: Factors) -> None:
    factors.value[1, :, 5] = 0
    scale = orientation_scale(torch.ones(4, 24, dtype=torch.float64), write_norms(factors))
    similarity = pair_similarity(torch.ones(1, factors.d_out, dtype=torch.float64), factors, scale)
    assert similarity[0, 1, 5] == 0
    assert not similarity.isnan().any()


def test_null_counts_the_words_that_are_less_similar() -> None:
    words = F.normalize(torch.randn(200, 6), dim=1)
    directions = F.normalize(torch.randn(3, 6), dim=1)
    similarity = torch.tensor([1.1, -1.1, 0.0])
    found = null_percentiles(similarity, directions, words)
    expected = 100 * float((words @ directions[2] < 0).float().mean())
    torch.testing.assert_close(found, torch.tensor([100.0, 0.0, expected]))


def test_centring_removes_what_texts_share() -> None:
    texts = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    centred = centre(texts, texts.mean(dim=0))
    torch.testing.assert_close(centred, torch.tensor([[0.0, 1.0], [0.0, -1.0]]))
