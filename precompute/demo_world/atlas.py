"""The shipped atlas: the concepts of the demo world and their sprites."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from precompute.demo_world.palette import COLOUR_WORDS

ATLAS = Path(__file__).parent / "atlas"
LEVELS = 4  # sprite sizes kept: the tile's side and 1/2, 1/4, 1/8 of it


@dataclass(frozen=True)
class Concept:
    """One kind of object: its name, other words for it, the categories it belongs to."""

    name: str
    emoji: str
    plural: bool
    categories: tuple[str, ...]
    keywords: tuple[str, ...]

    @property
    def tintable(self) -> bool:
        """Whether "a blue …" makes sense: the name has no colour of its own."""
        return not COLOUR_WORDS.intersection(self.name.split())


@dataclass(frozen=True)
class Atlas:
    """Concepts and, in the same order, their sprites at `LEVELS` sizes.

    ``levels[l]`` is uint8 [concept, 4, side, side], red, green, blue and alpha in 0..255, colour
    premultiplied by alpha. The longest side of a drawing is ``extent`` of the ``tile``'s side.
    """

    concepts: tuple[Concept, ...]
    levels: tuple[Tensor, ...]
    tile: int
    extent: int


@cache
def load_atlas() -> Atlas:
    """The atlas shipped with the package, read once per process."""
    layout = json.loads((ATLAS / "concepts.json").read_text(encoding="utf-8"))
    concepts = tuple(
        Concept(
            name=item["name"],
            emoji=item["emoji"],
            plural=item["plural"],
            categories=tuple(item["categories"]),
            keywords=tuple(item["keywords"]),
        )
        for item in layout["concepts"]
    )
    with Image.open(ATLAS / "sprites.webp") as image:
        sheet = np.asarray(image.convert("RGBA"))
    tile, columns = int(layout["tile"]), int(layout["columns"])
    rows = sheet.shape[0] // tile
    tiles = sheet.reshape(rows, tile, columns, tile, 4).transpose(0, 2, 4, 1, 3)
    tiles = tiles.reshape(rows * columns, 4, tile, tile)[: len(concepts)]
    return Atlas(concepts, pyramid(torch.from_numpy(tiles.copy())), tile, int(layout["extent"]))


def pyramid(tiles: Tensor) -> tuple[Tensor, ...]:
    """Sprites of every level from straight ones [concept, 4, side, side] uint8: colour is
    premultiplied, then averaged by area."""
    colour = tiles.float()
    colour[:, :3] *= colour[:, 3:] / 255
    levels = []
    for _ in range(LEVELS):
        levels.append(colour.round().to(torch.uint8))
        colour = torch.nn.functional.avg_pool2d(colour, 2)
    return tuple(levels)
