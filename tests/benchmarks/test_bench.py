"""That benchmarks run, compare like with like and report in one shape; no time is asserted."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from backend.pairs.coefficients import embedding_from_coefficients
from backend.store import open_store
from backend.store.integrity import check_integrity
from precompute.application import app
from precompute.bench.clock import Taken, Times, in_turns
from precompute.bench.decomposition import OURS, THEIRS, contestants
from precompute.bench.memory import extra_bytes
from precompute.bench.models import SMALL, random_clip, random_model, random_pool
from precompute.bench.rows import Row, time_row
from precompute.bench.storage import SMALL_IMAGES, SMALL_WORDS, Scaling, Sizes, sizes_of
from precompute.bench.synthetic import write_synthetic_store
from precompute.errors import InputError

CPU = torch.device("cpu")

ROW = Row(
    work="w", unit="s", ours=1.0, beside="b", theirs=2.0, meaning="ours / theirs", figure=0.5,
    reach=0.6, bound="at most", how="h",
)  # fmt: skip


def test_the_quick_bench_reports_every_row_in_one_shape() -> None:
    arguments = ["bench", "precompute", "--quick", "--json", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == ["date", "machine", "parameters", "rows"]
    assert {"processor", "cores", "threads", "load", "device", "torch"} <= set(told["machine"])
    assert told["parameters"]["quick"] is True
    for row in told["rows"]:
        assert list(row) == list(ROW.as_dict())
        # Extra memory may be none at all, where freed pages served.
        assert row["ours"] is None or row["ours"] > 0 or row["unit"] == "bytes"
    works = " ".join(row["work"] for row in told["rows"])
    for subject in ("coefficients", "extra memory", "search", "store on disk", "opening",
                    "scratch", "precompute over images", "OMP of a direction"):  # fmt: skip
        assert subject in works
    (same,) = [row for row in told["rows"] if "the same" in row["work"]]
    assert same["figure"] == 1.0
    assert same["reached"] is True
    assert all(row["reached"] is None for row in told["rows"] if row is not same)


def test_the_quick_bench_of_segmentation_reports_in_the_same_shape() -> None:
    arguments = ["bench", "segment", "--quick", "--json", "--device", "cpu"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == ["date", "machine", "parameters", "rows"]
    works = [row["work"] for row in told["rows"]]
    assert [work.split(",")[0] for work in works] == [
        "token x head maps of 10 texts",
        "segment a picture by 10 prompts",
        "the same by 10 prompts that no picture was segmented by",
        "another prompt on the same picture",
    ]
    for row in told["rows"]:
        assert list(row) == list(ROW.as_dict())
        assert row["ours"] > 0
        assert row["reached"] is None


def test_a_row_knows_whether_it_is_reached() -> None:
    assert ROW.reached is True
    assert replace(ROW, figure=0.7).reached is False
    assert replace(ROW, figure=0.7, bound="at least").reached is True
    assert replace(ROW, figure=None).reached is None
    assert replace(ROW, reach=None).reached is None


def test_contestants_take_turns() -> None:
    calls: list[str] = []
    work = {name: lambda name=name: calls.append(name) for name in ("a", "b")}
    times = in_turns(work, rounds=2, device=CPU, warm=True)  # type: ignore[arg-type]
    assert calls == ["a", "b"] * 3
    assert times.median("a") > 0
    assert times.ratio("a", "b") > 0
    ratio = times.processor_ratio("a", "b")
    assert ratio is not None
    assert ratio >= 0


def test_times_are_of_one_thing() -> None:
    work = {name: lambda: time.sleep(0.01) for name in ("many", "one")}
    times = in_turns(work, rounds=1, device=CPU, warm=False, counts={"many": 1000})
    assert times.median("many") < times.median("one")


def test_a_row_of_times_says_how_they_are_divided() -> None:
    taken = {"ours": Taken(passed=1.0, processor=2.0), "theirs": Taken(passed=4.0, processor=6.0)}
    times = Times([taken], on_cpu=True)
    row = time_row("w", times, "ours", "theirs", beside="b", reach=2, bound="at least", how="h")
    assert (row.meaning, row.figure, row.by_processor_time) == ("theirs / ours", 4.0, 3.0)
    assert row.reached is True
    missing = time_row("w", times, "ours", "other", beside="b", reach=2, bound="at least", how="h")
    assert (missing.theirs, missing.figure, missing.reached) == (None, None, None)


def test_both_pools_compute_the_same_embedding() -> None:
    pool = random_pool(SMALL, CPU)
    work = contestants(pool)
    coefficients, expected = work[OURS](), work[THEIRS]()
    assert isinstance(coefficients, torch.Tensor)
    found = embedding_from_coefficients(coefficients, pool.factors)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_the_engine_has_the_references_weights() -> None:
    model, clip = random_model(SMALL, CPU), random_clip(SMALL)
    pixels = torch.randn(2, 3, model.image_size, model.image_size)
    with torch.inference_mode():
        expected = clip.encode_image(pixels)
    error = (model.encode_images(pixels) - expected).norm(dim=1)
    assert (error <= 1e-5 * expected.norm(dim=1)).all()


def test_memory_is_the_peak_and_not_what_is_left() -> None:
    size = 1 << 26

    def run() -> None:
        torch.ones(size // 4).sum()

    found = extra_bytes(run, CPU)
    if found is None:
        pytest.skip("this system does not let a process reset its high-water mark")
    assert 0.9 * size <= found <= 1.5 * size


def test_shapes_grow_with_the_model(tmp_path: Path) -> None:
    small = Sizes(side=3, heads=11, neurons=704, d_out=89, words=103, images=37)
    large = Sizes(side=12, heads=48, neurons=3072, d_out=768, words=30_000, images=50_000)
    scaling = Scaling(small, large)
    assert scaling.shape([11, 704, 64]) == [48, 3072, 64]
    assert scaling.shape([704, 11, 11]) == [3072, 48, 48]
    assert scaling.shape([104]) == [30_001]
    assert scaling.shape([11 * 704 * 64]) == [48 * 3072 * 64]
    assert scaling.shape([103, 89]) == [30_000, 768]
    assert scaling.shape([11, 3, 3]) == [48, 12, 12]
    assert scaling.shape([11, 704, 12]) == [48, 3072, 12]
    assert scaling.shape([11, 704, 33]) == [48, 3072, 33]
    assert scaling.shape([]) == []

    def raw_bytes(name: str, size: int) -> int:
        (tmp_path / name).write_bytes(bytes(size))
        return scaling.raw_bytes(tmp_path / name)

    assert raw_bytes("calibration.f32", 4 * 37 * 7744) == 4 * 700 * 147_456
    assert raw_bytes("calibration_embeddings.f32", 4 * 37 * 89) == 4 * 700 * 768
    assert raw_bytes("embeddings.f32", 4 * 37 * 89) == 4 * 50_000 * 768
    assert raw_bytes("readable.u8", 37) == 50_000
    assert raw_bytes("job.json", 1234) == 1234
    same = Scaling(small, small)
    assert same.shape([11, 704, 103, 7]) == [11, 704, 103, 7]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["precompute", "--rounds", "0"], "--rounds must be 1 or more"),
        (["precompute", "--images", "0"], "--images must be 1 or more"),
        (["precompute", "--model", "ViT-B-32"], "ViT-B-32 is not one of"),
        (["segment", "--rounds", "0"], "--rounds must be 1 or more"),
        (["segment", "--model", "ViT-B-32"], "ViT-B-32 is not one of"),
        (["uploads", "--rounds", "0"], "--rounds must be 1 or more"),
        (["uploads", "--seconds", "0.5"], "--seconds must be 1 to 600"),
    ],
)
def test_nonsense_is_refused(options: list[str], sentence: str) -> None:
    refused = CliRunner().invoke(app, ["bench", *options])
    assert isinstance(refused.exception, InputError)
    assert sentence in str(refused.exception)


def test_the_quick_bench_of_the_server_asks_for_every_page() -> None:
    arguments = ["bench", "serve", "--quick", "--requests", "2", "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == ["date", "machine", "parameters", "rows"]
    works = {row["work"] for row in told["rows"]}
    for name in ("first page", "model", "search by a stored word", "pair", "neuron", "provenance"):
        for what in ("page", "JSON"):
            assert f"{name}, {what}, synthetic-{SMALL}" in works
    for row in told["rows"]:
        assert list(row) == list(ROW.as_dict())
        assert row["figure"] > 0
        assert row["reached"] is None
    assert {row["unit"] for row in told["rows"]} == {"s", "bytes"}


def test_the_quick_bench_of_uploads_answers_rightly_under_load() -> None:
    result = CliRunner().invoke(app, ["bench", "uploads", "--quick", "--json"])
    assert result.exit_code == 0, result.output
    at_once, flood, memory, after = json.loads(result.stdout)["rows"]
    assert at_once["theirs"] > 0
    assert at_once["by_processor_time"] > 0
    assert (flood["ours"], flood["unit"]) == (0, "answers")
    assert "answered" in flood["how"]
    assert 0 <= memory["ours"] < 1e9
    assert after["ours"] > 0


def test_a_synthetic_store_is_whole_and_the_same_each_time(tmp_path: Path) -> None:
    sizes = sizes_of(SMALL, words=SMALL_WORDS, images=SMALL_IMAGES)
    first = write_synthetic_store(tmp_path / "first" / "same", SMALL, sizes)
    again = write_synthetic_store(tmp_path / "again" / "same", SMALL, sizes)
    store = open_store(first)
    assert store.data_version == open_store(again).data_version
    assert check_integrity(store.path).ok
    for arrays in (store.explanations, store.neurons, store.heads):
        ids = arrays["word_ids"]
        assert ids.min() >= 0
        assert ids.max() < len(store.vocabulary)
    assert len(set(store.vocabulary)) == SMALL_WORDS
    assert (np.diff(store.statistics["top_values"], axis=-1) <= 0).all()
    assert np.linalg.norm(store.neurons["direction"], axis=1) == pytest.approx(1, abs=1e-5)
    assert store.neighbours["direction_ids"].max() < sizes.pairs
