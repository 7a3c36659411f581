"""What steps learn from: made ahead, met again where layers stand still, the same when resumed."""

from __future__ import annotations

import pytest
import torch

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.layout import Style
from precompute.demo_world.lessons import lesson
from precompute.demo_world.material import KEPT, Material, Materials, ahead
from precompute.demo_world.redrawing import repertoire
from precompute.demo_world.schedule import Phase, Schedule
from precompute.demo_world.tower import (
    block_output,
    normalise,
    read_config,
    second_blocks,
    through,
)
from precompute.demo_world.trainee import Trainee, freeze, new_trainee
from precompute.demo_world.vocabulary import lexicon

OWN = repertoire(load_atlas(), [])
REUSE = 3
FIRST = Phase(32, 5, 2, Style(), crowds=0, density=0.5, peak=2e-3)
AGAIN = Phase(32, 400, 2, Style(), crowds=1, density=0.5, frozen=2, reuse=REUSE)


@pytest.fixture(scope="module")
def trainee() -> Trainee:
    own = new_trainee(3)
    freeze(own, AGAIN.frozen, deep=True)
    return own


def materials(trainee: Trainee) -> Materials:
    schedule, visual = Schedule((FIRST, AGAIN)), trainee.model.visual
    return Materials(schedule, visual, seed=5, half=False, config=read_config(), drawings=OWN)


def origin(found: Materials, material: Material) -> int:
    """The step whose scenes a step meets."""
    (step,) = [s for s, (own, _) in found._kept.items() if own is material.lesson]
    return step


def test_what_is_made_ahead_comes_in_order_and_its_errors_come_when_it_is_due() -> None:
    def make(step: int) -> int:
        if step == 5:
            raise ValueError("five")
        return step * step

    coming = ahead(make, range(2, 9))
    assert [next(coming) for _ in range(3)] == [4, 9, 16]
    with pytest.raises(ValueError, match="five"):
        next(coming)
    assert list(ahead(make, range(0))) == []


@torch.no_grad()
def test_frozen_stages_and_the_others_are_the_whole_tower(trainee: Trainee) -> None:
    found = materials(trainee)
    own = lesson(Schedule((FIRST, AGAIN)), 5, seed=5, lexicon=lexicon(), drawings=OWN)
    visual = trainee.model.visual.eval()
    pixels = normalise(own.images, read_config())
    whole = through(visual, found.of(5).seen, range(AGAIN.frozen, 4))
    assert torch.allclose(whole, block_output(visual, pixels), atol=1e-4)
    freeze(trainee, AGAIN.frozen, deep=True)


def test_every_few_steps_meet_new_scenes_and_the_others_scenes_of_a_while_ago(
    trainee: Trainee,
) -> None:
    found, made = materials(trainee), []
    make = found._make
    found._make = lambda step: made.append(step) or make(step)  # type: ignore[method-assign, func-returns-value]
    met = [origin(found, found.of(step)) for step in range(5, 5 + 300)]
    new = list(range(5, 5 + 300, REUSE))
    assert met[::REUSE] == made == new  # none is made twice
    for step, earlier in enumerate(met, 5):
        assert 0 <= step - earlier < REUSE * KEPT
    assert len(found._kept) == KEPT
    assert len(set(met[-60:])) > 30


def test_a_resumed_run_meets_the_same_scenes_and_selections(trainee: Trainee) -> None:
    whole, resumed = materials(trainee), materials(trainee)
    steps = range(5, 5 + 40)
    first = [whole.of(step) for step in steps][30:]
    second = [resumed.of(step) for step in steps[30:]]
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one.seen, two.seen)
        assert one.lesson.captions == two.lesson.captions
        assert one.selection == two.selection
    assert len({material.selection.seed for material in first}) == len(first)


def test_without_reuse_nothing_is_kept_and_pixels_are_what_is_seen(trainee: Trainee) -> None:
    found = materials(trainee)
    seen = found.of(2).seen
    assert seen.shape == (2, 3, 32, 32)
    assert found._kept == {}


def test_frozen_stages_alone_stand_still(trainee: Trainee) -> None:
    visual = trainee.model.visual
    freeze(trainee, 2, deep=True)
    still = (visual.conv1, visual.bn2, visual.layer1, visual.layer2)
    assert not any(layer.training for layer in still)
    assert not any(p.requires_grad for layer in still for p in layer.parameters())
    for layer in (visual.layer3, visual.layer4):
        assert all(block.training for block in layer)
        assert all(p.requires_grad for p in layer.parameters())
    freeze(trainee, 0, deep=True)
    assert all(layer.training for layer in (*still[:2], visual.layer1[0], visual.layer4[0]))
    freeze(trainee, AGAIN.frozen, deep=True)


@torch.no_grad()
def test_second_blocks_pass_on_what_they_get_until_they_learn(trainee: Trainee) -> None:
    visual = trainee.model.visual
    freeze(trainee, 0, deep=False)
    blocks = second_blocks(visual)
    assert list(blocks) == ["layer3.1", "layer4.1"]
    for block in blocks.values():
        assert not block.training
        assert not any(p.requires_grad for p in block.parameters())
        given = torch.rand(2, block.conv1.in_channels, 4, 4)
        assert torch.equal(block(given), given)
    assert all(p.requires_grad for p in visual.layer4[0].parameters())
    freeze(trainee, AGAIN.frozen, deep=True)
    assert all(p.requires_grad for block in blocks.values() for p in block.parameters())
