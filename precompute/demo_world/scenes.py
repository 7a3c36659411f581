"""Scenes of the demo world: seeded pictures with known contents.

    scene = generate_scene(7, 0, size=256, objects=2)

A scene depends on its seed, index and parameters alone, not on the order or number of scenes made.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.captions import write_caption
from precompute.demo_world.layout import (
    CAPTION_COLUMNS,
    MOST_OBJECTS,
    NO_TINT,
    UNSEEN,
    Integers,
    Layout,
    Style,
    draw_layout,
    uniforms,
)
from precompute.demo_world.painting import paint
from precompute.demo_world.palette import BACKGROUND_COLOURS, PATTERNS, TINTS
from precompute.demo_world.redrawing import Redrawing, redraw

SMALLEST, LARGEST = 32, 384  # side of a scene, pixels
# Pixels painted at once: the working set then stays in the processor's cache (twice the speed of
# painting whole batches), and memory is bounded whatever the count.
PIXELS_AT_ONCE = 1 << 19

_TINTS, _COLOURS = tuple(TINTS), tuple(BACKGROUND_COLOURS)


@dataclass(frozen=True)
class Background:
    """A background's colour word and pattern word."""

    colour: str
    pattern: str


@dataclass(frozen=True)
class PlacedObject:
    """An object of a scene: concept name, tint word or None, and the box of what is seen of it.

    The box is (x0, y0, x1, y1) in pixels, x1 and y1 exclusive; all zero where nothing is seen.
    """

    concept: str
    tint: str | None
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """A picture with its contents.

    `image` is uint8 [size, size, 3], sRGB; `mask` uint8 [size, size], the place in `objects` of
    what is seen at each pixel, 255 for background.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    caption: str
    background: Background
    objects: tuple[PlacedObject, ...]


@dataclass(frozen=True)
class SceneBatch:
    """Scenes as arrays: `images` [scene, size, size, 3], `masks` [scene, size, size], uint8."""

    images: Tensor
    masks: Tensor
    layout: Layout

    def caption(self, place: int) -> str:
        """The caption of the scene at a place of the batch."""
        layout = self.layout
        concepts = load_atlas().concepts
        objects = [
            (concepts[layout.concept[place, slot]], _tint_word(layout.tint[place, slot]))
            for slot in range(layout.count[place])
        ]
        colour, pattern = _COLOURS[layout.colour[place]], PATTERNS[layout.pattern[place]]
        own = layout.uniforms[place, CAPTION_COLUMNS].tolist()
        return write_caption(objects, colour, pattern, own)

    def scene(self, place: int) -> Scene:
        """The scene at a place of the batch, with names instead of numbers."""
        layout = self.layout
        concepts = load_atlas().concepts
        mask = self.masks[place].numpy()
        objects = tuple(
            PlacedObject(
                concept=concepts[layout.concept[place, slot]].name,
                tint=_tint_word(layout.tint[place, slot]),
                box=box_of(mask == slot),
            )
            for slot in range(layout.count[place])
        )
        background = Background(_COLOURS[layout.colour[place]], PATTERNS[layout.pattern[place]])
        image = self.images[place].numpy()
        return Scene(image, mask, self.caption(place), background, objects)


def _tint_word(tint: int) -> str | None:
    return None if tint == NO_TINT else _TINTS[tint]


def box_of(seen: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """The smallest box (x0, y0, x1, y1), ends exclusive, round the true pixels; zeros if none."""
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def check_parameters(*, seed: int, size: int, objects: int | Integers | None) -> None:
    """Raise ValueError, in one sentence, for a scene that can't be made."""
    if seed < 0:
        raise ValueError(f"The seed must be 0 or more, not {seed}.")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"The size must be {SMALLEST} to {LARGEST} pixels, not {size}.")
    if objects is not None and not 1 <= np.min(objects) <= np.max(objects) <= MOST_OBJECTS:
        raise ValueError(f"A scene has 1 to {MOST_OBJECTS} objects, not {objects}.")


def generate_batch(
    seed: int,
    indices: range,
    *,
    size: int = 256,
    objects: int | Integers | None = None,
    style: Style | None = None,
    family: int = UNSEEN,
    redrawing: Redrawing | None = None,
) -> SceneBatch:
    """The scenes of a seed at some indices; `family` keeps training's apart from all others.

    `objects` is one count for all, or a count for each. With a `redrawing`, concepts are drawn as
    another artist might.
    """
    check_parameters(seed=seed, size=size, objects=objects)
    atlas = load_atlas()
    rows = uniforms(seed, indices, family=family)
    layout = draw_layout(rows, atlas.concepts, objects=objects, style=style or Style())
    if redrawing is not None:
        shown = layout.concept[np.arange(MOST_OBJECTS) < layout.count[:, None]]
        atlas = redraw(atlas, torch.from_numpy(np.unique(shown)), redrawing)
    images = torch.empty(len(indices), size, size, 3, dtype=torch.uint8)
    masks = torch.empty(len(indices), size, size, dtype=torch.uint8)
    step = max(1, PIXELS_AT_ONCE // (size * size))
    for start in range(0, len(indices), step):
        part = slice(start, start + step)
        images[part], masks[part] = paint(layout.part(part), atlas, size=size)
    return SceneBatch(images, masks, layout)


def batches(
    seed: int,
    count: int,
    *,
    size: int = 256,
    objects: int | None = None,
    style: Style | None = None,
) -> Iterator[SceneBatch]:
    """The first `count` unseen scenes of a seed, in order, in batches of bounded memory."""
    step = max(1, PIXELS_AT_ONCE // (size * size))
    for start in range(0, count, step):
        indices = range(start, min(count, start + step))
        yield generate_batch(seed, indices, size=size, objects=objects, style=style)


def generate_scene(
    seed: int,
    index: int,
    *,
    size: int = 256,
    objects: int | None = None,
    style: Style | None = None,
) -> Scene:
    """One unseen scene; ValueError for size outside 32..384, objects outside 1..4, seed < 0."""
    indices = range(index, index + 1)
    return generate_batch(seed, indices, size=size, objects=objects, style=style).scene(0)


def scenes(
    seed: int,
    count: int,
    *,
    size: int = 256,
    objects: int | None = None,
    style: Style | None = None,
) -> Iterator[Scene]:
    """The first `count` unseen scenes of a seed, in order."""
    for batch in batches(seed, count, size=size, objects=objects, style=style):
        for place in range(len(batch.images)):
            yield batch.scene(place)
