"""The course of training: which scenes at which step, and the learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from precompute.demo_world.layout import Style


@dataclass(frozen=True)
class Phase:
    """Steps at one image size.

    `crowds`: share of the batches that are of scenes with several objects, or with `mixed` of the
    scenes in every batch. `density`: the weight of that penalty at the phase's end, reached in a
    straight line. `evidence`, `cells`, `regions`, `silence`, `mixture` and `accord`: weights of
    these losses. `naming`: how much concept names count in the losses on names; `tints`: how much
    the words for tints count in the losses on words, others counting 1. `redrawn`: share of the
    concepts that each batch draws as another artist does, or might. `peak`: a new course of the
    learning rate begins here, at this rate. `until`: the rate goes in a straight line to this one,
    from the peak or from where the phase before ended, in place of the cosine. `blend`: at the
    phase's end the weights are averaged with those at which the rate's course began, which get this
    share. `frozen`: how many stages of the image tower stand still, from the first on, which saves
    time. `deep`: whether stages' second blocks learn; until then they pass on what they get.
    `reuse`: how often a scene is met, on average: only every so many steps see new ones.
    """

    size: int
    steps: int
    batch: int
    style: Style
    crowds: float
    density: float
    evidence: float = 0.0
    cells: float = 0.0
    regions: float = 0.0
    silence: float = 0.0
    mixture: float = 0.0
    accord: float = 0.0
    naming: float = 1.0
    tints: float = 1.0
    mixed: bool = False
    redrawn: float = 0.0
    peak: float | None = None
    until: float | None = None
    blend: float = 0.0
    frozen: int = 0
    deep: bool = False
    reuse: int = 1


# Phases that make single pairs, cells and regions mean something.
_PARTS = Phase(
    size=256,
    steps=0,
    batch=48,
    style=Style((0.4, 0.97), 30.0, 0.5),
    crowds=0.7,
    density=3.0,
    evidence=1.0,
    cells=1.0,
    regions=1.0,
    frozen=1,
)

# Phases that see to it that what they mean is still told by the sum over all cells, and with other
# drawings of the same things.
_SUMS = Phase(
    size=256,
    steps=0,
    batch=48,
    style=Style((0.4, 0.97), 30.0, 0.5),
    crowds=0.65,
    density=3.0,
    evidence=1.0,
    cells=0.5,
    regions=1.5,
    silence=1.0,
    mixture=2.0,
    tints=3.0,
    mixed=True,
    redrawn=0.25,
    frozen=2,
    reuse=4,
)

# Phases with second blocks in the last two stages: what the cells tell is made to fit the sum.
_DEEP = replace(
    _SUMS,
    batch=64,
    style=Style((0.4, 0.97), 30.0, 0.5),
    silence=0.0,
    mixture=1.0,
    accord=1.5,
    redrawn=0.5,
    deep=True,
)

# Then names count most again: single pairs have come to mean backgrounds and tints first.
_NAMED = replace(_DEEP, naming=2.5, evidence=0.7, mixture=0.5, accord=1.0, tints=1.5, redrawn=0.35)

# At last both count: the strong pairs must be true to their words, the sum to the names.
_HEARD = replace(_NAMED, evidence=1.0, accord=6.0, tints=3.0)

# Up to 128 pixels, objects may reach beyond the frame: their parts are then as large, in pixels,
# as they will be at 256, so that the last phase has little left to learn.
#
# The first five phases teach what things look like and are called; the others are about what parts
# and sums of parts mean, once there is something for them to mean.
RECIPE: tuple[Phase, ...] = (
    Phase(64, 500, 128, Style((0.6, 1.0), 15.0, 0.25), crowds=0, density=0.25, peak=2e-3),
    Phase(64, 450, 128, Style((0.5, 1.2), 25.0, 0.4), crowds=1 / 3, density=0.5),
    Phase(96, 350, 128, Style((0.45, 1.4), 30.0, 0.4), crowds=1 / 3, density=2.0),
    Phase(128, 385, 128, Style((0.4, 1.7), 30.0, 0.4), crowds=1 / 2, density=3.0),
    Phase(256, 850, 48, Style((0.4, 0.97), 30.0, 0.4), crowds=1 / 2, density=3.0),
    replace(_PARTS, steps=1065, regions=0.0, peak=1e-3),
    replace(_PARTS, steps=850),
    replace(
        _SUMS, steps=800, style=Style((0.4, 0.97), 30.0, 0.6), redrawn=0.3, peak=3e-4, until=3e-4
    ),
    replace(_SUMS, steps=50, until=2.85e-4),
    replace(_SUMS, steps=200, until=2.25e-4, frozen=1),
    replace(_SUMS, steps=350, until=0.0, blend=0.4),
    replace(_DEEP, steps=1250, peak=6e-4, until=6e-4),
    replace(_NAMED, steps=600, until=4.6e-4),
    replace(_HEARD, steps=700, accord=3.0, until=3e-4),
    replace(_HEARD, steps=400, until=2.1e-4),
    replace(_HEARD, steps=900, crowds=0.8, redrawn=0.25, until=0.0),
    replace(
        _HEARD,
        steps=400,
        crowds=0.9,
        redrawn=0.25,
        naming=4.0,
        peak=1.5e-4,
        until=0.0,
        blend=0.5,
    ),
)

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

    def runs(self, first: int) -> Iterator[tuple[Phase, range]]:
        """Each phase with its steps from step `first` on, without those that are over."""
        end = 0
        for phase in self.phases:
            end += phase.steps
            if first < end:
                yield phase, range(max(first, end - phase.steps), end)

    def first_scene(self, step: int) -> int:
        """How many scenes come before a step: its batch starts at that index."""
        place, within = self.phase(step)
        before = sum(phase.steps * phase.batch for phase in self.phases[:place])
        return before + within * self.phases[place].batch

    def rate(self, step: int) -> float:
        """Learning rate: a warm-up, then a cosine to 0 over the pixels seen, not over the steps.

        Anew from each phase that has a peak of its own; the first must have one. A phase that goes
        in a straight line follows on a peak or on another one that does.
        """
        place, within = self.phase(step)
        begins = [i for i, phase in enumerate(self.phases) if phase.peak is not None]
        start = max(i for i in begins if i <= place)
        since = sum(phase.steps for phase in self.phases[start:place]) + within
        warm = min(1.0, (since + 1) / WARM_UP_STEPS)
        phase, peak = self.phases[place], self.phases[start].peak
        assert peak is not None
        if phase.until is not None:
            begin = peak if place == start else self.phases[place - 1].until
            assert begin is not None
            return warm * (begin + (phase.until - begin) * within / phase.steps)
        end = min((i for i in begins if i > place), default=len(self.phases))
        work = [phase.steps * phase.batch * phase.size**2 for phase in self.phases]
        done = sum(work[start:place]) + work[place] * within / phase.steps
        cosine = 0.5 * (1 + math.cos(math.pi * done / sum(work[start:end])))
        return peak * warm * cosine

    def density(self, step: int) -> float:
        """The weight of the density penalty: from 0, as neurons must first learn to fire."""
        place, within = self.phase(step)
        before = self.phases[place - 1].density if place else 0.0
        return before + (self.phases[place].density - before) * within / self.phases[place].steps

    def sees_crowd(self, step: int) -> bool:
        """Whether a step's scenes hold several objects."""
        place, within = self.phase(step)
        share = self.phases[place].crowds
        return math.floor((within + 1) * share) > math.floor(within * share)
