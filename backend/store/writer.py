"""Writes a store so that it is either whole or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from backend.store.errors import StoreError
from backend.store.format import ARRAYS, MANIFEST, FileRecord, Manifest


class StoreWriter:
    """Collects a store's files; nothing counts as a store until :meth:`finish`.

    Args:
        path: folder of the store; made if missing.

    Raises:
        StoreError: the folder cannot be written, or holds a finished store or foreign files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, FileRecord] = {}
        if (path / MANIFEST).exists():
            raise StoreError(f"{path} already holds a finished store; remove it or choose another")
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is not a folder")
        known = {Path(name).parts[0] for name in (*ARRAYS, "vocabulary.txt")}
        try:
            path.mkdir(parents=True, exist_ok=True)
            foreign = [p.name for p in path.iterdir() if p.name.removesuffix(".tmp") not in known]
            probe = path / f"{MANIFEST}.tmp"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        if foreign:
            raise StoreError(f"{path} holds other files ({foreign[0]}); choose an empty folder")

    def arrays(self, file: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one safetensors file.

        Raises:
            StoreError: names differ from what the format says, or the disk refuses.
        """
        if set(arrays) != set(ARRAYS[file]):
            raise StoreError(f"{file} must hold {ARRAYS[file]}, got {tuple(arrays)}")
        solid = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        shapes = {name: (str(array.dtype), list(array.shape)) for name, array in solid.items()}
        self._write(file, save(solid), shapes)

    def text(self, file: str, lines: list[str]) -> None:
        """Writes one UTF-8 text file, an entry a line."""
        self._write(file, "".join(f"{line}\n" for line in lines).encode(), {})

    def finish(self, **told: Any) -> Manifest:
        """Writes the manifest, which makes the store exist; ``told`` are its other fields."""
        manifest = Manifest(files=dict(sorted(self._files.items())), **told)
        self._durably(self.path / MANIFEST, manifest.to_json().encode())
        return manifest

    def _write(self, file: str, data: bytes, arrays: dict[str, tuple[str, list[int]]]) -> None:
        self._durably(self.path / file, data)
        self._files[file] = FileRecord(len(data), hashlib.sha256(data).hexdigest(), arrays)

    def _durably(self, target: Path, data: bytes) -> None:
        temporary = target.with_name(target.name + ".tmp")
        try:
            target.parent.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(f"{target} cannot be written: {error.strerror}") from error
