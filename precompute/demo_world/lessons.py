"""One training step's material: scenes, captions, and words with the scenes they are true of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from precompute.demo_world.layout import MOST_OBJECTS, NO_TINT, TRAINING, Integers, Layout
from precompute.demo_world.redrawing import Redrawing, Repertoire
from precompute.demo_world.scenes import generate_batch
from precompute.demo_world.schedule import Phase, Schedule
from precompute.demo_world.vocabulary import TEMPLATES, Lexicon

KEYWORDS_A_STEP = 128  # all would cost more than the images; each is met every few steps
CELL = 32  # pixels a side that one cell of the last block's output stands for
COMPOUNDS_A_STEP = 40  # compounds true in the batch, and as many false ones made from them


@dataclass(frozen=True)
class Regions:
    """Objects that are seen, one a row.

    `scene` [object] is the place of an object's scene, `cells` bool [object, cell] where it is, and
    `true` bool [object, text] what is true of it.
    """

    scene: Tensor
    cells: Tensor
    true: Tensor


@dataclass(frozen=True)
class Lesson:
    """`images` uint8 [scene, size, size, 3] with a caption each, and texts that are true or not.

    `texts` begin with all concept names, in order; `true` is bool [scene, text]. `cells`
    [scene, cell, concept + 1] and `cell_tints` [scene, cell, tint] are the shares of each cell's
    area that a concept, the background (last), a tint takes. `regions` are where single objects
    are, and `background` bool [scene, cell] where none is. `of_objects` are the texts that can be
    true of an object, `tints` those that are a tint's word alone.
    """

    images: Tensor
    captions: list[str]
    texts: list[str]
    true: Tensor
    cells: Tensor
    cell_tints: Tensor
    regions: Regions
    background: Tensor
    of_objects: Tensor
    tints: Tensor


def lesson(
    schedule: Schedule, step: int, *, seed: int, lexicon: Lexicon, drawings: Repertoire
) -> Lesson:
    """The material of a step: the same for the same seed and schedule, whenever it is asked for."""
    place, _ = schedule.phase(step)
    phase = schedule.phases[place]
    first = schedule.first_scene(step)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(TRAINING, step, 1)))
    batch = generate_batch(
        seed,
        range(first, first + phase.batch),
        size=phase.size,
        objects=_counts(schedule, step, generator),
        style=phase.style,
        family=TRAINING,
        redrawing=_redrawing(phase, drawings, generator),
    )
    words = _words(batch.layout, lexicon, generator)
    template = TEMPLATES[generator.integers(len(TEMPLATES))]
    shares = _cell_shares(batch.masks)
    concept, tint = torch.from_numpy(batch.layout.concept), torch.from_numpy(batch.layout.tint)
    shown = _by_label(shares, concept, len(lexicon.names) + 1)
    shown[..., -1] = 1 - shares.sum(dim=2)
    tints = len(lexicon.tints)
    return Lesson(
        images=batch.images,
        captions=[batch.caption(scene) for scene in range(phase.batch)],
        texts=[template.format(word) for word in words.texts(lexicon)],
        true=words.truth(batch.layout, lexicon),
        cells=shown,
        cell_tints=_by_label(shares, torch.where(tint == NO_TINT, tints, tint), tints + 1)[
            ..., :-1
        ],
        regions=_regions(shares, batch.layout, words, lexicon),
        background=shares.sum(dim=2) == 0,
        of_objects=words.of_objects(lexicon),
        tints=words.tints(lexicon),
    )


def _counts(schedule: Schedule, step: int, generator: np.random.Generator) -> int | Integers:
    """How many objects each scene of a step has: one number for all, or in mixed batches each."""
    phase = schedule.phases[schedule.phase(step)[0]]
    if not phase.mixed:
        return int(generator.integers(2, MOST_OBJECTS + 1)) if schedule.sees_crowd(step) else 1
    crowd = generator.random(phase.batch) < phase.crowds
    return np.where(crowd, generator.integers(2, MOST_OBJECTS + 1, phase.batch), 1)


def _redrawing(
    phase: Phase, drawings: Repertoire, generator: np.random.Generator
) -> Redrawing | None:
    if not phase.redrawn:
        return None
    return Redrawing(phase.redrawn, int(generator.integers(1 << 31)), drawings)


def _cell_shares(masks: Tensor) -> Tensor:
    """Share of each cell's area that each object of the scene takes, [scene, cell, slot]."""
    slots = [functional.avg_pool2d((masks == slot).float(), CELL) for slot in range(MOST_OBJECTS)]
    return torch.stack(slots, dim=-1).flatten(1, 2)


def _by_label(shares: Tensor, labels: Tensor, count: int) -> Tensor:
    """Sum the slots' shares [scene, cell, slot] by their labels [scene, slot]."""
    found = torch.zeros(*shares.shape[:2], count)
    return found.scatter_add_(2, labels[:, None].expand(-1, shares.shape[1], -1), shares)


def _regions(shares: Tensor, layout: Layout, words: _Words, lexicon: Lexicon) -> Regions:
    """All objects of which something is seen, first those of the first slot."""
    scenes, cells, truths = [], [], []
    for slot in range(layout.count.max()):
        own = shares[:, :, slot]
        seen = (own > 0).any(dim=1) & torch.from_numpy(layout.count > slot)
        alone = layout.one_object(np.full(len(layout.count), slot))
        scenes.append(torch.nonzero(seen)[:, 0])
        cells.append(_core(own[seen]))
        truths.append(words.truth(alone, lexicon)[seen])
    return Regions(torch.cat(scenes), torch.cat(cells), torch.cat(truths))


def _core(own: Tensor) -> Tensor:
    """The cells, of [object, cell], in which an object takes half its largest share or more."""
    return (own > 0) & (own >= own.amax(dim=1, keepdim=True) / 2)


@dataclass(frozen=True)
class _Words:
    """Words of a step: places in the lexicon's plain words, and compounds."""

    plain: list[int]
    compounds: list[tuple[int, int]]

    def texts(self, lexicon: Lexicon) -> list[str]:
        own = [lexicon.plain[place] for place in self.plain]
        return own + [lexicon.compound(concept, tint) for concept, tint in self.compounds]

    def truth(self, layout: Layout, lexicon: Lexicon) -> Tensor:
        pairs = torch.tensor(self.compounds, dtype=torch.int64).reshape(-1, 2)
        own = lexicon.truth(layout)[:, self.plain]
        return torch.cat([own, lexicon.compound_truth(layout, pairs)], dim=1)

    def tints(self, lexicon: Lexicon) -> Tensor:
        """Places of the tints, which stand before the backgrounds."""
        end = len(self.plain) - len(lexicon.backgrounds)
        return torch.arange(end - len(lexicon.tints), end)

    def of_objects(self, lexicon: Lexicon) -> Tensor:
        """Places of all words but the backgrounds', which end the plain ones."""
        last = len(self.plain)
        kept = [*range(last - len(lexicon.backgrounds)), *range(last, last + len(self.compounds))]
        return torch.tensor(kept)


def _words(layout: Layout, lexicon: Lexicon, generator: np.random.Generator) -> _Words:
    """Names, some keywords, all categories, tints and backgrounds, and some compounds."""
    names, keywords = len(lexicon.names), len(lexicon.keywords)
    picked = np.sort(generator.choice(keywords, min(KEYWORDS_A_STEP, keywords), replace=False))
    plain = [*range(names), *(names + picked), *range(names + keywords, len(lexicon.plain))]
    return _Words(plain, _compounds(layout, lexicon, generator))


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
