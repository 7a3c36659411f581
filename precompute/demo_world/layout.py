"""What is in a scene and where: every random choice, drawn before anything is painted.

A scene has one row of uniform numbers of its own, from its seed and index alone; each choice has
a fixed column in that row. So a scene depends neither on how many are made at once nor on their
order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from precompute.demo_world.atlas import Concept
from precompute.demo_world.palette import BACKGROUND_COLOURS, PATTERNS, TINTS

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_OBJECTS = 4
NO_TINT = -1

# Spawn keys of the two families of scenes: none that a model is trained on is one to test it on.
TRAINING, UNSEEN = 0, 1

# Columns of a scene's row of uniform numbers.
_COUNT, _PLACES = 0, 1
BACKGROUND_COLUMNS = slice(2, 14)
CAPTION_COLUMNS = slice(14, 30)
_OBJECTS, _PER_OBJECT = 30, 10
COLUMNS = _OBJECTS + MOST_OBJECTS * _PER_OBJECT

# Of scenes with 1, 2, 3, 4 objects, where no count is asked for.
COUNT_SHARES = (0.5, 0.2, 0.2, 0.1)
# Size (longest side of the drawing / side of the scene) of each of two, three, four objects.
CROWD_SCALES = {2: (0.32, 0.6), 3: (0.28, 0.52), 4: (0.26, 0.46)}
JITTER = 0.07  # of an object of several round its quadrant's centre, share of the scene's side


@dataclass(frozen=True)
class Style:
    """How varied scenes are.

    `single_scale`: size of an object that is alone, in shares of the scene's side; above 1 it is a
    close-up that shows a part. `rotation`: most degrees of turn to either side. `tint_share`: how
    many of the objects that can be tinted are.
    """

    single_scale: tuple[float, float] = (0.4, 0.95)
    rotation: float = 30.0
    tint_share: float = 0.4


CLASSIFICATION = Style(single_scale=(0.5, 0.95), rotation=20.0, tint_share=0.0)


@dataclass(frozen=True)
class Layout:
    """The choices of a batch of scenes; object arrays have a column for each of `MOST_OBJECTS`.

    Positions and sizes are shares of the scene's side, angles radians. Columns at or beyond a
    scene's `count` mean nothing. `tint` is a place in `TINTS` or `NO_TINT`. `uniforms` are the
    scenes' rows of numbers.
    """

    uniforms: Floats
    count: Integers
    concept: Integers
    tint: Integers
    scale: Floats
    angle: Floats
    flip: NDArray[np.bool_]
    centre_x: Floats
    centre_y: Floats
    colour: Integers
    pattern: Integers

    def part(self, scenes: slice) -> Layout:
        """The layout of some of the scenes."""
        return Layout(**{name: values[scenes] for name, values in vars(self).items()})

    def one_object(self, slot: Integers) -> Layout:
        """The same scenes with one of their objects alone, by its column in each."""
        order = np.argsort(np.arange(MOST_OBJECTS) != slot[:, None], axis=1, kind="stable")
        own = {
            name: np.take_along_axis(values, order, axis=1)
            for name, values in vars(self).items()
            if name != "uniforms" and values.ndim == 2
        }
        return replace(self, count=np.ones_like(self.count), **own)


def uniforms(seed: int, indices: range, *, family: int) -> Floats:
    """Uniform numbers in [0, 1), [scene, COLUMNS], each row from (seed, family, index) alone."""
    rows = np.empty((len(indices), COLUMNS))
    for row, index in zip(rows, indices, strict=True):
        sequence = np.random.SeedSequence(seed, spawn_key=(family, index))
        np.random.Generator(np.random.PCG64(sequence)).random(out=row)
    return rows


def draw_layout(
    rows: Floats, concepts: tuple[Concept, ...], *, objects: int | Integers | None, style: Style
) -> Layout:
    """Turn rows of uniform numbers into layouts.

    `objects` (1 to 4) fixes every scene's count, or each scene's its own.
    """
    scenes = len(rows)
    count = (
        np.searchsorted(np.cumsum(COUNT_SHARES), rows[:, _COUNT], side="right") + 1
        if objects is None
        else np.broadcast_to(objects, scenes)
    ).clip(1, MOST_OBJECTS)
    own = rows[:, _OBJECTS:].reshape(scenes, MOST_OBJECTS, _PER_OBJECT)
    concept = _distinct(own[:, :, 0], len(concepts))
    tintable = np.array([item.tintable for item in concepts])[concept]
    tint = np.where(
        tintable & (own[:, :, 1] < style.tint_share), _pick(own[:, :, 2], len(TINTS)), NO_TINT
    )
    scale = _scales(own[:, :, 3], count, style)
    centre_x, centre_y = _centres(own[:, :, 6:8], rows[:, _PLACES], count, scale)
    background = rows[:, BACKGROUND_COLUMNS]
    return Layout(
        uniforms=rows,
        count=count,
        concept=concept,
        tint=tint,
        scale=scale,
        angle=np.deg2rad(style.rotation) * (2 * own[:, :, 4] - 1),
        flip=own[:, :, 5] < 0.5,
        centre_x=centre_x,
        centre_y=centre_y,
        colour=_pick(background[:, 0], len(BACKGROUND_COLOURS)),
        pattern=_pick(background[:, 1], len(PATTERNS)),
    )


def _pick(uniform: Floats, choices: int) -> Integers:
    places: Integers = np.minimum((uniform * choices).astype(np.int64), choices - 1)
    return places


def _distinct(uniform: Floats, choices: int) -> Integers:
    """Places [scene, slot] out of `choices`, different within a scene, each set equally likely."""
    chosen = np.empty(uniform.shape, dtype=np.int64)
    for slot in range(uniform.shape[1]):
        place = _pick(uniform[:, slot], choices - slot)
        for earlier in np.sort(chosen[:, :slot], axis=1).T:  # step over those taken already
            place = place + (place >= earlier)
        chosen[:, slot] = place
    return chosen


def _scales(uniform: Floats, count: Integers, style: Style) -> Floats:
    ranges = np.array([style.single_scale, *(CROWD_SCALES[n] for n in (2, 3, 4))])[count - 1]
    low, high = ranges[:, None, 0], ranges[:, None, 1]
    scale: Floats = low + (high - low) * uniform
    return scale


def _centres(
    uniform: Floats, places: Floats, count: Integers, scale: Floats
) -> tuple[Floats, Floats]:
    """Centres: one object lies anywhere it fits, several each in a quadrant of their own."""
    spread = np.abs(1 - scale[:, :1])  # a close-up may slide as far as it overhangs
    alone = 0.5 + spread[:, :, None] * (uniform - 0.5)
    order = np.argsort(_quadrant_keys(places), axis=1)
    corner = np.stack([order % 2, order // 2], axis=2)
    crowd = 0.25 + 0.5 * corner + 2 * JITTER * (uniform - 0.5)
    centres = np.where((count == 1)[:, None, None], alone, crowd)
    return centres[:, :, 0], centres[:, :, 1]


def _quadrant_keys(places: Floats) -> Floats:
    """Four sort keys a scene, out of one uniform number: its digits in a fine base."""
    return np.stack([(places * step) % 1.0 for step in (97.0, 389.0, 1543.0, 6151.0)], axis=1)
