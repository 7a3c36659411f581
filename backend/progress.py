"""Progress of long work on stderr: rate and time left; quiet when nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

Advance = Callable[[int], None]


class _Rate(ProgressColumn):
    """Units a second."""

    def render(self, task: Task) -> Text:
        return Text(rate_text(task.finished_speed or task.speed), style="progress.data.speed")


def rate_text(speed: float | None) -> str:
    """Units a second, or a minute where there are few; empty while it is not known."""
    if not speed:
        return ""
    return f"{speed:,.0f}/s" if speed >= SLOWEST_PER_SECOND else f"{60 * speed:,.1f}/min"


SLOWEST_PER_SECOND = 2.0
"""A slower rate is told by the minute."""


class Progress:
    """Shows one bar per stage; on a terminal live, elsewhere one line when a stage is done."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(file=sys.stderr, quiet=quiet)

    def note(self, sentence: str) -> None:
        """Says something that is worth a line of its own."""
        self._console.print(sentence, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def stage(self, name: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        """A stage of ``total`` units; the function it gives is told of each finished lot.

        ``done`` units were finished by an earlier run and do not count in the rate.
        """
        columns = (
            TextColumn("{task.description:>12}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=self._console) as bars:
            task = bars.add_task(name, total=total, completed=done)

            def advance(units: int) -> None:
                bars.update(task, advance=units)

            yield advance
