"""Meaningless texts and usual cells, as the job measures them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip import CLIP, SimpleTokenizer
from PIL import Image
from sklearn.datasets import load_sample_images

from backend.clip import load_model
from backend.clip.models import DEMO_FOLDER, ClipResNet
from backend.clip.text import TextEncoder
from backend.server.familiarity import Familiarity
from backend.store import open_store
from precompute.demo_world.scenes import scenes
from precompute.demo_world.vocabulary import TEMPLATES, vocabulary
from precompute.stages.familiarity import (
    LETTERS,
    MEANINGLESS_TEXTS,
    WORDS,
    meaningless_texts,
    text_null,
)

SENTENCES = [
    "butterfly",
    "green pizza",
    "a picture of a blue butterfly on a red background",
]
UNKNOWN = [
    "asdf qwer",
    "quantum chromodynamics",
    "carburetor",
    "democracy",
    "a blue carburetor",
    "日本語",
    "\N{WHITE HEART SUIT}",
]


@pytest.fixture(scope="module")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> ClipResNet:
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    config.pop("preprocess_cfg")
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    torch.save(CLIP(**config).state_dict(), path)
    return load_model("demo", checkpoint=path, device="cpu")


def test_meaningless_texts_are_seeded_letters() -> None:
    texts = meaningless_texts(50)
    assert texts == meaningless_texts(80)[:50]
    assert texts != meaningless_texts(50, seed=1)
    for text in texts:
        words = text.split()
        assert WORDS[0] <= len(words) <= WORDS[1]
        assert all(LETTERS[0] <= len(word) <= LETTERS[1] and word.isalpha() for word in words)


def test_a_model_that_met_no_letters_alone_needs_no_null() -> None:
    """The demo's weights tell by themselves which tokens it has met."""
    demo = load_model("demo", device="cpu")
    assert text_null(demo, list(TEMPLATES)).tolist() == []
    assert demo.trained_texts(vocabulary()).all()
    assert demo.trained_texts(SENTENCES).all()
    assert not demo.trained_texts(UNKNOWN).any()
    assert not demo.trained_texts([""]).any()


def test_trained_is_the_plain_reading_of_the_table(random_model: ClipResNet) -> None:
    clip = random_model.model
    texts = ["a carburetor", "a dog"]
    assert random_model.trained_texts(texts).tolist() == [True, True]
    last = SimpleTokenizer().encode("carburetor")[-1]
    kept = clip.token_embedding.weight[last].clone()
    clip.token_embedding.weight[last] = 0
    try:
        assert TextEncoder(clip, clip.context_length).trained(texts).tolist() == [False, True]
    finally:
        clip.token_embedding.weight[last] = kept


def test_of_random_weights_few_texts_are_known(random_model: ClipResNet) -> None:
    """A model that has learnt nothing tells a word from random letters no better than chance."""
    templates = list(TEMPLATES)[:3]
    null = text_null(random_model, templates)
    assert len(null) == MEANINGLESS_TEXTS
    assert (null.diff() >= 0).all()
    words = random_model.read_texts(vocabulary()[:60], templates).agreement
    known = (words > null.quantile(0.95)).float().mean()
    assert float(known) < 0.5
    assert text_null(random_model, templates[:1]).tolist() == []


@pytest.fixture(scope="module")
def judge(demo_store: Path) -> Familiarity:
    return Familiarity(open_store(demo_store))


def test_the_demos_words_are_known_and_others_are_not(judge: Familiarity) -> None:
    demo = load_model("demo", device="cpu")
    verdicts = [judge.word(number) for number in range(len(vocabulary()))]
    assert all(verdict.known for verdict in verdicts)
    for text in SENTENCES:
        assert judge.read(demo.read_texts([text], TEMPLATES)).known, text
    for text in UNKNOWN:
        verdict = judge.read(demo.read_texts([text], TEMPLATES))
        assert not verdict.known, text
        assert verdict.doubt is not None
        assert "never met" in verdict.doubt


def test_photographs_and_noise_are_strange_to_the_demo_and_its_scenes_are_not(
    judge: Familiarity,
) -> None:
    demo = load_model("demo", device="cpu")
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    flat = np.full((256, 256, 3), 200, np.uint8)

    def known(pictures: list[np.ndarray]) -> list[bool]:
        return [
            judge.picture(demo.feature_map(demo.preprocess(Image.fromarray(p))[None])).known
            for p in pictures
        ]

    assert not any(known([*load_sample_images().images, noise, flat]))
    assert np.mean(known([scene.image for scene in scenes(77, 40, size=256)])) > 0.8
