"""SIGKILL at random moments, --resume between them, and the bytes of a run that was left alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from backend.store.format import MANIFEST

KILLS = 12
WORDS = ["cat", "dog", "red", "blue", "tree", "ball", "house", "bird"]


def work(folder: Path, out: Path, begun: Connection) -> None:
    """The process that is killed.  It tells when its own start is over and the job begins."""
    from backend.progress import Progress
    from precompute.datasets import ImageFolder
    from precompute.job import Job, Parameters, run
    from precompute.stages import collect
    from tests.precompute.tiny_clip import tiny_clip

    collect.SHARE_OF_SAVING = 1e9  # the state is saved after every segment
    job = Job(
        model=tiny_clip(),
        images=ImageFolder(folder),
        vocabulary=WORDS,
        templates=["{}", "a {}"],
        out=out,
        parameters=Parameters(atoms=4, images_at_once=2, segment_images=4),
        resume=True,
    )
    begun.send(True)
    run(job, Progress(quiet=True))


def files(store: Path) -> dict[str, bytes]:
    """All bytes of a store; of the manifest all that is no time."""
    found = {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in store.rglob("*")
        if path.is_file()
    }
    manifest = json.loads(found[MANIFEST])
    del manifest["created"], manifest["timings"]
    found[MANIFEST] = json.dumps(manifest).encode()
    return found


@pytest.mark.slow
def test_twelve_kills(patches: Path, tmp_path: Path) -> None:
    # A server that has the libraries loaded starts the processes: seconds saved on each.
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["precompute.job", "tests.precompute.tiny_clip"])

    def start(out: Path) -> multiprocessing.process.BaseProcess:
        receiver, sender = processes.Pipe(duplex=False)
        process = processes.Process(target=work, args=(patches, out, sender))
        process.start()
        sender.close()
        assert receiver.recv()
        return process

    alone = start(tmp_path / "alone")
    begun = time.monotonic()
    alone.join()
    length = time.monotonic() - begun
    assert alone.exitcode == 0
    expected = files(tmp_path / "alone")

    moments = random.Random(0)
    out = tmp_path / "store"
    kills = finished = 0
    while kills < KILLS or not finished:
        process = start(out)
        process.join(moments.uniform(0, length / 3) if kills < KILLS else None)
        if process.exitcode is None:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            kills += 1
            continue
        assert process.exitcode == 0
        assert files(out) == expected
        finished += 1
        shutil.rmtree(out)
