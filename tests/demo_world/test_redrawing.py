"""Concepts drawn anew: others untouched, still the same size and place, from the seed alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.layout import Style
from precompute.demo_world.redrawing import Redrawing, redraw, repertoire
from precompute.demo_world.scenes import generate_batch

PLACES = torch.tensor([3, 40, 77, 200, 378])
OWN = repertoire(load_atlas(), [])


def test_only_the_concepts_asked_for_are_drawn_anew() -> None:
    own = load_atlas()
    other = redraw(own, PLACES, Redrawing(share=1.0, seed=4, repertoire=OWN))
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
    assert redraw(own, PLACES, Redrawing(share=0.0, seed=4, repertoire=OWN)) is own


def test_a_name_with_a_colour_keeps_it() -> None:
    plain = load_atlas()
    before = plain.levels[0][:, :3].float().mean(dim=(2, 3))
    vivid = torch.nonzero(before.amax(dim=1) - before.amin(dim=1) > 50)[:, 0]
    named = tuple(replace(concept, name=f"red {concept.name}") for concept in plain.concepts)
    kept = []
    for own in (plain, replace(plain, concepts=named)):
        after = redraw(own, vivid, Redrawing(share=1.0, seed=1, repertoire=OWN)).levels[0][
            vivid, :3
        ]
        same = before[vivid].argmax(dim=1) == after.float().mean(dim=(2, 3)).argmax(dim=1)
        kept.append(float(same.float().mean()))
    assert kept[0] < 0.85
    assert kept[1] > 0.9


def test_other_artists_drawings_are_taken_as_often_as_the_own() -> None:
    own = load_atlas()
    places = torch.arange(0, 379, 2)
    flat = torch.full((len(places), 4, own.tile, own.tile), 255, dtype=torch.uint8)
    concepts = tuple(own.concepts[place] for place in places.tolist())
    other = replace(own, concepts=concepts, levels=(flat,))
    both = repertoire(own, [(places.tolist(), other)])
    assert both.concept.tolist() == [*range(379), *places.tolist()]
    drawn = redraw(own, torch.arange(379), Redrawing(share=1.0, seed=2, repertoire=both))
    as_given = (drawn.levels[0] == 255).flatten(1).all(dim=1)
    assert not bool(as_given[1::2].any())  # no other artist has drawn these
    assert 0.1 < float(as_given[places].float().mean()) < 0.4  # half of them, half of these as is
    plain = redraw(own, torch.arange(379), Redrawing(share=1.0, seed=2, repertoire=OWN))
    assert not bool((plain.levels[0] == 255).flatten(1).all(dim=1).any())


def test_scenes_with_other_drawings_have_the_same_layout_and_follow_from_the_seed() -> None:
    def made(redrawing: Redrawing | None) -> tuple[torch.Tensor, np.ndarray]:
        batch = generate_batch(5, range(6), size=64, objects=2, style=Style(), redrawing=redrawing)
        return batch.images, batch.layout.concept

    plain, concepts = made(None)
    one, same = made(Redrawing(share=1.0, seed=1, repertoire=OWN))
    again, _ = made(Redrawing(share=1.0, seed=1, repertoire=OWN))
    other, _ = made(Redrawing(share=1.0, seed=2, repertoire=OWN))
    assert np.array_equal(concepts, same)
    assert torch.equal(one, again)
    assert not torch.equal(one, plain)
    assert not torch.equal(one, other)
