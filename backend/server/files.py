"""Durable writes: after a crash a result is there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

LEFTOVER_SECONDS = 3600
"""Scratch older than this was left by a crash; other processes may still be writing newer."""


def write_folder(folder: Path, files: Mapping[str, bytes], *, scratch: Path) -> None:
    """Write ``files`` (name to bytes) as the new folder ``folder``, in one step.

    ``scratch`` is an existing folder on the same file system, where they are written and flushed
    before the rename.
    """
    making = scratch / folder.name
    making.mkdir()
    try:
        for name, content in files.items():
            with (making / name).open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        _flush_folder(making)
        making.rename(folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    _flush_folder(folder.parent)


def remove_folder(folder: Path, *, scratch: Path) -> None:
    """Remove ``folder`` so that nobody sees it half removed; nothing happens if it is not there."""
    gone = scratch / f"{folder.name}.gone"
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    _flush_folder(folder.parent)
    shutil.rmtree(gone, ignore_errors=True)


def clear_leftovers(scratch: Path) -> None:
    """Remove what a crash left in ``scratch``."""
    for folder in scratch.iterdir():
        try:
            old = time.time() - folder.stat().st_mtime > LEFTOVER_SECONDS
        except FileNotFoundError:
            continue
        if old:
            shutil.rmtree(folder, ignore_errors=True)


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below ``folder``; files that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
