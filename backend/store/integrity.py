"""Whether a store's files are, byte for byte, what its manifest says."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from backend.store.durable import DTYPES
from backend.store.errors import StoreError
from backend.store.format import (
    ARRAYS,
    MANIFEST,
    OPTIONAL_FILES,
    VOCABULARY,
    FileRecord,
    Manifest,
)
from backend.store.writer import SCRATCH

LONGEST_HEADER = 1 << 24
"""Bytes of a safetensors header that are read: a damaged length must not fill the memory."""


HASHED_AT_ONCE = 1 << 20
"""Bytes read and hashed at a time: a millisecond."""

SURPLUS = "surplus"

Rest = Callable[[float], object]
"""Called after every read with the seconds that it took; what it raises ends the check."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with one file of a store, and what mends it."""

    file: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Integrity:
    """What a check of all files has found.

    Attributes:
        files: number of files that the manifest lists.
        size: their bytes together, as the manifest says.
    """

    path: str
    name: str | None
    data_version: str | None
    files: int
    size: int
    findings: list[Finding]

    @property
    def ok(self) -> bool:
        return not self.findings

    @property
    def wrong_files(self) -> list[str]:
        """Every file with a finding; one can have several."""
        return list(dict.fromkeys(found.file for found in self.findings))

    @property
    def damage(self) -> list[Finding]:
        """Findings that make the store's data other than what was written."""
        return [found for found in self.findings if found.problem != SURPLUS]

    def as_dict(self) -> dict[str, object]:
        """The report as plain data, keys in order."""
        return {**asdict(self), "ok": self.ok}


REBUILD = "fetch the store again, or remove it and run `pairscope precompute`"
DELETE = "no part of the store: delete it"


def _no_rest(seconds: float) -> None:
    pass


def check_integrity(path: Path, *, rest: Rest = _no_rest) -> Integrity:
    """Reads every file of a store and compares size, SHA-256, names and shapes of arrays.

    ``rest`` lets a check in the background leave time to other work, and be given up.

    Raises:
        StoreError: there is no store to check.
    """
    try:
        manifest = Manifest.from_json((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} holds no finished store; run `pairscope precompute`") from None
    except (OSError, UnicodeDecodeError):
        unreadable = Finding(MANIFEST, "cannot be read", REBUILD)
        return Integrity(str(path), None, None, 0, 0, [unreadable])
    except StoreError as error:
        return Integrity(str(path), None, None, 0, 0, [Finding(MANIFEST, str(error), REBUILD)])
    findings = [
        Finding(file, problem, REBUILD)
        for file, record in manifest.files.items()
        for problem in _problems(path / file, file, record, rest)
    ]
    findings += [
        Finding(file, "not in the manifest", REBUILD)
        for file in (*ARRAYS, VOCABULARY)
        if file not in manifest.files and file not in OPTIONAL_FILES
    ]
    findings += [Finding(file, SURPLUS, DELETE) for file in _surplus(path, manifest)]
    return Integrity(
        path=str(path),
        name=manifest.name,
        data_version=manifest.data_version,
        files=len(manifest.files),
        size=sum(record.size for record in manifest.files.values()),
        findings=findings,
    )


def _problems(path: Path, file: str, record: FileRecord, rest: Rest) -> Iterator[str]:
    """What is wrong with one file; the first finding is enough, later ones follow from it."""
    try:
        size = path.stat().st_size
        if size != record.size:
            yield f"has {size:,} bytes where the manifest says {record.size:,}"
            return
        digest = _sha256(path, rest)
    except FileNotFoundError:
        yield "missing"
        return
    except OSError as error:
        yield f"cannot be read: {error.strerror}"
        return
    if digest != record.sha256:
        yield "damaged: its SHA-256 is not the manifest's"
        return
    if record.arrays or file in ARRAYS:
        yield from _array_problems(path, file, record)


def _sha256(path: Path, rest: Rest) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        begun = time.perf_counter()
        while chunk := stream.read(HASHED_AT_ONCE):
            digest.update(chunk)
            rest(time.perf_counter() - begun)
            begun = time.perf_counter()
    return digest.hexdigest()


def _array_problems(path: Path, file: str, record: FileRecord) -> Iterator[str]:
    found = array_shapes(path)
    if found is None:
        yield "no safetensors file"
        return
    told = record.arrays
    for name in sorted({*found, *told}):
        if found.get(name) != told.get(name):
            yield f"array {name} is {_text(found, name)}, the manifest says {_text(told, name)}"
    for name in ARRAYS.get(file, ()):
        if name not in found:
            yield f"array {name} is missing"


def array_shapes(path: Path) -> dict[str, tuple[str, list[int]]] | None:
    """Type and shape of every array of a safetensors file; None if it is none."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > LONGEST_HEADER:
                return None
            header = json.loads(stream.read(length))
        return {
            name: (np.dtype(DTYPES[entry["dtype"]]).name, entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _text(arrays: dict[str, tuple[str, list[int]]], name: str) -> str:
    if name not in arrays:
        return "not there"
    kind, shape = arrays[name]
    return f"{kind} {list(shape)}"


def _surplus(path: Path, manifest: Manifest) -> list[str]:
    """Files that no manifest lists; of what a killed job has left, the folder alone."""
    there = {str(file.relative_to(path)) for file in path.rglob("*") if not file.is_dir()}
    leftover = {file for file in there if file.startswith(f"{SCRATCH}/")}
    surplus = sorted(there - leftover - {MANIFEST, *manifest.files})
    return [*surplus, SCRATCH] if (path / SCRATCH).exists() else surplus
