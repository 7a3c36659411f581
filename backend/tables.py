"""Tables for people on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH_UNWATCHED = 140
"""Columns of a table that goes into a file or a pipe, where no terminal says how wide it is."""


def show(header: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> None:
    """Prints a table; columns whose name begins with ``>`` are aligned to the right."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in header:
        justify = "right" if name.startswith(">") else "left"
        table.add_column(name.removeprefix(">"), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else WIDTH_UNWATCHED
    Console(file=sys.stdout, width=width, markup=False, highlight=False).print(table)


def size_text(size: float) -> str:
    """Bytes for people: three significant digits."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.3g} {unit}"
    return f"{size:.0f} B"
