"""Writes files so that each is whole or not there, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from backend.store.errors import StoreError

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
}
"""The number types of a store, by their names in a safetensors header."""

_NAMES = {kind: name for name, kind in DTYPES.items()}

CHUNK_BYTES = 1 << 24
"""Bytes that are hashed and written at once: no second copy of a large array is ever made."""


def write_durably(target: Path, chunks: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Writes a file: temporary file, fsync, rename, fsync of the folder.

    Returns:
        its size in bytes and its SHA-256.

    Raises:
        StoreError: the disk refuses.
    """
    temporary = target.with_name(target.name + ".tmp")
    digest = hashlib.sha256()
    size = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        # A torn file on a full disk would be in the way of whoever goes on.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    return size, digest.hexdigest()


def sync_folder(folder: Path) -> None:
    """Makes what was renamed in or removed from a folder last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def array_chunks(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file, the widest number types first, then by name.

    Raises:
        StoreError: an array is of a type that a store does not hold.
    """
    unknown = [name for name, array in arrays.items() if array.dtype.str not in _NAMES]
    if unknown:
        raise StoreError(f"array {unknown[0]} has type {arrays[unknown[0]].dtype}")
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    header: dict[str, object] = {}
    offset = 0
    for name in names:
        array = arrays[name]
        header[name] = {
            "dtype": _NAMES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    told = json.dumps(header, separators=(",", ":")).encode()
    told += b" " * (-len(told) % 8)
    yield len(told).to_bytes(8, "little") + told
    for name in names:
        flat = np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8)
        for start in range(0, len(flat), CHUNK_BYTES):
            yield flat[start : start + CHUNK_BYTES].data
