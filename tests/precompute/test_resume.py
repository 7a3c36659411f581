"""A job that was interrupted anywhere is taken up, and gives the very bytes of one that was not."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backend.clip import ClipResNet
from backend.progress import Progress
from backend.store import Manifest, StoreError, open_store
from backend.store.integrity import check_integrity
from precompute.datasets import ImageFolder
from precompute.errors import InputError
from precompute.job import STAGES, Job, Parameters, can_resume, run
from precompute.scratch import Scratch, StageRecord
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


def leave_scratch(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the job and kills it between its manifest and the removal of its scratch folder."""

    def die(scratch: Scratch) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "remove", die)
        with pytest.raises(Killed):
            run(job, QUIET)


def test_a_kill_after_the_last_stage_costs_nothing(
    job: Job, whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_scratch(job, monkeypatch)
    made = open_store(job.out).manifest
    assert made.data_version == whole.data_version
    (left,) = check_integrity(job.out).findings
    assert (left.file, left.problem) == ("scratch", "surplus")
    assert not can_resume(job)
    monkeypatch.setattr("precompute.job.STAGES", ())  # nothing is computed again
    assert run(job, QUIET).to_json() == made.to_json()
    assert check_integrity(job.out).ok


def test_a_manifest_that_cannot_be_written_costs_nothing(
    job: Job, whole: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(work: Work) -> Manifest:
        raise StoreError("No space left")

    with monkeypatch.context() as patch:
        patch.setattr("precompute.job.finish", fill)
        with pytest.raises(StoreError, match="go on with --resume"):
            run(job, QUIET)
    computed = tuple(replace(stage, do=pytest.fail) for stage in STAGES)
    monkeypatch.setattr("precompute.job.STAGES", computed)
    assert run(job, QUIET).data_version == whole.data_version


def test_what_names_the_job_is_removed_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = Scratch(tmp_path / "scratch")
    scratch.begin({"name": "demo"})
    scratch.finish("factors", StageRecord(1.0, {}))
    (scratch.folder / "features").write_bytes(b"1")
    (scratch.folder / "collect").mkdir()
    gone: list[str] = []
    unlink, rmtree = Path.unlink, shutil.rmtree

    def note(path: Path, missing_ok: bool = False) -> None:
        gone.append(path.name)
        unlink(path, missing_ok=missing_ok)

    def note_folder(path: Path) -> None:
        gone.append(path.name)
        rmtree(path)

    monkeypatch.setattr(Path, "unlink", note)
    monkeypatch.setattr(shutil, "rmtree", note_folder)
    with scratch.held():
        scratch.remove()
    assert gone[0] == "stage-factors.json"
    assert gone[-2:] == ["job.json", "lock"]
    assert not scratch.folder.exists()


def test_a_scratch_folder_that_cannot_be_removed_is_told(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "rmdir", refuse)
    with pytest.raises(
        InputError, match=r"scratch cannot be removed \(Permission denied\); remove"
    ):
        run(job, QUIET)
    assert open_store(job.out)


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
