"""Paint laid-out scenes: backgrounds, sprites, and the mask of what is seen of each object."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from precompute.demo_world.atlas import LEVELS, Atlas
from precompute.demo_world.layout import BACKGROUND_COLUMNS, NO_TINT, Layout
from precompute.demo_world.palette import BACKGROUND_COLOURS, LUMA, PATTERNS, TINTS

NOTHING = 255  # in a mask: no object here
# A sprite is read from the smallest level that is not stretched by more than this.
MOST_STRETCH = 1.3
PERIODS = (0.09, 0.22)  # of a background's pattern, in shares of the scene's side


def paint(layout: Layout, atlas: Atlas, *, size: int) -> tuple[Tensor, Tensor]:
    """Images uint8 [scene, size, size, 3] and masks uint8 [scene, size, size].

    A mask holds the place of the object seen at a pixel in its scene's list, `NOTHING` for none.
    """
    canvas = _backgrounds(layout, size)
    masks = torch.full(canvas.shape[:1] + canvas.shape[2:], NOTHING, dtype=torch.uint8)
    slots, levels = layout.concept.shape[1], _levels(layout, atlas, size)
    for slot in range(slots):
        for level in range(LEVELS):
            chosen = np.flatnonzero((layout.count > slot) & (levels[:, slot] == level))
            if len(chosen):
                rows = torch.from_numpy(chosen)
                drawn = _sprites(layout, atlas, chosen, slot, level, size)
                cover = drawn[:, 3:]
                canvas[rows] = canvas[rows] * (1 - cover) + drawn[:, :3]
                seen = masks[rows]
                seen[cover[:, 0] > 0.5] = slot
                masks[rows] = seen
    images = (canvas * 255 + 0.5).clamp_(0, 255).to(torch.uint8)
    return images.permute(0, 2, 3, 1).contiguous(), masks


def _levels(layout: Layout, atlas: Atlas, size: int) -> np.ndarray:
    """Which sprite size each object is read from, [scene, slot]."""
    shrink = atlas.extent / (layout.scale * size * MOST_STRETCH)
    return np.clip(np.ceil(np.log2(np.maximum(shrink, 1e-6))), 0, LEVELS - 1).astype(np.int64)


def _sprites(
    layout: Layout, atlas: Atlas, chosen: np.ndarray, slot: int, level: int, size: int
) -> Tensor:
    """The chosen scenes' object of a slot on an empty canvas, [chosen, 4, size, size] in 0..1."""

    def column(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values[chosen, slot].astype(np.float32))[:, None, None]

    sprites = atlas.levels[level][torch.from_numpy(layout.concept[chosen, slot])].float() / 255
    tint = layout.tint[chosen, slot]
    tinted = np.flatnonzero(tint != NO_TINT)
    if len(tinted):
        rows = torch.from_numpy(tinted)
        sprites[rows] = _tint(sprites[rows], torch.from_numpy(tint[tinted]))
    line = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    across, down = (
        line[None, None, :] - column(layout.centre_x),
        line[None, :, None] - column(layout.centre_y),
    )
    reach = column(layout.scale) * (atlas.tile / atlas.extent / 2)
    cosine, sine = column(np.cos(layout.angle)), column(np.sin(layout.angle))
    mirror = 1 - 2 * column(layout.flip)
    grid = torch.stack(
        [
            mirror * (cosine * across + sine * down) / reach,
            (cosine * down - sine * across) / reach,
        ],
        dim=3,
    )
    return functional.grid_sample(sprites, grid, padding_mode="zeros", align_corners=False)


def _tint(sprites: Tensor, tint: Tensor) -> Tensor:
    """Recolour premultiplied sprites [n, 4, side, side]: shading kept, hue replaced."""
    colours = torch.tensor(list(TINTS.values()), dtype=torch.float32)[tint] / 255
    cover = sprites[:, 3:]
    luma = sum(weight * sprites[:, i : i + 1] for i, weight in enumerate(LUMA))
    assert isinstance(luma, Tensor)
    body = colours[:, :, None, None] * torch.minimum(0.35 * cover + 0.8 * luma, cover)
    shine = 0.7 * (luma - 0.8 * cover).clamp(min=0)
    return torch.cat([torch.minimum(body + shine, cover), cover], dim=1)


def _backgrounds(layout: Layout, size: int) -> Tensor:
    """Backgrounds [scene, 3, size, size] in 0..1: a colour, and a pattern in a shade of it."""
    own = layout.uniforms[:, BACKGROUND_COLUMNS].astype(np.float32)
    palette = np.array(list(BACKGROUND_COLOURS.values()), dtype=np.float32) / 255
    base = palette[layout.colour] * (0.86 + 0.2 * own[:, 2:3]) + 0.06 * (own[:, 3:6] - 0.5)
    base = base.clip(0, 1)
    # The second shade is lighter or darker, whichever there is room for.
    lightness = base @ np.array(LUMA, dtype=np.float32)
    lighter = (lightness < 0.25) | ((lightness < 0.75) & (own[:, 6] < 0.5))
    depth = 0.22 + 0.2 * own[:, 7:8]
    other = np.where(lighter[:, None], base + (1 - base) * depth, base * (1 - depth))
    first, second = (torch.from_numpy(c)[:, :, None, None] for c in (base, other))
    mix = torch.zeros(len(own), 1, size, size)
    for place, name in enumerate(PATTERNS):
        chosen = np.flatnonzero(layout.pattern == place)
        if name != "plain" and len(chosen):
            mix[torch.from_numpy(chosen), 0] = _pattern(name, torch.from_numpy(own[chosen]), size)
    return first + (second - first) * mix


def _pattern(name: str, own: Tensor, size: int) -> Tensor:
    """How much of the second shade each pixel has, [scene, size, size] in 0..1."""
    period = (PERIODS[0] + (PERIODS[1] - PERIODS[0]) * own[:, 8])[:, None, None]
    angle = (math.pi * own[:, 9])[:, None, None]
    line = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    across, down = line[None, None, :], line[None, :, None]
    along = (torch.cos(angle) * across + torch.sin(angle) * down) / period + own[:, 10, None, None]
    over = (torch.cos(angle) * down - torch.sin(angle) * across) / period + own[:, 11, None, None]
    turn = 2 * math.pi
    if name == "striped":
        wave = torch.sin(turn * along)
    elif name == "checked":
        wave = torch.sin(turn / 2 * along) * torch.sin(turn / 2 * over)
    elif name == "dotted":
        wave = torch.cos(turn * along) + torch.cos(turn * over) - 0.9
    elif name == "wavy":
        wave = torch.sin(turn * (along + 0.3 * torch.sin(turn / 2 * over)))
    else:
        return _speckles(along * 4, over * 4)
    softness = 6 / (period * size)  # an edge about a pixel wide
    return (wave / softness + 0.5).clamp(0, 1)


def _speckles(along: Tensor, over: Tensor) -> Tensor:
    """Cells of a fine grid, about a third of them filled, by an integer hash of their place."""
    cell = along.floor().long() * 374761393 + over.floor().long() * 668265263
    cell = ((cell ^ (cell >> 13)) * 1274126177) & 0xFFFFFF
    return ((cell ^ (cell >> 11)) % 100 < 34).float()
