"""Train the demo model from scratch on scenes of the demo world (`pairscope demo-train`).

The recipe:

- An open_clip CLIP with a ModifiedResNet (width 32; one block in each of the first two stages, two
  in each of the last two: 1,024 neurons x 16 heads), 256 pixels native, and a small text
  transformer.
- Each step sees a batch of new scenes; none is ever repeated. Sizes grow 64 → 96 → 128 → 256
  pixels, with the pool's positions resized from the native grid; single objects first, then scenes
  with several objects every second or third step (`schedule.py`).
- Loss (`losses.py`): CLIP's contrastive loss on captions; a softmax over all concept names, the
  target shared by the objects present; a logistic loss on words (names, keywords, categories,
  tints, backgrounds, "blue butterfly" against "red butterfly"); and a penalty on neurons that fire
  for all images alike, so that single neurons, and with them pairs, come to mean something.
- The next two phases ask what parts of an image's embedding mean by themselves. Evidence
  (`evidence.py`): the softmax and the words again, on embeddings to which a few pairs alone
  contribute, the others held at their mean. Cells: a linear reader of the last block's output, left
  out of the shipped model, tells from each of its 8 x 8 cells which concept and tint is there,
  which the scenes' masks know. Regions, in the last of them: what the cells of each object write
  must name that object and its tint. The stem and the first stage stand still.
- The next phases are about the sum. What the cells know must survive it, so backgrounds have to be
  quiet: what their cells write must not move the words for objects (silence), and a neuron should
  fire for objects or for backgrounds, not for both (mixture). Single objects and crowds share each
  batch, more objects are tinted, and many concepts are drawn as another artist might
  (`redrawing.py`). The first stages stand still; what they see in a scene is kept, and each scene
  is met several times, with other pairs speaking (`material.py`). At their end the weights are
  averaged with those before these phases: each phase wins some things and loses others, and the
  average keeps most of both.
- The last phases wake the second blocks, which until then pass on what they get. A cell's reader
  with a softmax knows far more than a linear sum over the cells can tell: one more step from cell
  to cell makes what it knows linear, and its neurons see most of the picture. Accord is asked as
  well: the words that a single pair writes must be true of the scenes that drive it. Half of the
  concepts in a batch are drawn anew, by the atlas's artist or by others (`--drawings`). A short
  course at the end, for names in crowds above all, is averaged with the weights before it.
- AdamW; the rate is 2e-3 falling to 0 by a cosine over the pixels seen, once more from 1e-3 over
  the next two phases, then stays at 3e-4 and falls in straight lines, once more so from 6e-4, and
  at last from 1.5e-4; weight decay 0.05 on matrices, gradients clipped to norm 1; bfloat16
  arithmetic on float32 weights where the processor has it.

Beside other programs, set ``OMP_NUM_THREADS=1``: threads within one operation wait for each other
thousands of times a step. The next step's material is made on a thread of its own in any case.

Every random choice follows from the seed and the step, so a run that is interrupted goes on from
its checkpoint to the state it would have reached.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from precompute.demo_world import losses
from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.drawings import read_drawings
from precompute.demo_world.evidence import Selection, partial_embedding
from precompute.demo_world.layout import CLASSIFICATION
from precompute.demo_world.lessons import Lesson
from precompute.demo_world.material import Material, Materials, ahead
from precompute.demo_world.redrawing import Repertoire, repertoire
from precompute.demo_world.scenes import batches
from precompute.demo_world.schedule import RECIPE, Phase, Schedule
from precompute.demo_world.tower import (
    attend,
    block_output,
    coefficients,
    directions,
    encode_text,
    normalise,
    pool,
    read_config,
    region_coefficients,
    stages,
    through,
    written,
)
from precompute.demo_world.trainee import (
    Trainee,
    freeze,
    load_checkpoint,
    new_optimizer,
    new_trainee,
    save_checkpoint,
    save_weights,
    take_weights,
)
from precompute.demo_world.vocabulary import TEMPLATES, lexicon

MOST_GRADIENT = 1.0
MOST_LOGIT_SCALE = 100.0
MOST_BACKGROUND = 0.5  # of the area of a cell that shows an object
NEURONS_HEARD = 256  # a step: of whose pairs accord is asked
WORDS_SHARE = 0.5  # beside the contrastive loss
VALIDATION_SEED = 990_001  # scenes looked at while training; figures are made on other seeds

Figures = dict[str, float]
Reporter = Callable[[int, int, Figures], None]


@dataclass(frozen=True)
class TrainingSettings:
    """Where and how to train; counts in steps.

    `start`: weights to begin with instead of fresh ones, at the step `first_step` of the schedule.
    `drawings`: folders of other artists' drawings, as
    :func:`precompute.demo_world.drawings.read_drawings` reads them.
    `bfloat16` None: where the processor supports it.
    """

    out: Path
    checkpoint: Path
    log: Path
    seed: int = 0
    start: Path | None = None
    first_step: int = 0
    drawings: Sequence[Path] = ()
    phases: Sequence[Phase] = RECIPE
    bfloat16: bool | None = None
    log_every: int = 20
    validate_every: int = 250
    checkpoint_every: int = 100
    validation_scenes: int = 379


def train(settings: TrainingSettings, *, report: Reporter | None = None) -> Path:
    """Train to the end of the schedule, from the checkpoint where there is one.

    Writes half-precision weights to ``settings.out`` at every validation and at the end, and a line
    of JSON for each report to ``settings.log``. `report` is called with (step, steps, figures).
    Raises ValueError for a checkpoint of another run, for weights of another model to start from,
    for a first step beyond the schedule, and where the loss is no longer a number.
    """
    with _denormals_flushed():
        _run(settings, report)
    return settings.out


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Tiny numbers are slow on a CPU, and mean nothing to training; other code may need them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _run(settings: TrainingSettings, report: Reporter | None) -> None:
    config = read_config()
    schedule = Schedule(settings.phases)
    trainee = new_trainee(settings.seed)
    optimizer = new_optimizer(trainee)
    drawings = repertoire(load_atlas(), [read_drawings(folder) for folder in settings.drawings])
    first = _begin(settings, schedule, trainee, optimizer, drawings)
    half = has_bfloat16() if settings.bfloat16 is None else settings.bfloat16
    tell = _Log(settings.log, schedule.steps, report)
    visual = trainee.model.visual
    for phase, steps in schedule.runs(first):
        starts = phase.peak is not None and schedule.phase(steps.start)[1] == 0
        if starts or not trainee.earlier:
            trainee.remember()
        freeze(trainee, phase.frozen, deep=phase.deep)
        make = Materials(
            schedule,
            visual,
            seed=settings.seed,
            half=half,
            config=config,
            drawings=drawings,
        ).of
        for step, material in zip(steps, ahead(make, steps), strict=True):
            rate, weights = schedule.rate(step), replace(phase, density=schedule.density(step))
            parts = learn(trainee, optimizer, material, rate=rate, phase=weights, half=half)
            done = step + 1
            last = done == schedule.steps
            if done == steps.stop and phase.blend:
                trainee.blend(phase.blend)
            if done % settings.log_every == 0 or last:
                scale = trainee.model.logit_scale.exp().item()
                tell(done, {"size": phase.size, "rate": rate, "logit_scale": scale, **parts})
            if done % settings.validate_every == 0 or last:
                count = settings.validation_scenes
                tell(done, validate(trainee, size=phase.size, count=count, config=config))
                save_weights(trainee, settings.out)
            if done % settings.checkpoint_every == 0 or last:
                save_checkpoint(
                    settings.checkpoint,
                    trainee,
                    optimizer,
                    seed=settings.seed,
                    drawings=len(drawings.concept),
                    step=done,
                )


def _begin(
    settings: TrainingSettings,
    schedule: Schedule,
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    drawings: Repertoire,
) -> int:
    """The step to begin with: after the checkpoint's, or the first one asked for."""
    if not 0 <= settings.first_step < schedule.steps:
        raise ValueError(f"The first step must be 0 to {schedule.steps - 1}.")
    reached = load_checkpoint(
        settings.checkpoint,
        trainee,
        optimizer,
        seed=settings.seed,
        drawings=len(drawings.concept),
    )
    if reached is not None:
        return reached
    if settings.start is not None:
        take_weights(trainee, settings.start)
    return settings.first_step


def learn(
    trainee: Trainee,
    optimizer: torch.optim.Optimizer,
    material: Material,
    *,
    rate: float,
    phase: Phase,
    half: bool,
) -> Figures:
    """One step of the optimizer; returns the parts of the loss, unweighted.

    `phase` has the weights of the step.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    freeze(trainee, phase.frozen, deep=phase.deep)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
        parts = material_losses(trainee, material, phase)
    loss = total_loss(parts, phase)
    if not math.isfinite(loss.item()):
        raise ValueError("The loss is no longer a number: train at a lower rate.")
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(trainee.parameters(), MOST_GRADIENT)
    optimizer.step()
    with torch.no_grad():
        trainee.model.logit_scale.clamp_(0, math.log(MOST_LOGIT_SCALE))
    return {name: value.item() for name, value in parts.items()}


def material_losses(trainee: Trainee, material: Material, phase: Phase) -> dict[str, Tensor]:
    """The parts of the loss, unweighted; those of weight 0 in the phase are left out."""
    model, own = trainee.model, material.lesson
    late = range(phase.frozen, len(stages(model.visual)))
    features = through(model.visual, material.seen, late)
    attention, tokens = attend(model, features)
    coefficient = coefficients(attention, tokens)
    embedding = pool(model, coefficient)
    captions, texts = _embed(trainee, own.captions), _embed(trainee, own.texts)
    weight = torch.ones(len(texts)).index_fill(0, own.tints, phase.tints)
    images = functional.normalize(embedding.float(), dim=1)
    parts = {
        "contrastive": losses.contrastive(images, captions, model.logit_scale.exp()),
        "naming": _naming(trainee, images, texts, own.true),
        "words": _words(trainee, images, texts, own.true, weight),
        "density": losses.density(features),
    }
    if phase.evidence:
        some = partial_embedding(model, coefficient, embedding, material.selection)
        some = functional.normalize(some, dim=1)
        parts["evident_naming"] = _naming(trainee, some, texts, own.true)
        parts["evident_words"] = _words(trainee, some, texts, own.true, weight)
    cells = features.flatten(2).transpose(1, 2)
    if phase.cells:
        parts["cells"] = losses.cells(trainee.cells(cells).float(), own.cells, own.cell_tints)
    if phase.regions:
        parts |= _region_losses(trainee, own, attention, tokens, texts, weight)
    if phase.silence:
        added = region_coefficients(attention, tokens, own.background)
        ground = written(model, added).float() / embedding.float().norm(dim=1, keepdim=True)
        scale = model.logit_scale.exp().detach()
        parts["silence"] = losses.silence(ground, texts[own.of_objects].detach(), scale)
    if phase.accord:
        parts["discord"] = _discord(trainee, coefficient, material.selection, texts, own.true)
    if phase.mixture:
        objects = own.cells[..., -1] < MOST_BACKGROUND
        parts["mixture"] = losses.mixture(cells, own.background, objects)
    return parts


def _region_losses(
    trainee: Trainee,
    own: Lesson,
    attention: Tensor,
    tokens: Tensor,
    texts: Tensor,
    weight: Tensor,
) -> dict[str, Tensor]:
    """What the cells of an object write must tell that object, whatever else is in the scene."""
    regions, kept = own.regions, own.of_objects
    added = region_coefficients(attention[regions.scene], tokens[regions.scene], regions.cells)
    images = functional.normalize(written(trainee.model, added).float(), dim=1)
    return {
        "region_naming": _naming(trainee, images, texts, regions.true),
        "region_words": _words(trainee, images, texts[kept], regions.true[:, kept], weight[kept]),
    }


def _discord(
    trainee: Trainee, coefficient: Tensor, selection: Selection, texts: Tensor, true: Tensor
) -> Tensor:
    """How little what single pairs write is true of what drives them: of some neurons' pairs.

    Each counts by the variance that it adds: the strong ones are looked at first, and the many weak
    ones are left to naming.
    """
    generator = torch.Generator().manual_seed(selection.seed)
    neurons = torch.randperm(coefficient.shape[2], generator=generator)[:NEURONS_HEARD]
    values = coefficient[:, :, neurons].float().flatten(1)
    written = directions(trainee.model, neurons).float().flatten(0, 1)
    variance = (values.var(dim=0) * written.square().sum(dim=1)).detach()
    return 1 - losses.accord(values, written, texts, true, variance)


def _embed(trainee: Trainee, texts: list[str]) -> Tensor:
    places, ends = trainee.words.batch(texts, longest=trainee.model.context_length)
    embeddings = encode_text(trainee.model, trainee.embedding, places, ends).float()
    return functional.normalize(embeddings, dim=1)


def _naming(trainee: Trainee, images: Tensor, texts: Tensor, true: Tensor) -> Tensor:
    names = len(lexicon().names)
    scale = trainee.model.logit_scale.exp()
    return losses.naming(images, texts[:names], true[:, :names], scale)


def _words(trainee: Trainee, images: Tensor, texts: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    scale, bias = trainee.word_scale.exp(), trainee.word_bias
    return losses.word_truth(images, texts, true, scale, bias, weight)


def total_loss(parts: dict[str, Tensor], phase: Phase) -> Tensor:
    """The weighted sum that a step descends."""
    whole = parts["contrastive"] + phase.naming * parts["naming"] + WORDS_SHARE * parts["words"]
    loss = whole + phase.density * parts["density"]
    if phase.evidence:
        evident = phase.naming * parts["evident_naming"] + WORDS_SHARE * parts["evident_words"]
        loss = loss + phase.evidence * evident
    if phase.cells:
        loss = loss + phase.cells * parts["cells"]
    if phase.regions:
        regions = phase.naming * parts["region_naming"] + WORDS_SHARE * parts["region_words"]
        loss = loss + phase.regions * regions
    if phase.silence:
        loss = loss + phase.silence * parts["silence"]
    if phase.accord:
        loss = loss + phase.accord * parts["discord"]
    if phase.mixture:
        loss = loss + phase.mixture * parts["mixture"]
    return loss


@torch.no_grad()
def validate(trainee: Trainee, *, size: int, count: int, config: dict[str, Any]) -> Figures:
    """Top-1 and top-5 over all concepts on unseen single-object scenes, shares in 0..1."""
    model = trainee.model
    model.eval()
    texts = [TEMPLATES[1].format(name) for name in lexicon().names]
    places, ends = trainee.words.batch(texts, longest=model.context_length)
    names = functional.normalize(encode_text(model, trainee.embedding, places, ends), dim=1)
    top1 = top5 = 0
    for batch in batches(VALIDATION_SEED, count, size=size, objects=1, style=CLASSIFICATION):
        features = block_output(model.visual, normalise(batch.images, config))
        found = coefficients(*attend(model, features))
        best = (pool(model, found) @ names.T).topk(5)
        hits = best.indices == torch.from_numpy(batch.layout.concept[:, :1])
        top1 += int(hits[:, 0].sum())
        top5 += int(hits.any(dim=1).sum())
    return {"size": size, "top1": top1 / count, "top5": top5 / count}


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16 itself; emulated, it is slower than float32."""
    return bool(torch.cpu._is_avx512_bf16_supported())


class _Log:
    """Reports to a file of JSON lines and to whoever else listens, with the time a step takes."""

    def __init__(self, path: Path, steps: int, listener: Reporter | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._steps, self._listener = path, steps, listener
        self._step, self._time = 0, time.monotonic()

    def __call__(self, step: int, figures: Figures) -> None:
        now = time.monotonic()
        line = {"step": step, "steps": self._steps, **figures}
        if step > self._step > 0:
            line["seconds_a_step"] = (now - self._time) / (step - self._step)
        self._step, self._time = step, now
        rounded = {name: float(f"{value:.5g}") for name, value in line.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._listener:
            self._listener(step, self._steps, figures)
