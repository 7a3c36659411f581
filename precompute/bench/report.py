"""Rows of measurements with the machine they were made on, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import torch

from precompute.bench.clock import machine
from precompute.bench.rows import Row

Part = tuple[str, Callable[[], list[Row]]]
"""A name that is said before it runs, and what measures."""


def report(
    parts: Sequence[Part],
    *,
    device: torch.device,
    parameters: Mapping[str, object],
    quick: bool,
    note: Callable[[str], None],
) -> dict[str, Any]:
    """Runs the parts one after the other; ``note`` is told which comes next.

    With ``quick`` sizes there is nothing to be reached in time.
    """
    told = machine(device)
    rows: list[Row] = []
    for name, run in parts:
        note(name)
        rows += [_without_reach(row) if quick else row for row in run()]
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": told,
        "parameters": {"quick": quick, **parameters},
        "rows": [row.as_dict() for row in rows],
    }


def _without_reach(row: Row) -> Row:
    """What is to be reached is stated for full sizes; the same words are to be found at any."""
    return row if row.unit == "pairs" else replace(row, reach=None)
