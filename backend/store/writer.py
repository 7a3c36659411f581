"""Writes a store so that it is either whole or not there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backend.store.durable import array_chunks, write_durably
from backend.store.errors import StoreError
from backend.store.format import ARRAYS, MANIFEST, VOCABULARY, FileRecord, Manifest
from backend.store.reader import Arrays, map_file

SCRATCH = "scratch"
"""Folder inside an unfinished store where a job keeps what it needs to be taken up again."""


class StoreWriter:
    """Collects a store's files; nothing counts as a store until :meth:`finish`.

    Args:
        path: folder of the store; made if missing.
        resume: whether an unfinished store may be there already.

    Raises:
        StoreError: the folder cannot be written, or holds a finished store, foreign files or,
            without ``resume``, an unfinished store.
    """

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        self.path = path
        self._files: dict[str, FileRecord] = {}
        if (path / MANIFEST).exists():
            raise StoreError(
                f"{path} already holds a finished store; remove it, choose another folder, "
                "or add --resume to check that it is this one"
            )
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is not a folder")
        known = {Path(name).parts[0] for name in (*ARRAYS, VOCABULARY, MANIFEST)} | {SCRATCH}
        try:
            path.mkdir(parents=True, exist_ok=True)
            there = [entry.name.removesuffix(".tmp") for entry in path.iterdir()]
            probe = path / f"{MANIFEST}.tmp"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}") from error
        foreign = [name for name in there if name not in known]
        if foreign:
            raise StoreError(f"{path} holds other files ({foreign[0]}); choose an empty folder")
        if there and not resume:
            raise StoreError(
                f"{path} holds an unfinished store; add --resume to take it up, or remove it"
            )

    @property
    def files(self) -> dict[str, FileRecord]:
        """What was written or taken over so far, by path relative to the store."""
        return dict(self._files)

    def arrays(self, file: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Writes one safetensors file.

        Raises:
            StoreError: names differ from what the format says, or the disk refuses.
        """
        if set(arrays) != set(ARRAYS[file]):
            raise StoreError(f"{file} must hold {ARRAYS[file]}, got {tuple(arrays)}")
        solid = {name: np.asarray(array) for name, array in arrays.items()}
        shapes = {name: (str(array.dtype), list(array.shape)) for name, array in solid.items()}
        size, sha256 = write_durably(self.path / file, array_chunks(solid))
        self._files[file] = FileRecord(size, sha256, shapes)

    def text(self, file: str, lines: list[str]) -> None:
        """Writes one UTF-8 text file, an entry a line."""
        data = "".join(f"{line}\n" for line in lines).encode()
        size, sha256 = write_durably(self.path / file, [data])
        self._files[file] = FileRecord(size, sha256, {})

    def take_over(self, file: str, record: FileRecord) -> None:
        """Counts a file that an interrupted run has written.

        Raises:
            StoreError: it is not there any more, or has another size.
        """
        try:
            size = (self.path / file).stat().st_size
        except OSError:
            size = None
        if size != record.size:
            raise StoreError(
                f"{self.path / file} has changed since it was written; "
                f"remove {self.path} and start again"
            )
        self._files[file] = record

    def read(self, file: str) -> Arrays:
        """Read-only memory maps of the arrays of a file that was written or taken over."""
        return map_file(self.path, file, self._files[file])

    def finish(self, **told: Any) -> Manifest:
        """Writes the manifest, which makes the store exist; ``told`` are its other fields."""
        manifest = Manifest(files=dict(sorted(self._files.items())), **told)
        write_durably(self.path / MANIFEST, [manifest.to_json().encode()])
        return manifest
