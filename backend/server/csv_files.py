"""Tables as CSV files that spreadsheets open without running anything in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from backend.store.cells import harmless

ROWS_AT_ONCE = 1000
"""Lines that are sent together: some 100 KB."""

Cell = str | int | float | None


def csv_chunks(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    """The file in parts; numbers with six significant digits, ``None`` and NaN as empty cells."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    for number, row in enumerate(rows, start=1):
        writer.writerow([_cell(value) for value in row])
        if number % ROWS_AT_ONCE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _cell(value: Cell) -> str | int:
    match value:
        case None:
            return ""
        case float():
            return "" if value != value else f"{value:.6g}"
        case str():
            return harmless(value)
        case _:
            return value
