"""How a picture of any size becomes inputs of a model: one of its own shape, or native windows.

Every size and place is a multiple of CELL pixels, so that windows share one grid of cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

View = Literal["windows", "whole"]

CELL = 32
"""Pixels per cell of the last block."""

SCALE = 1.5
"""Shorter side of the scaled picture in native inputs; the paper's protocol has 512 / 384."""

MAX_WINDOWS = 100
"""Windows of one picture.  An elongated picture that would need more is scaled to a shorter side of
one native input; one more than 50 times as long as it is wide is refused."""

MAX_WHOLE_CELLS = 2500
"""Cells of a picture in one piece, 1600 x 1600 pixels: self-self attention compares each with
all others."""


@dataclass(frozen=True)
class Layout:
    """How one picture is covered.

    Attributes:
        rows, columns: cells of the scaled picture.
        window: (rows, columns) of one window, in cells.
        corners: (top, left) of every window, in cells, in reading order.
    """

    rows: int
    columns: int
    window: tuple[int, int]
    corners: tuple[tuple[int, int], ...]


def layout(
    size: tuple[int, int], *, native: int, view: View = "windows", shorter_side: int | None = None
) -> Layout:
    """Covers a picture of ``size`` (width, height) in pixels.

    Args:
        native: side of the model's own square input, in pixels.
        view: ``windows`` of the native size about half a window apart, or the ``whole`` picture in
            one piece, to whose grid the positions are then interpolated.
        shorter_side: pixels that the picture is scaled to before, rounded to whole cells; SCALE
            native inputs by default.  Windows need at least a native input.

    Raises:
        ValueError: the picture would need too many windows or cells.
    """
    wanted = shorter_side or round(SCALE * native)
    if view == "whole":
        return _whole(size, wanted)
    for shorter in (max(wanted, native), native):
        columns, rows = (
            max(native, round(side * shorter / min(size) / CELL) * CELL) // CELL for side in size
        )
        side = native // CELL
        corners = tuple(
            (top, left) for top in _starts(rows, side) for left in _starts(columns, side)
        )
        if len(corners) <= MAX_WINDOWS:
            return Layout(rows, columns, (side, side), corners)
    raise ValueError(f"a picture of {size[0]} x {size[1]} pixels is too elongated to be segmented")


def _whole(size: tuple[int, int], shorter: int) -> Layout:
    columns, rows = (max(1, round(side * shorter / min(size) / CELL)) for side in size)
    if rows * columns > MAX_WHOLE_CELLS:
        raise ValueError(
            f"a picture of {size[0]} x {size[1]} pixels at a shorter side of {shorter} has "
            f"{rows * columns:,} cells of {CELL} x {CELL} pixels; in one piece at most "
            f"{MAX_WHOLE_CELLS:,} can be segmented"
        )
    return Layout(rows, columns, (rows, columns), ((0, 0),))


def _starts(length: int, window: int) -> list[int]:
    """First cells of windows that cover ``length`` cells."""
    stride = math.ceil(window / 2)
    return [*range(0, length - window, stride), length - window]
