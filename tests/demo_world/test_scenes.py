"""Scenes: seeded, true to their labels, and never the same in training as elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.layout import CLASSIFICATION, TRAINING, UNSEEN, Style, uniforms
from precompute.demo_world.palette import BACKGROUND_COLOURS, PATTERNS, TINTS
from precompute.demo_world.scenes import box_of, generate_batch, generate_scene, scenes


def test_a_scene_depends_on_its_seed_and_index_alone() -> None:
    together = list(scenes(5, 40, size=64))
    for index in (39, 3, 17):
        alone = generate_scene(5, index, size=64)
        assert np.array_equal(alone.image, together[index].image)
        assert np.array_equal(alone.mask, together[index].mask)
        assert (alone.caption, alone.objects) == (together[index].caption, together[index].objects)
    assert not np.array_equal(generate_scene(6, 3, size=64).image, together[3].image)


def test_training_and_unseen_scenes_never_meet() -> None:
    training, unseen = (uniforms(0, range(500), family=family) for family in (TRAINING, UNSEEN))
    assert not np.isin(training, unseen).any()
    pictures = [generate_batch(0, range(8), size=32, family=f).images for f in (TRAINING, UNSEEN)]
    assert not any(torch.equal(a, b) for a in pictures[0] for b in pictures[1])


@pytest.mark.parametrize("objects", [1, 2, 3, 4])
def test_masks_boxes_and_objects_agree(objects: int) -> None:
    for scene in scenes(1, 30, size=96, objects=objects):
        assert len(scene.objects) == objects
        assert len({item.concept for item in scene.objects}) == objects
        assert set(np.unique(scene.mask)) <= {*range(objects), 255}
        for place, item in enumerate(scene.objects):
            assert item.box == box_of(scene.mask == place)
            x0, y0, x1, y1 = item.box
            assert 0 <= x0 < x1 <= 96
            assert 0 <= y0 < y1 <= 96
            assert (scene.mask == place).sum() > 40  # every object is seen


def test_labels_use_the_worlds_words() -> None:
    names = {concept.name for concept in load_atlas().concepts}
    seen = list(scenes(2, 200, size=32))
    for scene in seen:
        assert scene.background.colour in BACKGROUND_COLOURS
        assert scene.background.pattern in PATTERNS
        assert all(item.concept in names for item in scene.objects)
        assert all(item.tint is None or item.tint in TINTS for item in scene.objects)
    assert {len(scene.objects) for scene in seen} == {1, 2, 3, 4}


def test_a_tint_colours_the_object_and_not_the_background() -> None:
    plain, tinted = (
        generate_batch(3, range(120), size=48, objects=1, style=Style(tint_share=share))
        for share in (0.0, 1.0)
    )
    assert torch.equal(plain.masks, tinted.masks)
    ground = plain.masks == 255
    # Beyond an object's soft edge only steam and glass change: they count as background in a mask.
    near = torch.nn.functional.max_pool2d((~ground).float(), 5, stride=1, padding=2) > 0
    changed = (plain.images[~near] != tinted.images[~near]).any(dim=1)
    assert changed.float().mean() < 0.03
    reds = np.flatnonzero(tinted.layout.tint[:, 0] == list(TINTS).index("red"))
    assert len(reds) > 5
    for place in reds:
        red, green, blue = tinted.images[place][~ground[place]].float().mean(dim=0).tolist()
        assert red > 1.2 * max(green, blue)


def test_the_style_for_classification_is_kept() -> None:
    batch = generate_batch(4, range(400), size=32, objects=1, style=CLASSIFICATION)
    layout = batch.layout
    assert layout.scale[:, 0].min() >= 0.5
    assert layout.scale[:, 0].max() <= 0.95
    assert np.abs(np.rad2deg(layout.angle[:, 0])).max() <= 20
    assert (layout.tint == -1).all()


def test_the_size_of_a_scene_changes_its_pixels_alone() -> None:
    small, large = (generate_scene(8, 2, size=size, objects=3) for size in (96, 384))
    assert small.image.shape == (96, 96, 3)
    assert large.image.shape == (384, 384, 3)
    assert [item.concept for item in small.objects] == [item.concept for item in large.objects]
    coarse = large.image.reshape(96, 4, 96, 4, 3).mean(axis=(1, 3))
    assert np.abs(coarse - small.image).mean() < 12


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"size": 31}, "32 to 384"),
        ({"size": 385}, "32 to 384"),
        ({"objects": 0}, "1 to 4"),
        ({"objects": 5}, "1 to 4"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(parameters: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        generate_scene(0, 0, **parameters)
    with pytest.raises(ValueError, match="seed"):
        generate_scene(-1, 0)
