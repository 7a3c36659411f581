"""The atlas as other artists draw it, or might: other outlines, colours, shading, the same things.

A model that has seen one drawing of each thing knows it by its exact hues and edges. Where every
batch has drawings of its own, what is left to go by is what they share: the shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from precompute.demo_world.atlas import LEVELS, Atlas
from precompute.demo_world.palette import LUMA

BENDS = 4  # points a side of the coarse grid that bends a drawing
MOST_BEND = 0.09  # how far such a point moves, in shares of the drawing's side (one deviation)
MOST_STRETCH, MOST_SLANT = 0.2, 0.2
SMALL_TURN, FULL_TURN = math.radians(20), math.pi  # of the hues
FULL_TURN_SHARE = 0.3  # of the drawings whose hues may turn all the way
SATURATION, CONTRAST, BRIGHTNESS = (0.3, 1.5), (0.6, 1.4), (-0.15, 0.15)
FLAT_SHARE, SHADES = 0.4, (3, 7)  # drawings with a few shades a channel, and how many
LINE_SHARE, LINE_CONTRAST = 0.3, 0.25  # drawings with dark lines, and the step of luma that has one
SOFT_SHARE = 0.2  # drawings that lose their fine detail
KEPT_SHARE = 0.5  # other artists' drawings that are taken as they are

# To luma and two axes of hue and back (YIQ): a turn of the two axes is a turn of the hue.
_TO_HUE = torch.tensor([[*LUMA], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_FROM_HUE = torch.linalg.inv(_TO_HUE)


@dataclass(frozen=True)
class Repertoire:
    """Drawings by all artists: uint8 `sprites` [drawing, 4, side, side], premultiplied, and each
    one's concept, as a place in the atlas, in `concept` [drawing]."""

    sprites: Tensor
    concept: Tensor

    def pick(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """One of the drawings of each concept at `places`, every artist's equally likely."""
        fits = (self.concept == places[:, None]).float()
        return torch.multinomial(fits, 1, generator=generator)[:, 0]


def repertoire(atlas: Atlas, others: Sequence[tuple[list[int], Atlas]]) -> Repertoire:
    """The atlas's own drawings, first and in its order, and others with their concepts' places."""
    own = torch.arange(len(atlas.concepts))
    sprites = [atlas.levels[0], *(other.levels[0] for _, other in others)]
    concept = [own, *(torch.tensor(places) for places, _ in others)]
    return Repertoire(torch.cat(sprites), torch.cat(concept))


@dataclass(frozen=True)
class Redrawing:
    """Which share of the concepts is drawn anew, from a seed, and after which drawings."""

    share: float
    seed: int
    repertoire: Repertoire


def redraw(atlas: Atlas, places: Tensor, redrawing: Redrawing) -> Atlas:
    """The atlas with some of the concepts at `places` drawn anew; the others are as they were.

    Drawings by other artists are taken as they are or changed further, the atlas's own always
    changed. A concept whose name has a colour keeps its hues.
    """
    generator = torch.Generator().manual_seed(redrawing.seed)
    chosen = places[torch.rand(len(places), generator=generator) < redrawing.share]
    if not len(chosen):
        return atlas
    drawn = redrawing.repertoire.pick(chosen, generator)
    kept = (torch.rand(len(chosen), generator=generator) < KEPT_SHARE) & (drawn != chosen)
    turnable = torch.tensor([atlas.concepts[place].tintable for place in chosen.tolist()])
    given = redrawing.repertoire.sprites[drawn].float() / 255
    sprites = _recoloured(_bent(given, generator), turnable, generator)
    sprites = _outlined(_softened(sprites, generator), generator)
    sprites[kept] = given[kept]
    levels = []
    for level in range(LEVELS):
        whole = atlas.levels[level].clone()
        whole[chosen] = (sprites * 255).round().to(torch.uint8)
        levels.append(whole)
        sprites = functional.avg_pool2d(sprites, 2)
    return replace(atlas, levels=tuple(levels))


def _between(
    low: float, high: float, count: int, generator: torch.Generator, dims: int = 4
) -> Tensor:
    """Uniform numbers, one a drawing, that broadcast over `dims` - 1 further dimensions."""
    values = low + (high - low) * torch.rand(count, generator=generator)
    return values.reshape(-1, *[1] * (dims - 1))


def _bent(sprites: Tensor, generator: torch.Generator) -> Tensor:
    """Stretched, slanted and bent drawings, on tiles of the same size."""
    count, _, side, _ = sprites.shape
    stretch = 1 + _between(-MOST_STRETCH, MOST_STRETCH, count, generator)
    slant = _between(-MOST_SLANT, MOST_SLANT, count, generator)
    strength = 2 * MOST_BEND * _between(0, 1, count, generator)  # a tile is 2 wide in a grid
    points = torch.randn(count, 2, BENDS, BENDS, generator=generator) * strength
    bend = functional.interpolate(points, (side, side), mode="bicubic", align_corners=True)
    line = (torch.arange(side) + 0.5) * 2 / side - 1
    across, down = line[None, None, :], line[None, :, None]
    grid = torch.stack(
        [
            across * stretch[:, 0] + down * slant[:, 0] + bend[:, 0],
            down / stretch[:, 0] + bend[:, 1],
        ],
        dim=3,
    )
    return functional.grid_sample(sprites, grid, padding_mode="zeros", align_corners=False)


def _recoloured(sprites: Tensor, turnable: Tensor, generator: torch.Generator) -> Tensor:
    """Drawings in other hues, saturation, contrast and lightness, some in a few shades only."""
    count = len(sprites)
    cover = sprites[:, 3:]
    straight = sprites[:, :3] / cover.clamp_min(1e-3)
    turn = _between(-1, 1, count, generator, dims=1)
    full = torch.rand(count, generator=generator) < FULL_TURN_SHARE
    turn = turn * torch.where(full & turnable, FULL_TURN, SMALL_TURN)
    saturation = _between(*SATURATION, count, generator, dims=1)
    cosine, sine = saturation * torch.cos(turn), saturation * torch.sin(turn)
    nothing, one = torch.zeros(count), torch.ones(count)
    rows = [one, nothing, nothing, nothing, cosine, -sine, nothing, sine, cosine]
    matrix = _FROM_HUE @ torch.stack(rows, dim=1).reshape(-1, 3, 3) @ _TO_HUE
    colour = torch.einsum("nij,njyx->niyx", matrix, straight)
    contrast = _between(*CONTRAST, count, generator)
    colour = 0.5 + (colour - 0.5) * contrast + _between(*BRIGHTNESS, count, generator)
    colour = colour.clamp(0, 1)
    flat = (torch.rand(count, generator=generator) < FLAT_SHARE)[:, None, None, None]
    steps = torch.randint(*SHADES, (count, 1, 1, 1), generator=generator) - 1
    colour = torch.where(flat, (colour * steps).round() / steps, colour)
    return torch.cat([colour * cover, cover], dim=1)


def _softened(sprites: Tensor, generator: torch.Generator) -> Tensor:
    """Some of the drawings without their fine detail."""
    soft = torch.rand(len(sprites), generator=generator) < SOFT_SHARE
    blurred = functional.avg_pool2d(sprites[soft], 5, stride=1, padding=2)
    return sprites.index_put((soft,), blurred)


def _outlined(sprites: Tensor, generator: torch.Generator) -> Tensor:
    """Some of the drawings with dark lines round them and where their lightness leaps."""
    lined = torch.rand(len(sprites), generator=generator) < LINE_SHARE
    own = sprites[lined]
    cover = own[:, 3:]
    luma = (own[:, :3] * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    grown = functional.max_pool2d(cover, 5, stride=1, padding=2)
    leap = functional.max_pool2d(luma, 3, 1, 1) + functional.max_pool2d(-luma, 3, 1, 1)
    inner = ((leap - LINE_CONTRAST) / 0.1).clamp(0, 1)
    ink = torch.maximum(grown - cover, inner).clamp(0, 1)
    drawn = torch.cat([own[:, :3] * (1 - ink), torch.maximum(grown, cover)], dim=1)
    return sprites.index_put((lined,), drawn)
