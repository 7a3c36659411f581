"""Ablation in closed form against embeddings rebuilt from what is left."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from backend.pairs.ablation import Part, ablated_embedding, gains, scores
from backend.pairs.coefficients import embedding_from_coefficients
from backend.pairs.factors import Factors, write_vector

PAIR, NEURON, HEAD = Part(neuron=5, head=2), Part(neuron=7, head=None), Part(neuron=None, head=1)


def test_what_is_left_is_the_sum_of_the_remaining_contributions(factors: Factors) -> None:
    generator = torch.Generator().manual_seed(6)
    shape = (3, factors.n_heads, factors.n_neurons)
    coefficients = torch.randn(shape, generator=generator, dtype=torch.float64)
    mean = torch.randn(shape[1:], generator=generator, dtype=torch.float64)
    embedding = embedding_from_coefficients(coefficients, factors)
    gain = gains(
        heads=factors.n_heads,
        neurons=factors.n_neurons,
        scaled=[(PAIR, 0.0), (NEURON, 2.5), (HEAD, 0.0)],
    ).double()
    for base in (None, mean):
        found = ablated_embedding(embedding, coefficients, gain, factors, base=base)
        rebuilt = factors.constant.expand(3, -1).clone()
        for head in range(factors.n_heads):
            for neuron in range(factors.n_neurons):
                held = torch.zeros(3) if base is None else base[head, neuron]
                left = held + gain[head, neuron] * (coefficients[:, head, neuron] - held)
                rebuilt += left[:, None] * write_vector(factors, neuron=neuron, head=head)
        torch.testing.assert_close(found, rebuilt)


def test_gains_of_parts() -> None:
    gain = gains(heads=3, neurons=8, scaled=[(PAIR, 0.5), (NEURON, 3.0), (HEAD, 0.0)])
    assert gain[2, 5] == 0.5
    assert gain[:, 7].tolist() == [3.0, 0.0, 3.0]
    assert (gain[1] == 0).all()
    assert gain[0, 0] == 1
    kept = gains(heads=3, neurons=8, keep=[PAIR, HEAD], scaled=[(PAIR, 2.0)])
    assert kept[2, 5] == 2
    assert kept.sum() == 8 + 2
    for part in (Part(8, 0), Part(0, 3), Part(None, 3)):
        with pytest.raises(ValueError, match="there is no"):
            gains(heads=3, neurons=8, scaled=[(part, 0.0)])


def test_scores_are_cosines_and_defined_for_nothing() -> None:
    texts = F.normalize(torch.randn(2, 6), dim=1)
    embedding = torch.randn(6)
    expected = F.cosine_similarity(embedding, texts, dim=1)
    torch.testing.assert_close(scores(embedding, texts).float(), expected)
    assert scores(torch.zeros(6), texts).tolist() == [0, 0]


def test_parts_are_written_and_read() -> None:
    assert Part.parse("624.21") == Part.parse("pair:624,21") == Part(neuron=624, head=21)
    for part in (PAIR, NEURON, HEAD):
        assert Part.parse(str(part)) == part
    for nonsense in ("", "624", "a.b", "neuron:", "head:-1", "layer:3", "1.2.3", "9" * 12 + ".1"):
        with pytest.raises(ValueError, match="no part of a model"):
            Part.parse(nonsense)


@given(st.text(max_size=30))
def test_any_text_is_a_part_or_refused(text: str) -> None:
    try:
        part = Part.parse(text)
    except ValueError:
        return
    assert Part.parse(str(part)) == part
