"""Whoever computes the segments, the store has the same bytes."""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from backend.clip import ClipResNet
from backend.progress import Progress
from backend.store import Manifest
from precompute.datasets import ImageFolder
from precompute.engines.local import LocalEngine, replica
from precompute.engines.ray_workers import RayEngine
from precompute.errors import InputError
from precompute.job import Job, Parameters, run


@pytest.fixture(scope="module")
def job(tiny: ClipResNet, patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    return Job(
        model=tiny,
        images=ImageFolder(patches),
        vocabulary=["cat", "dog", "red", "blue"],
        templates=["{}"],
        out=tmp_path_factory.mktemp("whole") / "store",
        parameters=Parameters(atoms=2, images_at_once=2, segment_images=4),
    )


@pytest.fixture(scope="module")
def whole(job: Job) -> Manifest:
    return run(job, Progress(quiet=True))


def test_several_devices_give_the_same_bytes(job: Job, whole: Manifest, tmp_path: Path) -> None:
    several = replace(job, out=tmp_path / "store", engine=LocalEngine(("cpu", "cpu", "cpu")))
    made = run(several, Progress(quiet=True))
    assert made.files == whole.files
    assert made.data_version == whole.data_version


def test_a_replica_is_the_same_model(tiny: ClipResNet) -> None:
    assert replica(tiny, "cpu") is tiny
    copy = replica(tiny, "cpu:0")
    assert copy.identity == tiny.identity
    assert copy.model is not tiny.model


@pytest.mark.slow
def test_ray_gives_the_same_bytes(job: Job, whole: Manifest, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="the optional extra [ray] is not installed")
    made = run(replace(job, out=tmp_path / "store", engine=RayEngine(2)), Progress(quiet=True))
    assert made.files == whole.files
    assert made.data_version == whole.data_version


class FatalOnce(ImageFolder):
    """Kills the process that reads image 9 first."""

    def __init__(self, folder: Path, mark: Path) -> None:
        super().__init__(folder)
        self._mark, self._home = mark, os.getpid()

    def open(self, number: int) -> Image.Image:
        if number == 9 and os.getpid() != self._home and not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().open(number)


@pytest.mark.slow
def test_a_ray_worker_that_dies_is_replaced(
    job: Job, whole: Manifest, patches: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="the optional extra [ray] is not installed")
    images = FatalOnce(patches, tmp_path / "died")
    again = replace(job, out=tmp_path / "store", engine=RayEngine(2), images=images)
    assert run(again, Progress(quiet=True)).data_version == whole.data_version
    assert (tmp_path / "died").exists()


def test_a_missing_ray_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'pairscope\[ray\]'"):
        RayEngine(2)
