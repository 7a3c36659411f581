"""The exactness report that `pairscope verify --keep` leaves beside a store.

It lies next to the store's folder, not in it: a finished store is never written to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from backend.store.durable import write_durably

MAX_BYTES = 1 << 20
"""A report has some dozen lines; a larger file is none."""


def report_path(store: Path) -> Path:
    """Where the report of the store in folder ``store`` lies."""
    whole = store.resolve()
    return whole.with_name(f"{whole.name}.exactness.json")


def keep_report(store: Path, report: dict[str, Any]) -> Path:
    """Writes a report beside the store, in place of an older one, and tells where.

    Raises:
        StoreError: the folder around the store cannot be written.
    """
    path = report_path(store)
    write_durably(path, [(json.dumps(report, indent=2) + "\n").encode()])
    return path


def kept_report(store: Path) -> bytes | None:
    """The report as it was written; None where there is none."""
    path = report_path(store)
    try:
        return path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except OSError:
        return None
