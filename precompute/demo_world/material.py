"""What each step learns from, made while the step before is learnt: a lesson, and what layers that
stand still see in its images.

Where layers stand still, what they see in a scene never changes: scenes may be met several times
for the price of one. Everything follows from the seed, the step and the layers that stand still, so
a resumed run makes again what it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from open_clip.modified_resnet import ModifiedResNet
from torch import Tensor

from precompute.demo_world.evidence import Selection, draw_selection
from precompute.demo_world.layout import TRAINING
from precompute.demo_world.lessons import Lesson, lesson
from precompute.demo_world.redrawing import Repertoire
from precompute.demo_world.schedule import Schedule
from precompute.demo_world.tower import normalise, through
from precompute.demo_world.vocabulary import lexicon

KEPT = 48  # batches that may be met again: 25 MB each behind two frozen stages at 256 pixels

Made = TypeVar("Made")


@dataclass(frozen=True)
class Material:
    """A lesson, without its images, and what the frozen stages make of these.

    `seen` are the pixels where no stage is frozen. `selection` is of the pairs that must speak
    alone.
    """

    lesson: Lesson
    seen: Tensor
    selection: Selection


class Materials:
    """The material of steps in which the same stages of `visual` stand still."""

    def __init__(
        self,
        schedule: Schedule,
        visual: ModifiedResNet,
        *,
        seed: int,
        half: bool,
        config: dict[str, Any],
        drawings: Repertoire,
    ) -> None:
        self._schedule, self._visual, self._drawings = schedule, visual, drawings
        self._seed, self._half, self._config = seed, half, config
        self._kept: dict[int, tuple[Lesson, Tensor]] = {}

    def of(self, step: int) -> Material:
        """The material of a step; cheap where its scenes were met a few steps before."""
        place, within = self._schedule.phase(step)
        phase = self._schedule.phases[place]
        newest = within // phase.reuse
        oldest = max(0, newest - KEPT + 1)
        batch = newest
        if within % phase.reuse:
            batch = int(self._generator(step).integers(oldest, newest + 1))
        origin = step - within + batch * phase.reuse
        self._kept = {
            own: kept
            for own, kept in self._kept.items()
            if own >= step - within + oldest * phase.reuse
        }
        if origin not in self._kept:
            self._kept[origin] = self._make(origin)
        own, seen = self._kept[origin]
        if phase.reuse == 1:
            self._kept.clear()
        return Material(own, seen, draw_selection(self._generator(step)))

    def _generator(self, step: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self._seed, spawn_key=(TRAINING, step)))

    @torch.no_grad()
    def _make(self, step: int) -> tuple[Lesson, Tensor]:
        own = lesson(
            self._schedule,
            step,
            seed=self._seed,
            lexicon=lexicon(),
            drawings=self._drawings,
        )
        pixels = normalise(own.images, self._config).contiguous(memory_format=torch.channels_last)
        frozen = self._schedule.phases[self._schedule.phase(step)[0]].frozen
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._half):
            seen = through(self._visual, pixels, range(frozen))
        return replace(own, images=own.images[:0]), seen


def ahead(make: Callable[[int], Made], steps: range) -> Iterator[Made]:
    """What `make` makes of each step, in order, each made while the one before is in use.

    Tiny numbers count as zero there, as on the thread that trains.
    """
    with ThreadPoolExecutor(1, initializer=torch.set_flush_denormal, initargs=(True,)) as thread:
        coming = [thread.submit(make, step) for step in steps[:1]]
        for step in steps:
            made = coming.pop().result()
            if step + 1 in steps:
                coming.append(thread.submit(make, step + 1))
            yield made
