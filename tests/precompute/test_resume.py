"""A job that was interrupted anywhere is taken up, and gives the very bytes of one that was not."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from backend.clip import ClipResNet
from backend.progress import Progress
from backend.store import Manifest, StoreError
from precompute.datasets import ImageFolder
from precompute.errors import InputError
from precompute.job import STAGES, Job, Parameters, run
from precompute.work import Stage, Work

WORDS = ["cat", "dog", "red", "blue", "tree", "ball"]
QUIET = Progress(quiet=True)


@pytest.fixture
def job(tiny: ClipResNet, patches: Path, tmp_path: Path) -> Job:
    return Job(
        model=tiny,
        images=ImageFolder(patches),
        vocabulary=WORDS,
        templates=["{}"],
        out=tmp_path / "store",
        parameters=Parameters(atoms=3, images_at_once=2, segment_images=6),
        resume=True,
    )


@pytest.fixture(scope="module")
def whole(tiny: ClipResNet, patches: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """The store of the same job, never interrupted."""
    out = tmp_path_factory.mktemp("whole") / "store"
    parameters = Parameters(atoms=3, images_at_once=2, segment_images=6)
    return run(Job(tiny, ImageFolder(patches), WORDS, ["{}"], out, parameters=parameters), QUIET)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_before_or_after_any_stage(
    job: Job, whole: Manifest, stage: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(work: Work, stage: Stage) -> None:
        if after:
            stage.do(work)
        raise Killed

    stages = tuple(
        replace(one, do=lambda work, one=one: die(work, one)) if one.name == stage else one
        for one in STAGES
    )
    with monkeypatch.context() as patch:
        patch.setattr("precompute.job.STAGES", stages)
        with pytest.raises(Killed):
            run(job, QUIET)
    assert run(job, QUIET).data_version == whole.data_version
    assert not (job.out / "scratch").exists()


@pytest.mark.parametrize("written", [6, 12, 20])
def test_a_disk_that_fills_up_is_told_and_what_was_done_is_kept(
    job: Job, whole: Manifest, written: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(range(written))

    def fill(handle: int) -> None:
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fill)
        with pytest.raises(StoreError, match=r"cannot be written: No space left.*--resume"):
            run(job, QUIET)
    assert not list(job.out.rglob("*.tmp"))
    assert run(job, QUIET).data_version == whole.data_version


def test_a_finished_store_is_recognised(
    job: Job, whole: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    made = run(job, QUIET)
    again = run(job, Progress())
    assert again.to_json() == made.to_json()
    assert "is finished already" in capsys.readouterr().err
    with pytest.raises(
        InputError, match=r"another job \(parameters.atoms was 3, now 2; parameters"
    ):
        run(replace(job, parameters=Parameters(atoms=2, images_at_once=2, segment_images=6)), QUIET)
    with pytest.raises(StoreError, match=r"already holds a finished store.*--resume"):
        run(replace(job, resume=False), QUIET)


def test_only_the_same_job_is_taken_up(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(work: Work) -> None:
        raise Killed

    monkeypatch.setattr("precompute.job.STAGES", (*STAGES[:2], Stage("collect", die)))
    with pytest.raises(Killed):
        run(job, QUIET)
    with pytest.raises(StoreError, match="unfinished store; add --resume to take it up"):
        run(replace(job, resume=False), QUIET)
    with pytest.raises(InputError, match=r"another job \(vocabulary.sha256 was .* now "):
        run(replace(job, vocabulary=[*WORDS[:-1], "bat"]), QUIET)
    with pytest.raises(InputError, match=r'\(templates was \["{}"\], now \["a {}"\]\)'):
        run(replace(job, templates=["a {}"]), QUIET)
    (job.out / "factors.safetensors").write_bytes(b"")
    with pytest.raises(StoreError, match=r"factors\.safetensors has changed"):
        run(job, QUIET)
