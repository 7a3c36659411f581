"""One training step's material: scenes, captions, and words with the scenes they are true of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from precompute.demo_world.layout import NO_TINT, TRAINING, Layout
from precompute.demo_world.scenes import generate_batch
from precompute.demo_world.schedule import Schedule
from precompute.demo_world.vocabulary import TEMPLATES, Lexicon

KEYWORDS_A_STEP = 128  # all would cost more than the images; each is met every few steps
COMPOUNDS_A_STEP = 40  # compounds true in the batch, and as many false ones made from them


@dataclass(frozen=True)
class Lesson:
    """`images` uint8 [scene, size, size, 3] with a caption each, and texts that are true or not.

    `texts` begin with all concept names, in order; `true` is bool [scene, text].
    """

    images: Tensor
    captions: list[str]
    texts: list[str]
    true: Tensor


def lesson(schedule: Schedule, step: int, *, seed: int, lexicon: Lexicon) -> Lesson:
    """The material of a step: the same for the same seed and schedule, whenever it is asked for."""
    place, _ = schedule.phase(step)
    phase = schedule.phases[place]
    first = schedule.first_scene(step)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(TRAINING, step, 1)))
    objects = int(generator.integers(2, 5)) if schedule.sees_crowd(step) else 1
    batch = generate_batch(
        seed,
        range(first, first + phase.batch),
        size=phase.size,
        objects=objects,
        style=phase.style,
        family=TRAINING,
    )
    words, true = _words(batch.layout, lexicon, generator)
    template = TEMPLATES[generator.integers(len(TEMPLATES))]
    captions = [batch.caption(scene) for scene in range(phase.batch)]
    return Lesson(batch.images, captions, [template.format(word) for word in words], true)


def _words(
    layout: Layout, lexicon: Lexicon, generator: np.random.Generator
) -> tuple[list[str], Tensor]:
    """Names, some keywords, all categories, tints, backgrounds, some compounds; and their truth."""
    names, keywords = len(lexicon.names), len(lexicon.keywords)
    picked = np.sort(generator.choice(keywords, min(KEYWORDS_A_STEP, keywords), replace=False))
    plain = [*range(names), *(names + picked), *range(names + keywords, len(lexicon.plain))]
    compounds = _compounds(layout, lexicon, generator)
    texts = [lexicon.plain[i] for i in plain] + [lexicon.compound(c, t) for c, t in compounds]
    pairs = torch.tensor(compounds, dtype=torch.int64).reshape(-1, 2)
    true = [lexicon.truth(layout)[:, plain], lexicon.compound_truth(layout, pairs)]
    return texts, torch.cat(true, dim=1)


def _compounds(
    layout: Layout, lexicon: Lexicon, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """Compounds (concept, tint) that are true of some scene, and for each one with another tint."""
    used = (layout.tint != NO_TINT) & (np.arange(layout.tint.shape[1]) < layout.count[:, None])
    pairs = zip(layout.concept[used].tolist(), layout.tint[used].tolist(), strict=True)
    present = sorted(set(pairs))
    generator.shuffle(present)
    chosen = present[:COMPOUNDS_A_STEP]
    tints = len(lexicon.tints)
    other = [(c, (t + int(generator.integers(1, tints))) % tints) for c, t in chosen]
    return list(dict.fromkeys([*chosen, *other]))
