"""What counts as known, on a stand-in for a model whose knowledge is plain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.clip import ClipResNet
from backend.clip.text import ReadTexts
from precompute.demo_world.vocabulary import lexicon, vocabulary
from precompute.evaluation.familiarity import familiarity

SIZE, COUNT = 32, 100


class Reader(ClipResNet):
    """Has met the words of the demo world's vocabulary and captions; sees means of 8 x 8 pixels."""

    image_size = SIZE  # type: ignore[assignment]

    def __init__(self, *, learnt: bool = True) -> None:
        self.learnt = learnt
        self.words = {part for word in vocabulary() for part in word.split()}

    def trained_texts(self, texts: Sequence[str]) -> Tensor:
        grammar = {"a", "an", "and", "on", "in", "with", "of", "the", "background"}
        known = [set(text.replace(",", " ").split()) <= self.words | grammar for text in texts]
        return torch.tensor(known) | (not self.learnt)

    def read_texts(self, texts: Sequence[str], templates: Sequence[str]) -> ReadTexts:
        agreement = torch.tensor([sum(text.encode()) ** 2 % 997 / 997 for text in texts])
        embeddings = F.normalize(torch.ones(len(texts), 2), dim=1)
        return ReadTexts(embeddings, agreement, self.trained_texts(texts))

    def preprocess_batch(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255

    def feature_map(self, pixels: Tensor) -> Tensor:
        mean = F.avg_pool2d(pixels, 8)
        spread = F.avg_pool2d(pixels.square(), 8) - mean.square()
        return torch.cat([mean, spread.clamp_min(0)], dim=1)


def test_shares_of_what_is_known_are_counted_by_kind() -> None:
    found = familiarity(Reader(), seed=0, count=COUNT)
    texts, pictures = found["texts_known"], found["pictures_known"]
    assert texts["vocabulary"] == texts["compounds"] == 1.0
    assert texts["other_words"] == texts["mixed"] == texts["letters"] == 0.0
    assert 0 < texts["captions"] < 1  # some have words that the stand-in has not met
    assert pictures["scenes"] == pytest.approx(0.95, abs=0.06)
    assert all(0 <= share <= 1 for share in pictures.values())
    assert set(pictures) == {"scenes", "photographs", "noise", "plain", "gradients"}
    assert len(lexicon().names) < len(vocabulary())


def test_a_model_that_tells_nothing_by_its_weights_is_judged_by_agreement() -> None:
    found = familiarity(Reader(learnt=False), seed=0, count=COUNT)
    assert all(share < 0.2 for share in found["texts_known"].values())
    assert any(share > 0 for share in found["texts_known"].values())


def test_too_few_scenes_are_refused() -> None:
    with pytest.raises(ValueError, match="100 or more"):
        familiarity(Reader(), seed=0, count=99)
