"""One line of a table of speeds: ours, what a user would run instead, and what is to be reached."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from precompute.bench.clock import Times

Bound = Literal["at most", "at least"]
Unit = Literal["s", "bytes", "pairs", "answers"]


@dataclass(frozen=True)
class Row:
    """A measurement.

    Attributes:
        work: what was done.
        ours: how much it takes here, in ``unit``.
        beside: what a user would run instead; empty where the reach is absolute.
        theirs: how much that takes, in ``unit``; None where it could not be run.
        figure: what ``reach`` bounds, None if it could not be measured; what it is stands in
            ``meaning``, for example "ours / theirs".
        reach: the bound, None for a line that is there for comparison only.
        bound: whether ``figure`` must be at most or at least ``reach``.
        how: how it was measured, and what a reader should know.
        by_processor_time: the figure, where it is a time or a ratio of times, in processor time,
            which other work on the same cores disturbs less; None on a GPU.
    """

    work: str
    unit: Unit
    ours: float | None
    beside: str
    theirs: float | None
    meaning: str
    figure: float | None
    reach: float | None
    bound: Bound
    how: str
    by_processor_time: float | None = None

    @property
    def reached(self) -> bool | None:
        """None where there is no bound or nothing could be measured."""
        if self.reach is None or self.figure is None or math.isnan(self.figure):
            return None
        return self.figure <= self.reach if self.bound == "at most" else self.figure >= self.reach

    def as_dict(self) -> dict[str, Any]:
        """Plain data, keys in order."""
        return {
            "work": self.work,
            "unit": self.unit,
            "ours": self.ours,
            "beside": self.beside,
            "theirs": self.theirs,
            "meaning": self.meaning,
            "figure": self.figure,
            "by_processor_time": self.by_processor_time,
            "reach": self.reach,
            "bound": self.bound,
            "reached": self.reached,
            "how": self.how,
        }


def time_row(
    work: str,
    times: Times,
    ours: str,
    theirs: str,
    *,
    beside: str,
    reach: float | None,
    bound: Bound,
    how: str,
    meaning: str = "",
) -> Row:
    """The time of ``ours`` beside that of ``theirs``, where that could be run.

    The figure is ours / theirs where it is to be at most something, else theirs / ours; ``meaning``
    says so where nothing else is given.
    """
    ran = theirs in times
    above, below = (ours, theirs) if bound == "at most" else (theirs, ours)
    return Row(
        work=work,
        unit="s",
        ours=times.median(ours),
        beside=beside,
        theirs=times.median(theirs) if ran else None,
        meaning=meaning or ("ours / theirs" if bound == "at most" else "theirs / ours"),
        figure=times.ratio(above, below) if ran else None,
        reach=reach,
        bound=bound,
        how=how,
        by_processor_time=times.processor_ratio(above, below) if ran else None,
    )


def own_row(
    work: str,
    unit: Unit,
    figure: float,
    *,
    meaning: str,
    reach: float,
    how: str,
    beside: str = "",
    theirs: float | None = None,
    by_processor_time: float | None = None,
) -> Row:
    """What is to be at most ``reach`` by itself, whatever stands beside it."""
    return Row(
        work=work,
        unit=unit,
        ours=figure,
        beside=beside,
        theirs=theirs,
        meaning=meaning,
        figure=figure,
        reach=reach,
        bound="at most",
        how=how,
        by_processor_time=by_processor_time,
    )
