"""The course of training: which scenes at which step, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from precompute.demo_world.layout import Style


@dataclass(frozen=True)
class Phase:
    """Steps at one image size.

    `crowd_every`: every so many steps a batch is of scenes with several objects, 0 for never.
    `density`: the weight of that penalty at the phase's end, reached in a straight line.
    """

    size: int
    steps: int
    batch: int
    style: Style
    crowd_every: int
    density: float


# Up to 128 pixels, objects may reach beyond the frame: their parts are then as large, in pixels,
# as they will be at 256, so that the last phase has little left to learn.
RECIPE: tuple[Phase, ...] = (
    Phase(64, 500, 128, Style((0.6, 1.0), 15.0, 0.25), crowd_every=0, density=0.25),
    Phase(64, 450, 128, Style((0.5, 1.2), 25.0, 0.4), crowd_every=3, density=0.5),
    Phase(96, 350, 128, Style((0.45, 1.4), 30.0, 0.4), crowd_every=3, density=2.0),
    Phase(128, 385, 128, Style((0.4, 1.7), 30.0, 0.4), crowd_every=2, density=3.0),
    Phase(256, 850, 48, Style((0.4, 0.97), 30.0, 0.4), crowd_every=2, density=3.0),
)

PEAK_RATE = 2e-3
WARM_UP_STEPS = 100


@dataclass(frozen=True)
class Schedule:
    """Phases in order; steps are counted from 0 over all of them."""

    phases: Sequence[Phase]

    @property
    def steps(self) -> int:
        """Steps in all."""
        return sum(phase.steps for phase in self.phases)

    def phase(self, step: int) -> tuple[int, int]:
        """The place of a step's phase, and the step within it."""
        for place, phase in enumerate(self.phases):
            if step < phase.steps:
                return place, step
            step -= phase.steps
        raise ValueError("The step is beyond the end of the schedule.")

    def first_scene(self, step: int) -> int:
        """How many scenes come before a step: its batch starts at that index."""
        place, within = self.phase(step)
        before = sum(phase.steps * phase.batch for phase in self.phases[:place])
        return before + within * self.phases[place].batch

    def rate(self, step: int) -> float:
        """Learning rate: a warm-up, then a cosine to 0 over the pixels seen, not over the steps."""
        place, within = self.phase(step)
        work = [phase.steps * phase.batch * phase.size**2 for phase in self.phases]
        done = sum(work[:place]) + work[place] * within / self.phases[place].steps
        cosine = 0.5 * (1 + math.cos(math.pi * done / sum(work)))
        return PEAK_RATE * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine

    def density(self, step: int) -> float:
        """The weight of the density penalty: from 0, as neurons must first learn to fire."""
        place, within = self.phase(step)
        before = self.phases[place - 1].density if place else 0.0
        return before + (self.phases[place].density - before) * within / self.phases[place].steps

    def sees_crowd(self, step: int) -> bool:
        """Whether a step's scenes hold several objects."""
        place, within = self.phase(step)
        every = self.phases[place].crowd_every
        return bool(every) and within % every == every - 1
