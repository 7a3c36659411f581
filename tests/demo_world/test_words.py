"""Captions and vocabulary: the same words, true of the scenes they are said of."""

from __future__ import annotations

import numpy as np
import torch

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.captions import name_object, with_article, write_caption
from precompute.demo_world.palette import COLOUR_WORDS
from precompute.demo_world.scenes import generate_batch
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary


def test_captions_mention_every_object_and_tint() -> None:
    concepts = load_atlas().concepts
    batch = generate_batch(3, range(300), size=32)
    for place in range(300):
        caption = batch.caption(place)
        for slot in range(batch.layout.count[place]):
            concept = concepts[batch.layout.concept[place, slot]]
            words = (concept.name, *concept.keywords, *concept.categories)
            assert any(word in caption for word in words), caption
        for item in batch.scene(place).objects:
            assert item.tint is None or item.tint in caption


def test_captions_use_keywords_and_categories_now_and_then() -> None:
    concepts = load_atlas().concepts
    batch = generate_batch(3, range(1000), size=32, objects=1)
    named = sum(
        concepts[batch.layout.concept[place, 0]].name in batch.caption(place)
        for place in range(1000)
    )
    assert 800 < named < 980


def test_articles() -> None:
    assert with_article("butterfly") == "a butterfly"
    assert with_article("apple") == "an apple"
    assert with_article("orange dotted background") == "an orange dotted background"
    assert with_article("food") == "food"
    socks = next(concept for concept in load_atlas().concepts if concept.name == "socks")
    assert name_object(socks, "blue", choice=0.9, which=0.0) == "blue socks"


def test_a_caption_in_full() -> None:
    concepts = {concept.name: concept for concept in load_atlas().concepts}
    objects = [(concepts["butterfly"], "blue"), (concepts["apple"], None)]
    own = [0.5, 0.1, 0.9, 0.9, 0.9, 0.9]
    said = write_caption(objects, "orange", "plain", own)
    assert said == "a picture of a blue butterfly and an apple on a plain orange background"


def test_the_vocabulary_is_unique_and_small() -> None:
    words = vocabulary()
    assert len(words) == len(set(words)) <= 2000
    for word in ("butterfly", "animal", "blue", "striped background", "blue background"):
        assert word in words
    tints = set(lexicon().tints)
    compounds = [word for word in words if word.split()[0] in tints]
    assert len(compounds) > 800
    assert all("{}" in template for template in TEMPLATES)


def test_no_concept_contradicts_its_tint() -> None:
    for concept in load_atlas().concepts:
        assert concept.tintable or COLOUR_WORDS & set(concept.name.split())
        assert not any(COLOUR_WORDS & set(word.split()) for word in concept.keywords)
    names = {concept.name for concept in load_atlas().concepts}
    assert not any(names & set(concept.keywords) for concept in load_atlas().concepts)


def test_truth_says_what_the_scene_holds() -> None:
    words, concepts = lexicon(), load_atlas().concepts
    batch = generate_batch(5, range(60), size=32)
    truth = words.truth(batch.layout)
    for place in range(60):
        scene = batch.scene(place)
        true = {words.plain[i] for i in torch.nonzero(truth[place])[:, 0].tolist()}
        expected = {f"{scene.background.colour} background"}
        expected |= {f"{scene.background.pattern} background"}
        for item in scene.objects:
            concept = next(c for c in concepts if c.name == item.concept)
            expected |= {concept.name, *concept.keywords, *concept.categories}
            expected |= {item.tint} - {None}
        assert true == expected


def test_truth_of_compounds_needs_one_object_to_be_both() -> None:
    words = lexicon()
    batch = generate_batch(6, range(200), size=32, objects=2)
    layout = batch.layout
    place = int(
        np.flatnonzero(
            (layout.tint[:, :2] != -1).all(axis=1) & (layout.tint[:, 0] != layout.tint[:, 1])
        )[0]
    )
    (first, second), (one, two) = layout.concept[place, :2], layout.tint[place, :2]
    asked = torch.tensor([[first, one], [first, two], [second, two]])
    assert words.compound_truth(layout, asked)[place].tolist() == [True, False, True]
    assert words.compound(0, 0) == f"{words.tints[0]} {words.names[0]}"
