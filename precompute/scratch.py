"""What an unfinished job keeps beside its store, so that it can be taken up again.

job.json            which job this is
stage-NAME.json     the stage is done: its files, how long it took, what it has to tell
parts/STAGE/...     finished parts of a stage that is not done yet
...                 whatever else stages keep, deleted with everything when the job is done
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from backend.store.durable import array_chunks, sync_folder, write_durably
from backend.store.format import FileRecord
from precompute.errors import InputError

JOB = "job.json"
LOCK = "lock"


@dataclass(frozen=True)
class StageRecord:
    """What a finished stage has left.

    Attributes:
        files: of the store, by path relative to it.
        told: small facts that later stages or the manifest need.
    """

    seconds: float
    files: dict[str, FileRecord]
    told: dict[str, Any] = field(default_factory=dict)


class Scratch:
    """The scratch folder of one job."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes off; a killed one lets go by itself.

        Raises:
            InputError: another process is at work here, or the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / LOCK).open("wb")
        except OSError as error:
            raise InputError(f"{self.folder} cannot be written: {error.strerror}") from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise InputError(
                    f"another process is at work in {self.folder.parent}; wait for it or end it"
                ) from None
            yield

    def begin(self, identity: Mapping[str, Any]) -> None:
        """Says which job this is, or checks that it is the one that was begun here.

        Raises:
            InputError: another job was begun here; the message names what differs.
        """
        self.refuse_another(identity)
        if self.begun() is None:
            self._write_json(JOB, identity)

    def refuse_another(self, identity: Mapping[str, Any]) -> None:
        """Raises InputError if another job was begun here; the message names what differs."""
        begun = self.begun()
        if begun is not None:
            refuse_another(begun, identity, folder=self.folder.parent)

    def begun(self) -> dict[str, Any] | None:
        """The identity of the job that was begun here."""
        return self._json(JOB)

    def record(self, stage: str) -> StageRecord | None:
        """What a stage has left if it is done."""
        told = self._json(f"stage-{stage}.json")
        if told is None:
            return None
        files = {
            path: FileRecord(
                record["size"],
                record["sha256"],
                {name: (kind, shape) for name, (kind, shape) in record["arrays"].items()},
            )
            for path, record in told["files"].items()
        }
        return StageRecord(told["seconds"], files, told["told"])

    def finish(self, stage: str, record: StageRecord) -> None:
        """Marks a stage as done and drops its parts."""
        self._write_json(f"stage-{stage}.json", asdict(record))
        shutil.rmtree(self.folder / "parts" / stage, ignore_errors=True)

    def part(
        self, stage: str, name: str, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The arrays of one part of a stage: read back if they are there, else computed and kept.

        ``compute`` must depend on nothing but the job, so that both give the same bytes.
        """
        path = self.folder / "parts" / stage / f"{name}.safetensors"
        if path.exists():
            return self.load(path)
        arrays = {key: np.asarray(array) for key, array in compute().items()}
        write_durably(path, array_chunks(arrays))
        return arrays

    def load(self, path: Path) -> dict[str, np.ndarray]:
        """Arrays of a safetensors file of this folder.

        Raises:
            InputError: it was damaged after it had been written whole.
        """
        try:
            found: dict[str, np.ndarray] = load_file(path)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{path} is damaged; remove {self.folder.parent}") from error
        return found

    def remove(self) -> None:
        """Removes everything; call it while the folder is held.

        A kill half-way leaves no stage that counts as done without its files, and until the end
        it stays known which job this was.

        Raises:
            InputError: the disk refuses.
        """
        try:
            for record in self.folder.glob("stage-*.json"):
                record.unlink()
            for entry in self.folder.iterdir():
                if entry.is_dir():
                    shutil.rmtree(entry)
                elif entry.name not in (JOB, LOCK):
                    entry.unlink()
            for name in (JOB, LOCK):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()
            sync_folder(self.folder.parent)
        except OSError as error:
            raise InputError(
                f"{self.folder} cannot be removed ({error.strerror}); remove it, nothing needs it"
            ) from error

    def _json(self, name: str) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self.folder / name} is damaged; remove {self.folder.parent}"
            ) from error
        return told

    def _write_json(self, name: str, told: Mapping[str, Any]) -> None:
        text = json.dumps(told, indent=2, sort_keys=True) + "\n"
        write_durably(self.folder / name, [text.encode()])


def differences(begun: Mapping[str, Any], mine: Mapping[str, Any]) -> list[str]:
    """What differs between the identities of two jobs, a clause each."""
    there, here = dict(_flat(begun)), dict(_flat(json.loads(json.dumps(mine))))
    return [
        f"{key} was {_short(there.get(key))}, now {_short(here.get(key))}"
        for key in sorted({**there, **here})
        if there.get(key) != here.get(key)
    ]


def refuse_another(begun: Mapping[str, Any], mine: Mapping[str, Any], *, folder: Path) -> None:
    """Raises InputError that names what differs between the job of a folder and this one."""
    found = differences(begun, mine)
    if found:
        more = [f"{len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
        raise InputError(
            f"{folder} belongs to another job ({'; '.join(found[:MOST_NAMED] + more)}); "
            "give the same options or choose another folder"
        )


MOST_NAMED = 3
"""Differences named in one sentence."""


def _flat(told: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in told.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}...{text[-1]}"
