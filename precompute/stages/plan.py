"""How a set of images is cut: the same for every engine, so that all give the same bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

CALIBRATION_IMAGES = 700
"""Images whose coefficients are kept for neurons' and heads' own components: 410 MB (RN50x16)."""

FITTED_IMAGES = 512
"""Images, evenly spread over the set, that what is usual is fitted to."""

FITTED_CELLS = 1 << 15
"""Cells of all fitted images together: 400 MB of float32 at 3,072 neurons."""


@dataclass(frozen=True)
class Plan:
    """Segments of blocks of images.

    A segment's statistics start from nothing and are added to the running ones in the order of the
    segments; within a segment blocks are added in order.  Who computes a segment, and when, then
    does not matter.

    Attributes:
        images: numbers in the set, readable or not.
        segment: images per segment.
        block: images that go through the model at once.
        bins: of the histograms.
        threads: of every worker: sums over images depend on how many share them.
    """

    images: int
    segment: int
    block: int
    bins: int
    threads: int

    @property
    def segments(self) -> int:
        return -(-self.images // self.segment)

    def blocks(self, segment: int) -> list[range]:
        """The blocks of a segment, as image numbers."""
        end = min(self.images, (segment + 1) * self.segment)
        starts = range(segment * self.segment, end, self.block)
        return [range(start, min(end, start + self.block)) for start in starts]

    def block_of(self, image: int) -> range:
        """The block that an image goes through the model with."""
        segment, place = divmod(image, self.segment)
        return self.blocks(segment)[place // self.block]

    @cached_property
    def calibration(self) -> frozenset[int]:
        """Numbers of the images of which every coefficient is kept while the job runs."""
        return calibration_numbers(self.images, CALIBRATION_IMAGES)


def calibration_numbers(images: int, wanted: int) -> frozenset[int]:
    """At most ``wanted`` numbers, spread evenly over ``images``."""
    places = np.linspace(0, images - 1, min(images, wanted)).round().astype(int)
    return frozenset(places.tolist())
