"""Concepts drawn anew: others untouched, still the same size and place, from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.layout import Style
from precompute.demo_world.redrawing import Redrawing, redraw
from precompute.demo_world.scenes import generate_batch

PLACES = torch.tensor([3, 40, 77, 200, 378])


def test_only_the_concepts_asked_for_are_drawn_anew() -> None:
    own = load_atlas()
    other = redraw(own, PLACES, Redrawing(share=1.0, seed=4))
    for before, after in zip(own.levels, other.levels, strict=True):
        assert before.shape == after.shape
        changed = (before != after).flatten(1).any(dim=1)
        assert torch.nonzero(changed)[:, 0].tolist() == PLACES.tolist()
        colour, cover = after[:, :3].int(), after[:, 3:].int()
        assert bool((colour <= cover + 1).all())  # premultiplied
    # A drawing is bent, and stays about where it was.
    seen, drawn = (atlas.levels[0][PLACES, 3] > 127 for atlas in (own, other))
    shared = (seen & drawn).sum(dim=(1, 2)) / (seen | drawn).sum(dim=(1, 2))
    assert bool((shared > 0.3).all())
    assert redraw(own, PLACES, Redrawing(share=0.0, seed=4)) is own


def test_a_name_with_a_colour_keeps_it() -> None:
    plain = load_atlas()
    before = plain.levels[0][:, :3].float().mean(dim=(2, 3))
    vivid = torch.nonzero(before.amax(dim=1) - before.amin(dim=1) > 50)[:, 0]
    named = tuple(replace(concept, name=f"red {concept.name}") for concept in plain.concepts)
    kept = []
    for own in (plain, replace(plain, concepts=named)):
        after = redraw(own, vivid, Redrawing(share=1.0, seed=1)).levels[0][vivid, :3]
        same = before[vivid].argmax(dim=1) == after.float().mean(dim=(2, 3)).argmax(dim=1)
        kept.append(float(same.float().mean()))
    assert kept[0] < 0.85
    assert kept[1] > 0.9


def test_scenes_with_other_drawings_have_the_same_layout_and_follow_from_the_seed() -> None:
    def made(redrawing: Redrawing | None) -> tuple[torch.Tensor, np.ndarray]:
        batch = generate_batch(5, range(6), size=64, objects=2, style=Style(), redrawing=redrawing)
        return batch.images, batch.layout.concept

    plain, concepts = made(None)
    one, same = made(Redrawing(share=1.0, seed=1))
    again, _ = made(Redrawing(share=1.0, seed=1))
    other, _ = made(Redrawing(share=1.0, seed=2))
    assert np.array_equal(concepts, same)
    assert torch.equal(one, again)
    assert not torch.equal(one, plain)
    assert not torch.equal(one, other)
