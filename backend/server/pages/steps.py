"""Links from a neuron, head or pair to its neighbours on the grid of neurons and heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Step:
    """A link to a neighbour on the grid."""

    axis: str
    """``head`` or ``neuron``: which of the two changes."""
    place: int
    """The neighbour's number on that axis."""
    back: bool
    """Whether it leads to a smaller number."""
    key: str
    """The keyboard's keys, apart by spaces: as ``KeyboardEvent.key`` calls them, with ``Shift+``
    before one."""
    url: str


def steps_along(
    axis: str, here: int, count: int, address: Callable[[int], str], *, prefixes: tuple[str, ...]
) -> list[Step]:
    """Previous and next place on an axis, none beyond its ends.

    ``prefixes`` go before the arrow keys that lead there: ``""``, ``"Shift+"`` or both.
    """
    return [
        Step(
            axis=axis,
            place=here + by,
            back=by < 0,
            key=" ".join(prefix + ("ArrowLeft" if by < 0 else "ArrowRight") for prefix in prefixes),
            url=address(here + by),
        )
        for by in (-1, 1)
        if 0 <= here + by < count
    ]
