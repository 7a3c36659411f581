"""Held-out scores against embeddings from which each pair's contribution was really removed."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from backend.pairs.coefficients import embedding_from_coefficients
from backend.pairs.factors import Factors
from backend.pairs.held_out import pair_scores, scores

IMAGES = 40


def problem(factors: Factors) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shape = (IMAGES, factors.n_heads, factors.n_neurons)
    coefficients = torch.randn(shape, generator=generator, dtype=torch.float64) + 1
    words = torch.randn(factors.n_neurons, factors.d_out, generator=generator).double()
    return coefficients, embedding_from_coefficients(coefficients, factors), words


def plain(values: torch.Tensor, left: torch.Tensor, word: torch.Tensor) -> float:
    alike = F.cosine_similarity(left - left.mean(dim=0), word[None])
    return float(np.corrcoef(values.numpy(), alike.numpy())[0, 1])


def test_a_pairs_own_contribution_is_left_out(factors: Factors) -> None:
    coefficients, embeddings, words = problem(factors)
    head = 1
    vectors = (factors.output[head] @ factors.value[head]).T
    found = pair_scores(coefficients[:, head], embeddings, vectors, words)
    for neuron in range(factors.n_neurons):
        own = coefficients[:, head, neuron, None] * vectors[neuron]
        expected = plain(coefficients[:, head, neuron], embeddings - own, words[neuron])
        torch.testing.assert_close(float(found[neuron]), expected)


def test_a_neurons_own_contribution_is_left_out(factors: Factors) -> None:
    coefficients, embeddings, words = problem(factors)
    centred = embeddings - embeddings.mean(dim=0)
    own = torch.einsum("ihn,hdn,hod->nio", coefficients, factors.value, factors.output)
    deviation = own - own.mean(dim=1, keepdim=True)
    values = torch.einsum("nio,no->in", own, words)
    found = scores(
        values,
        centred,
        words,
        own_on_words=torch.einsum("nio,no->in", deviation, words),
        own_on_image=torch.einsum("nio,io->in", deviation, centred),
        own_squared=deviation.square().sum(dim=2).T,
    )
    for neuron in range(factors.n_neurons):
        expected = plain(values[:, neuron], embeddings - own[neuron], words[neuron])
        torch.testing.assert_close(float(found[neuron]), expected)


def test_undefined_scores_are_nan(factors: Factors) -> None:
    coefficients, embeddings, words = problem(factors)
    vectors = (factors.output[0] @ factors.value[0]).T
    coefficients[:, 0, 3] = 0.7
    words[5] = 0
    found = pair_scores(
        coefficients[:, 0].float(), embeddings.float(), vectors.float(), words.float()
    )
    assert found.isnan().nonzero().flatten().tolist() == [3, 5]
    assert pair_scores(coefficients[:2, 0], embeddings[:2], vectors, words).isnan().all()
