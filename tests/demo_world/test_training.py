"""Training: passes as open_clip's own, losses as they say, a resumed run the same run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from backend.clip.attention_pool import pool_factors
from precompute.demo_world import losses
from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.evidence import Selection, partial_embedding
from precompute.demo_world.layout import Style
from precompute.demo_world.lessons import lesson
from precompute.demo_world.palette import TINTS
from precompute.demo_world.redrawing import repertoire
from precompute.demo_world.schedule import RECIPE, Phase, Schedule
from precompute.demo_world.tower import (
    attend,
    block_output,
    coefficients,
    directions,
    encode_text,
    new_model,
    pool,
    positions,
    region_coefficients,
)
from precompute.demo_world.trainee import (
    Trainee,
    all_texts,
    new_trainee,
    save_weights,
    take_weights,
)
from precompute.demo_world.training import TrainingSettings, train
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary

OWN = repertoire(load_atlas(), [])
NAMES = ("evidence", "cells", "regions", "silence", "mixture", "accord")
LOSSES = dict.fromkeys(NAMES, 1.0)
TINY = (
    Phase(32, 2, 4, Style(), crowds=0, density=0.5, peak=2e-3),
    Phase(
        64,
        1,
        4,
        Style(),
        crowds=1,
        density=1.0,
        redrawn=0.5,
        frozen=2,
        deep=True,
        blend=0.25,
        **LOSSES,
    ),
)


@pytest.fixture(scope="module")
def trainee() -> Trainee:
    return new_trainee(3)


@torch.no_grad()
def test_the_image_pass_is_open_clips_at_the_native_size(trainee: Trainee) -> None:
    model = trainee.model.eval()
    pixels = torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    found = pool(model, coefficients(*attend(model, block_output(model.visual, pixels))))
    assert torch.allclose(found, model.encode_image(pixels), atol=1e-5)


@torch.no_grad()
def test_the_text_pass_is_open_clips(trainee: Trainee) -> None:
    model = trainee.model.eval()
    model.load_state_dict(trainee.state())
    texts = ["a blue butterfly, a t-shirt and an apple on a red wavy background", "socks"]
    places, ends = trainee.words.batch(texts, longest=model.context_length)
    tokens = open_clip.get_tokenizer("RN50", context_length=model.context_length)(texts)
    assert torch.equal(trainee.words.known[places[0]], tokens[0, : places.shape[1]])
    own = encode_text(model, trainee.embedding, places, ends)
    assert torch.allclose(own, model.encode_text(tokens), atol=1e-5)


def test_every_word_of_the_vocabulary_is_known(trainee: Trainee) -> None:
    filled = [template.format(word) for template in TEMPLATES for word in vocabulary()]
    trainee.words.batch(filled, longest=32)  # raises KeyError for a token that training never met
    assert len(all_texts()) < 2000


def test_positions_are_kept_at_the_native_size_and_averaged_below() -> None:
    native = torch.randn(65, 8)
    assert torch.equal(positions(native, 8, 8), native)
    small = positions(native, 4, 4)
    assert small.shape == (17, 8)
    assert torch.equal(small[0], native[0])
    assert torch.allclose(small[1:].mean(dim=0), native[1:].mean(dim=0), atol=0.15)


def test_contrastive_and_naming_are_least_where_all_is_right() -> None:
    unit = torch.eye(4)
    scale = torch.tensor(50.0)
    assert losses.contrastive(unit, unit, scale) < 1e-6
    assert losses.contrastive(unit, unit.roll(1, 0), scale) > 40
    both = torch.tensor([[True, True, False, False]])
    mixed = torch.nn.functional.normalize(unit[:1] + unit[1:2], dim=1)
    assert losses.naming(mixed, unit, both, scale) == pytest.approx(0.6931, abs=1e-3)


def test_word_truth_is_the_plain_logistic_loss() -> None:
    images, words = torch.eye(2), torch.eye(2)
    true = torch.tensor([[True, False], [False, False]])
    found = losses.word_truth(
        images, words, true, torch.tensor(2.0), torch.tensor(-1.0), torch.tensor([1.0, 3.0])
    )
    logits = [[1.0, -1.0], [-1.0, 1.0]]
    expected = sum(
        weight * torch.log1p(torch.exp(torch.tensor(-x if t else x)))
        for row, truths in zip(logits, true.tolist(), strict=True)
        for x, t, weight in zip(row, truths, (1.0, 3.0), strict=True)
    )
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_density_tells_even_neurons_from_selective_ones() -> None:
    even = torch.ones(10, 3, 2, 2)
    selective = torch.zeros(10, 3, 2, 2)
    selective[0] = 1.0
    assert losses.density(even) == pytest.approx(1.0, abs=1e-4)
    assert losses.density(selective) == pytest.approx(0.1**0.5, abs=1e-4)


def test_silence_is_the_spread_of_the_logits_that_backgrounds_write() -> None:
    texts = torch.eye(3)[:2]
    written = torch.tensor([[0.1, 0.1, 0.7], [0.2, 0.0, 0.0]])
    # The first moves both logits alike; those of the second are 2 and 0, each 1 from their mean.
    assert losses.silence(written, texts, torch.tensor(10.0)) == pytest.approx(0.5)


def test_mixture_is_least_for_neurons_that_fire_for_one_side_alone() -> None:
    background = torch.tensor([[True, False, False], [True, True, False]])
    features = torch.zeros(2, 3, 4)
    features[..., 0][background] = 2.0
    features[..., 1][~background] = 3.0
    features[..., 2] = 1.0
    features[0, :2, 3] = 1.0  # one of three cells of either side
    alone = losses.mixture(features[..., :2], background, ~background)
    assert alone == pytest.approx(0.0, abs=1e-5)
    assert losses.mixture(features[..., 2:3], background, ~background) == pytest.approx(1.0)
    assert losses.mixture(features[..., 3:], background, ~background) == pytest.approx(1.0)
    features[0, 1, 3] = 3.0  # q = 1/4
    assert losses.mixture(features[..., 3:], background, ~background) == pytest.approx(0.75)


def test_accord_is_greatest_where_pairs_write_what_drives_them() -> None:
    words = torch.eye(4)
    true = torch.tensor([[True, False, True, False], [False, True, False, False]] * 4)
    driven = true[:, :1].float()
    driven[0] = 2.0  # the orientation is the side with the longer tail
    found = {
        word: float(losses.accord(driven, words[None, word], words, true, torch.ones(1)))
        for word in range(4)
    }
    assert found[0] == pytest.approx(found[2])
    assert found[0] == pytest.approx(-found[1])
    assert found[0] > 0.5
    assert found[3] == pytest.approx(0.0, abs=1e-4)  # true of no scene here
    # Turning a pair round changes nothing: what it writes is turned as well.
    turned = losses.accord(-driven, -words[:1], words, true, torch.ones(1))
    assert float(turned) == pytest.approx(found[0])
    both = losses.accord(driven.expand(-1, 2), words[[0, 3]], words, true, torch.tensor([3.0, 1.0]))
    assert float(both) == pytest.approx(0.75 * found[0], abs=1e-4)


@torch.no_grad()
def test_directions_are_what_pairs_write(trainee: Trainee) -> None:
    model = trainee.model
    neurons = torch.tensor([5, 900])
    found = directions(model, neurons)
    own = pool_factors(model.visual.attnpool)
    whole = torch.einsum("hod,hdn->hno", own.output, own.value)
    assert torch.allclose(found, whole[:, neurons], atol=1e-6)


def test_cells_is_the_plain_sum_of_both_losses() -> None:
    labels = torch.tensor([[[0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]])  # two concepts, background
    tints = torch.tensor([[[1.0], [0.25]]])
    logits = torch.tensor([[[0.0, 2.0, 0.0, 1.0], [0.0, 0.0, 0.0, -1.0]]])
    own = -torch.log(torch.tensor([torch.e**2 / (torch.e**2 + 2), 1 / 3]))
    tinted = torch.log1p(torch.exp(torch.tensor([-1.0, -1.0]))) + torch.tensor([0.0, 0.25])
    assert losses.cells(logits, labels, tints) == pytest.approx(float((own + tinted).mean()))


@torch.no_grad()
@pytest.mark.parametrize("alike", [False, True])
def test_partial_embeddings_are_the_whole_when_all_pairs_speak(
    trainee: Trainee, alike: bool
) -> None:
    model = trainee.model.eval()
    generator = torch.Generator().manual_seed(1)
    found = coefficients(*attend(model, torch.rand(5, 1024, 2, 2, generator=generator)))
    embedding = pool(model, found)
    whole = partial_embedding(model, found, embedding, Selection(share=1.0, alike=alike, seed=0))
    if not alike:
        assert torch.allclose(whole, embedding, atol=1e-5)
    share = Selection(share=0.1, alike=alike, seed=0)
    parts = [
        partial_embedding(model, found, embedding, replace(share, seed=seed)) for seed in range(300)
    ]
    # Each pair speaks in a tenth of them, ten times as loud: their mean is the whole.
    error = (torch.stack(parts).mean(dim=0) - whole).norm() / (parts[0] - whole).norm()
    assert error < 3 / len(parts) ** 0.5


def test_cells_of_a_lesson_are_what_its_masks_show() -> None:
    schedule = Schedule((Phase(96, 1, 6, Style(), crowds=1, density=0.0, peak=1e-3),))
    own = lesson(schedule, 0, seed=4, lexicon=lexicon(), drawings=OWN)
    names, tints = len(lexicon().names), len(lexicon().tints)
    assert own.cells.shape == (6, 9, names + 1)
    assert own.cell_tints.shape == (6, 9, tints)
    assert torch.allclose(own.cells.sum(dim=2), torch.ones(6, 9))
    # A concept or tint has area in some cell only where it is true of the scene.
    assert not ((own.cells[..., :-1].sum(dim=1) > 0) & ~own.true[:, :names]).any()
    places = [own.texts.index(text) for text in own.texts if text.split()[-1] in TINTS]
    assert not ((own.cell_tints.sum(dim=1) > 0) & ~own.true[:, places]).any()


@torch.no_grad()
def test_regions_add_up_to_the_coefficients(trainee: Trainee) -> None:
    model = trainee.model.eval()
    model.visual.attnpool.positional_embedding[0] = 0  # token 0's own position is in no region
    generator = torch.Generator().manual_seed(2)
    attention, tokens = attend(model, torch.rand(3, 1024, 8, 8, generator=generator))
    tokens[:, 0] = tokens[:, 1:].mean(dim=1)
    left = torch.arange(64)[None] % 8 < torch.tensor([[2], [4], [7]])
    parts = [region_coefficients(attention, tokens, region) for region in (left, ~left)]
    assert torch.allclose(parts[0] + parts[1], coefficients(attention, tokens), atol=1e-5)


def test_regions_are_where_single_objects_are_and_their_truth_is_that_objects_alone() -> None:
    schedule = Schedule(
        (Phase(128, 1, 8, Style(tint_share=1.0), crowds=1, density=0.0, peak=1e-3),)
    )
    own = lesson(schedule, 0, seed=7, lexicon=lexicon(), drawings=OWN)
    names = len(lexicon().names)
    shown = own.regions.true[:, :names]
    assert own.regions.cells.shape == (len(own.regions.scene), 16)
    assert (shown.sum(dim=1) == 1).all()
    # Every object of every scene that has area in some cell is there once.
    areas = own.cells[..., :names].sum(dim=1)
    found = torch.zeros_like(areas).index_add_(0, own.regions.scene, shown.float())
    assert torch.equal(found > 0, areas > 0)
    assert found.max() == 1
    for scene, cells, true in zip(*vars(own.regions).values(), strict=True):
        assert not (true & ~own.true[scene]).any()
        area = own.cells[scene, :, int(true[:names].int().argmax())]
        assert bool((area[cells] >= area.max() / 2).all())
        assert not (cells & own.background[scene]).any()
    grounds = [place for place, text in enumerate(own.texts) if text.endswith("background")]
    assert not set(grounds) & set(own.of_objects.tolist())
    assert len(grounds) + len(own.of_objects) == len(own.texts)
    assert [own.texts[place].split()[-1] for place in own.tints] == list(TINTS)


def test_mixed_batches_hold_single_objects_and_crowds() -> None:
    phase = Phase(32, 1, 64, Style(), crowds=0.5, density=0.0, mixed=True, peak=1e-3)
    own = lesson(Schedule((phase,)), 0, seed=2, lexicon=lexicon(), drawings=OWN)
    count = own.true[:, : len(lexicon().names)].sum(dim=1)
    assert set(count.tolist()) == {1, 2, 3, 4}
    assert 20 < int((count == 1).sum()) < 44


def test_frozen_layers_stand_still(tmp_path: Path) -> None:
    start = new_trainee(1)
    save_weights(start, tmp_path / "start.safetensors")
    begun = tmp_path / "start.safetensors"
    fast = (TINY[0], replace(TINY[1], peak=0.1))  # a step that half precision can tell
    last = replace(settings(tmp_path), phases=fast, start=begun, first_step=2)
    train(last)
    before, after = load_file(begun), load_file(last.out)
    early = ("visual.conv", "visual.bn", "visual.layer1", "visual.layer2")
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if name.startswith(early)} <= same
    assert "visual.layer3.0.downsample.0.weight" not in same


def test_a_blend_is_the_mean_of_what_is_and_what_was() -> None:
    own = new_trainee(2)
    own.remember()
    before = {name: value.clone() for name, value in own.state().items()}
    with torch.no_grad():
        for parameter in own.parameters():
            parameter += 1.0
        own.model.visual.bn1.running_var += 4.0
    own.blend(0.25)
    after = own.state()
    for name in ("visual.layer4.0.conv3.weight", "text_projection", "logit_scale"):
        assert torch.allclose(after[name], before[name] + 0.75)
    known = own.words.known
    table = "token_embedding.weight"
    assert torch.allclose(after[table][known], before[table][known] + 0.75)
    variance = "visual.bn1.running_var"
    assert torch.allclose(after[variance], before[variance] + 3.0)


def test_weights_to_start_from_may_lack_second_blocks(tmp_path: Path) -> None:
    whole = new_trainee(4)
    save_weights(whole, tmp_path / "whole.safetensors")
    state = load_file(tmp_path / "whole.safetensors")
    added = ("visual.layer3.1.", "visual.layer4.1.")
    shallow = {name: value for name, value in state.items() if not name.startswith(added)}
    assert len(shallow) < len(state)
    save_file(shallow, tmp_path / "shallow.safetensors")
    own = new_trainee(5)
    take_weights(own, tmp_path / "shallow.safetensors")
    pixels = torch.rand(1, 3, 64, 64)
    one, other = (block_output(each.model.visual.eval(), pixels) for each in (own, whole))
    assert torch.allclose(one, other, atol=1e-3)  # half precision
    del shallow["visual.layer4.0.conv1.weight"]
    save_file(shallow, tmp_path / "shallow.safetensors")
    with pytest.raises(ValueError, match="does not hold weights"):
        take_weights(own, tmp_path / "shallow.safetensors")


def test_weights_to_start_from_must_be_the_models_own(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="does not hold weights"):
        train(replace(settings(tmp_path), start=tmp_path / "other.safetensors"))
    with pytest.raises(ValueError, match="first step"):
        train(replace(settings(tmp_path), first_step=3))


def test_weights_that_cannot_be_written_are_an_error_of_the_disk(tmp_path: Path) -> None:
    trainee = SimpleNamespace(state=lambda: {"weight": torch.zeros(2)})
    out = tmp_path / "weights.safetensors"
    out.with_suffix(".partial").mkdir()
    with pytest.raises(OSError, match=r"weights\.safetensors cannot be written"):
        save_weights(trainee, out)  # type: ignore[arg-type]


def test_the_schedule_counts_steps_scenes_and_rates() -> None:
    schedule = Schedule(TINY)
    assert schedule.steps == 3
    assert [schedule.phase(step) for step in range(3)] == [(0, 0), (0, 1), (1, 0)]
    assert [schedule.first_scene(step) for step in range(3)] == [0, 4, 8]
    assert [schedule.sees_crowd(step) for step in range(3)] == [False, False, True]
    assert list(schedule.runs(1)) == [(TINY[0], range(1, 2)), (TINY[1], range(2, 3))]
    assert list(schedule.runs(2)) == [(TINY[1], range(2, 3))]
    with pytest.raises(ValueError, match="beyond"):
        schedule.phase(3)
    assert [schedule.density(step) for step in range(3)] == [0.0, 0.25, 0.5]
    steady = Phase(256, 200, 4, Style(), crowds=1, density=1.0, peak=1e-3, until=1e-3)
    falls = [replace(steady, steps=100, peak=None, until=until) for until in (4e-4, 0.0)]
    course = Schedule((*TINY, steady, *falls))
    assert course.rate(3 + 49) == pytest.approx(5e-4)  # half way through the warm-up
    assert {course.rate(step) for step in range(3 + 100, 3 + 201)} == {1e-3}
    assert course.rate(3 + 250) == pytest.approx(7e-4)
    assert course.rate(3 + 350) == pytest.approx(2e-4)
    full = Schedule(RECIPE)
    ends = [sum(phase.steps for phase in RECIPE[:place]) for place in (0, 5, 7, 11)]
    for first, last, peak in zip(ends[:3], ends[1:], (2e-3, 1e-3, 3e-4), strict=True):
        rates = [full.rate(step) for step in range(first + 100, last)]
        assert rates == sorted(rates, reverse=True)
        assert rates[-1] < 1e-5 < 0.95 * peak < rates[0] <= peak


def test_a_lesson_is_the_same_whenever_it_is_asked_for() -> None:
    schedule = Schedule(TINY)
    one, two = (lesson(schedule, 2, seed=1, lexicon=lexicon(), drawings=OWN) for _ in range(2))
    assert torch.equal(one.images, two.images)
    assert (one.captions, one.texts) == (two.captions, two.texts)
    assert torch.equal(one.true, two.true)
    assert one.true.shape == (4, len(one.texts))
    names = one.true[:, : len(lexicon().names)]
    assert bool((names.sum(dim=1) >= 2).all())  # a crowd
    assert lesson(schedule, 2, seed=2, lexicon=lexicon(), drawings=OWN).captions != one.captions


def settings(folder: Path) -> TrainingSettings:
    others = folder / "drawings"
    others.mkdir(parents=True, exist_ok=True)
    emoji = load_atlas().concepts[7].emoji[0]
    Image.new("RGBA", (20, 30), (10, 200, 90, 255)).save(others / f"{ord(emoji):x}.png")
    return TrainingSettings(
        out=folder / "weights.safetensors",
        checkpoint=folder / "checkpoint.pt",
        log=folder / "log.jsonl",
        drawings=(others,),
        phases=TINY,
        bfloat16=False,
        log_every=1,
        validate_every=100,
        checkpoint_every=1,
        validation_scenes=4,
    )


def test_an_interrupted_run_ends_in_the_same_weights(tmp_path: Path) -> None:
    whole = settings(tmp_path / "whole")
    train(whole)
    broken = settings(tmp_path / "broken")

    class Stopped(Exception):
        pass

    def interrupt(step: int, steps: int, figures: dict[str, float]) -> None:
        if step == 2:
            raise Stopped

    with pytest.raises(Stopped):
        train(broken, report=interrupt)
    assert not broken.out.exists()
    steps: list[int] = []
    train(broken, report=lambda step, total, figures: steps.append(step))
    assert min(steps) == 2  # from the checkpoint after step 1
    first, second = load_file(whole.out), load_file(broken.out)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    lines = [json.loads(line) for line in whole.log.read_text().splitlines()]
    assert {"step", "naming", "contrastive", "words", "density", "rate"} <= set(lines[0])
    assert {"top1", "top5"} <= set(lines[-1])
    new_model().load_state_dict(first)  # open_clip's own names, whole
    with pytest.raises(ValueError, match="seed 0"):
        train(replace(broken, seed=1))
    with pytest.raises(ValueError, match="380 drawings, not 379"):
        train(replace(broken, drawings=()))
