"""Which pictures a page's link preview is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from backend.server import schemas

MOST_TILES = 4
"""As many as stand side by side in a preview."""


@dataclass(frozen=True)
class ExemplarTile:
    """An image of the data set, under the heatmap of a pair where one is given."""

    model: str
    image: int
    pair: tuple[int, int] | None = None
    """(neuron, head)."""


@dataclass(frozen=True)
class ResultTile:
    """A picture that somebody shared, under its mask."""

    segmentation: str


Tile = ExemplarTile | ResultTile


class _HasImage(Protocol):
    @property
    def image(self) -> int: ...


def tiles_of_pairs(model: str, pairs: Sequence[schemas.PairSummary]) -> tuple[Tile, ...]:
    """The top image of each of the first pairs."""
    return tuple(
        ExemplarTile(model, pair.thumbnails[0].image, (pair.neuron, pair.head))
        for pair in pairs
        if pair.thumbnails
    )[:MOST_TILES]


def tiles_of_images(
    model: str,
    images: Sequence[_HasImage],
    pair: tuple[int, int] | None = None,
) -> tuple[Tile, ...]:
    """The first images, under the heatmap of ``pair``."""
    return tuple(ExemplarTile(model, each.image, pair) for each in images[:MOST_TILES])
