"""Explanations: AUROC by definition, truth word by word, and a model whose pairs are its words."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from backend.pairs.factors import Factors
from precompute.demo_world.palette import PATTERNS
from precompute.demo_world.scenes import generate_batch
from precompute.demo_world.vocabulary import vocabulary
from precompute.evaluation.explanations import _orient, _truth, auroc, explanations

COUNT = 300


def identity_factors(neurons: int) -> Factors:
    """One head that passes every neuron on as a dimension of its own."""
    eye = torch.eye(neurons)[None]
    zeros = torch.zeros(1, neurons)
    return Factors(value=eye, output=eye, value_bias=zeros, output_bias=zeros[0])


class OneWordNeurons:
    """A stand-in for a model with one pair for each of a few common words, true to it."""

    image_size = 32
    words = tuple(f"{pattern} background" for pattern in PATTERNS)

    def __init__(self) -> None:
        self.factors = identity_factors(len(self.words))
        self.shown = generate_batch(1, range(2 * COUNT), size=32, objects=1).layout.pattern
        self.place = 0

    def embed_texts(self, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
        rows = torch.ones(len(texts), len(self.words))  # other words: alike to all pairs
        for row, text in zip(rows, texts, strict=True):
            if text in self.words:
                row[:] = 0.0
                row[self.words.index(text)] = 1.0
        return torch.nn.functional.normalize(rows, dim=1)

    def preprocess_batch(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(images)

    def decompose(self, pixels: Tensor) -> SimpleNamespace:
        shown = self.shown[self.place : self.place + len(pixels)]
        self.place += len(pixels)
        coefficients = torch.zeros(len(pixels), 1, len(self.words))
        coefficients[torch.arange(len(pixels)), 0, torch.from_numpy(shown)] = 1.0
        return SimpleNamespace(coefficients=coefficients)


def test_auroc_is_scikit_learns() -> None:
    from sklearn.metrics import roc_auc_score

    generator = torch.Generator().manual_seed(0)
    values = torch.rand(15, 40, generator=generator).mul(10).round()  # with ties
    true = torch.rand(15, 40, generator=generator) < 0.3
    expected = [
        roc_auc_score(truth.numpy(), row.numpy()) for truth, row in zip(true, values, strict=True)
    ]
    assert auroc(values, true).tolist() == pytest.approx(expected)


def test_truth_is_in_the_vocabularys_order() -> None:
    batch = generate_batch(2, range(80), size=32, objects=1)
    truth = _truth(batch.layout)
    words = vocabulary()
    assert truth.shape == (80, len(words))
    for place in range(80):
        scene = batch.scene(place)
        true = {words[i] for i in torch.nonzero(truth[place])[:, 0].tolist()}
        item = scene.objects[0]
        assert item.concept in true
        compound = f"{item.tint} {item.concept}"
        assert (compound in true) == (item.tint is not None and compound in words)


def test_orientation_follows_the_most_deviating_images() -> None:
    rare_up, rare_down = torch.zeros(200), torch.zeros(200)
    rare_up[:30], rare_down[:30] = 1.0, -1.0
    weak = rare_up * 0.1
    pairs = _orient(torch.stack([rare_up, weak, rare_down], dim=1), identity_factors(3))
    sign = dict(zip(pairs.place.tolist(), pairs.sign.tolist(), strict=True))
    # The 50 most deviating hold the 30 that fire and 20 just on the other side of the mean.
    assert sign == {0: 1.0, 1: 1.0, 2: -1.0}
    assert pairs.place[-1] == 1  # the weakest
    assert torch.allclose(pairs.direction.norm(dim=1), torch.ones(3))


def test_pairs_that_are_their_words_score_one() -> None:
    metrics = explanations(OneWordNeurons(), seed=1, count=COUNT)  # type: ignore[arg-type]
    assert set(metrics) == {"auroc_strongest", "auroc_best", "auroc_random", "search_auroc"}
    assert metrics["auroc_strongest"] == metrics["auroc_best"] == 1.0
    assert 0.3 < metrics["auroc_random"] < 0.7
    assert 0.0 <= metrics["search_auroc"] <= 1.0


def test_too_few_scenes_are_refused() -> None:
    with pytest.raises(ValueError, match="100 or more"):
        explanations(OneWordNeurons(), seed=1, count=99)  # type: ignore[arg-type]
