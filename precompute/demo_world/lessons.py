"""One training step's material: scenes, captions, and words with the scenes they are true of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from precompute.demo_world.evidence import SHARES, Selection
from precompute.demo_world.layout import MOST_OBJECTS, NO_TINT, TRAINING, Layout
from precompute.demo_world.scenes import generate_batch
from precompute.demo_world.schedule import Schedule
from precompute.demo_world.vocabulary import TEMPLATES, Lexicon

KEYWORDS_A_STEP = 128  # all would cost more than the images; each is met every few steps
CELL = 32  # pixels a side that one cell of the last block's output stands for
COMPOUNDS_A_STEP = 40  # compounds true in the batch, and as many false ones made from them


@dataclass(frozen=True)
class Lesson:
    """`images` uint8 [scene, size, size, 3] with a caption each, and texts that are true or not.

    `texts` begin with all concept names, in order; `true` is bool [scene, text]. `cells`
    [scene, cell, concept + 1] and `cell_tints` [scene, cell, tint] are the shares of each cell's
    area that a concept, the background (last), a tint takes; `selection` is of the pairs that must
    speak alone.
    """

    images: Tensor
    captions: list[str]
    texts: list[str]
    true: Tensor
    cells: Tensor
    cell_tints: Tensor
    selection: Selection


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
    shares = _cell_shares(batch.masks)
    concept, tint = torch.from_numpy(batch.layout.concept), torch.from_numpy(batch.layout.tint)
    shown = _by_label(shares, concept, len(lexicon.names) + 1)
    shown[..., -1] = 1 - shares.sum(dim=2)
    tints = len(lexicon.tints)
    return Lesson(
        images=batch.images,
        captions=[batch.caption(scene) for scene in range(phase.batch)],
        texts=[template.format(word) for word in words],
        true=true,
        cells=shown,
        cell_tints=_by_label(shares, torch.where(tint == NO_TINT, tints, tint), tints + 1)[
            ..., :-1
        ],
        selection=Selection(
            share=float(generator.choice(SHARES)),
            alike=bool(generator.integers(2)),
            seed=int(generator.integers(1 << 31)),
        ),
    )


def _cell_shares(masks: Tensor) -> Tensor:
    """Share of each cell's area that each object of the scene takes, [scene, cell, slot]."""
    slots = [functional.avg_pool2d((masks == slot).float(), CELL) for slot in range(MOST_OBJECTS)]
    return torch.stack(slots, dim=-1).flatten(1, 2)


def _by_label(shares: Tensor, labels: Tensor, count: int) -> Tensor:
    """Sum the slots' shares [scene, cell, slot] by their labels [scene, slot]."""
    found = torch.zeros(*shares.shape[:2], count)
    return found.scatter_add_(2, labels[:, None].expand(-1, shares.shape[1], -1), shares)


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
