"""What a job is said to take, against what one took, and what is refused before it begins."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.clip import ClipResNet
from backend.progress import Progress
from precompute.datasets import ImageFolder
from precompute.engines import LocalEngine, RayEngine, make_engine
from precompute.errors import InputError
from precompute.estimate import Shapes, edges_bytes, estimate, images_at_once, state_bytes
from precompute.job import Job, Parameters, run

RN50X16 = Shapes(
    heads=48,
    neurons=3072,
    d_head=64,
    d_out=768,
    side=384,
    stem=96,
    weights=1_160_000_000,
    images=50_000,
    words=30_000,
    atoms=64,
    bins=32,
    block=32,
    exemplars=True,
    text=768,
    together=8,
)


def test_the_paper_s_model_fits_a_small_machine() -> None:
    expected = estimate(RN50X16)
    assert expected.memory < 8e9
    assert expected.scratch < 2e9
    bare = estimate(replace(RN50X16, exemplars=False))
    assert bare.scratch < 1e9
    assert bare.store < 450e6
    assert bare.store < expected.store


@pytest.mark.parametrize(
    "shape", ["images", "words", "atoms", "workers", "processes", "block", "together"]
)
def test_more_of_anything_never_takes_less(shape: str) -> None:
    more = replace(RN50X16, **{shape: 2 * getattr(RN50X16, shape) + 1})
    one, two = estimate(RN50X16), estimate(more)
    assert two.memory >= one.memory
    assert two.scratch >= one.scratch
    assert two.store >= one.store


def test_a_sentence_for_people() -> None:
    assert estimate(replace(RN50X16, images=1, words=2)).sentence().startswith("about ")


def test_the_state_s_size_is_exact(tiny: ClipResNet) -> None:
    import torch

    from backend.pairs.statistics import PairStatistics, histogram_edges

    found = tiny.decompose(torch.rand(4, 3, 64, 64)).coefficients
    state = PairStatistics.empty(histogram_edges(found, bins=32))
    job = SimpleNamespace(heads=4, pairs=1024, bins=32)
    taken = sum(array.nbytes for array in state.arrays().values())
    assert state_bytes(job) == taken  # type: ignore[arg-type]
    assert edges_bytes(job) == state.edges.nbytes  # type: ignore[arg-type]


@pytest.fixture
def job(tiny: ClipResNet, patches: Path, tmp_path: Path) -> Job:
    return Job(
        model=tiny,
        images=ImageFolder(patches),
        vocabulary=[f"word {number}" for number in range(200)],
        templates=["{}"],
        out=tmp_path / "store",
        parameters=Parameters(atoms=4),
    )


def test_a_real_store_has_the_size_that_was_told(job: Job) -> None:
    files = run(job, Progress(quiet=True)).files
    told = estimate(job.shapes()).store
    assert 0.7 * told <= sum(record.size for record in files.values()) <= 1.1 * told


def test_a_full_disk_is_noticed_before_the_work(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InputError, match=r"has 1 kB free where about [\d.]+ MB are needed"):
        run(job, Progress())
    assert capsys.readouterr().err == ""


def test_the_estimate_is_printed_first(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    run(job, Progress())
    told = capsys.readouterr().err.splitlines()
    assert "GB of memory" in told[0]
    assert any("2 of 21 images cannot be read: 00.png, 07.png" in line for line in told)


def test_blocks_are_as_large_as_memory_allows(tiny: ClipResNet) -> None:
    assert images_at_once(tiny) == 32


@pytest.mark.parametrize(
    ("name", "devices", "workers", "sentence"),
    [
        ("dask", ("cpu",), None, "--engine is one of local, ray, not 'dask'"),
        ("local", ("cpu",), 2, "--workers belongs to --engine ray"),
        ("ray", ("cpu", "cpu"), None, "takes one kind of --device"),
        ("ray", ("cpu",), 0, "--workers must be at least 1"),
    ],
)
def test_engines_that_there_are_not(
    name: str, devices: tuple[str, ...], workers: int | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        make_engine(name, devices=devices, workers=workers)


def test_engines_by_name() -> None:
    assert isinstance(make_engine("local", devices=("cpu",), workers=None), LocalEngine)
    pytest.importorskip("ray", reason="the optional extra [ray] is not installed")
    made = make_engine("ray", devices=("cpu",), workers=3)
    assert isinstance(made, RayEngine)
    assert (made.workers, made.processes) == (3, 3)
