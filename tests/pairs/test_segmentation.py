"""The factored segmentation against a brute-force reading of its formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.pairs.factors import Factors
from backend.pairs.segmentation import head_heatmaps, pair_logits, top_pairs


def test_factored_logits_equal_the_formula_read_aloud(factors: Factors) -> None:
    generator = torch.Generator().manual_seed(4)
    activations = torch.rand(2, 5, factors.n_neurons, generator=generator, dtype=torch.float64)
    tokens = activations + 0.1 * torch.randn(5, factors.n_neurons, dtype=torch.float64)
    texts = F.normalize(torch.randn(3, factors.d_out, dtype=torch.float64), dim=1)
    similarity = torch.randn(3, factors.n_heads, factors.n_neurons, dtype=torch.float64)
    mask = top_pairs(similarity, share=0.3)
    count = round(0.3 * factors.n_pairs)
    assert mask.sum(dim=(1, 2)).tolist() == [count] * 3

    found = pair_logits(activations, head_heatmaps(tokens, texts, factors), mask)

    for image in range(2):
        for cell in range(5):
            for text in range(3):
                total = 0.0
                for head in range(factors.n_heads):
                    value = factors.value[head] @ tokens[image, cell] + factors.value_bias[head]
                    written = factors.output[head] @ value
                    heat = F.cosine_similarity(written, texts[text], dim=0)
                    for neuron in range(factors.n_neurons):
                        if mask[text, head, neuron]:
                            total += float(activations[image, cell, neuron] * heat)
                assert float(found[image, cell, text]) == pytest.approx(total / count, rel=1e-9)


def test_the_chosen_pairs_are_the_most_similar() -> None:
    similarity = torch.randn(2, 3, 40)
    mask = top_pairs(similarity, share=0.1)
    for text in range(2):
        assert similarity[text][mask[text]].min() > similarity[text][~mask[text]].max()


@pytest.mark.parametrize("share", [0.0, 1.5])
def test_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        top_pairs(torch.randn(1, 2, 3), share=share)
