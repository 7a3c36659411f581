"""Checking, describing and exporting finished stores."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from backend.store import StoreError, open_store
from backend.store.cells import FORMULA_STARTS, harmless
from backend.store.format import MANIFEST, STATISTICS, VOCABULARY
from backend.store.integrity import check_integrity
from precompute.application import app
from precompute.errors import InputError
from precompute.store import export as exporting
from tests.store.conftest import write

WORDS = ["=1+1", "+a", "-b", "@c", 'd "quoted", e', "naïve"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "store")


@pytest.fixture
def words_like_formulas(path: Path) -> Path:
    """The same store with other words; its manifest does not fit them, which opening tolerates."""
    text = "".join(f"{word}\n" for word in WORDS)
    (path / VOCABULARY).write_text(text)
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][VOCABULARY]["size"] = len(text.encode())
    (path / MANIFEST).write_text(json.dumps(manifest))
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


def test_a_whole_store_is_right(path: Path) -> None:
    result = call("verify", path)
    assert result.exit_code == 0, result.output
    assert "as written" in result.stdout
    (report,) = json.loads(call("verify", path, "--json").stdout)
    assert report["ok"] is True
    assert report["findings"] == []
    assert report["size"] == sum(
        file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name != MANIFEST
    )


def test_every_damaged_byte_is_found(path: Path) -> None:
    for file in open_store(path).manifest.files:
        whole = (path / file).read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            damaged = bytearray(whole)
            damaged[place] ^= 1
            (path / file).write_bytes(damaged)
            findings = check_integrity(path).findings
            assert [found.file for found in findings] == [file]
            assert "SHA-256" in findings[0].problem
        (path / file).write_bytes(whole)
    assert check_integrity(path).ok


def test_short_missing_and_surplus_files_are_named(path: Path) -> None:
    (path / STATISTICS).write_bytes((path / STATISTICS).read_bytes()[:-1])
    (path / VOCABULARY).unlink()
    (path / "exemplars" / "more.txt").write_text("not mine")
    result = call("verify", path)
    assert result.exit_code == 1
    assert f"{STATISTICS}: has" in result.stdout
    assert f"{VOCABULARY}: missing" in result.stdout
    assert "exemplars/more.txt: surplus" in result.stdout
    assert "pairscope precompute" in result.stdout
    (report,) = json.loads(call("verify", path, "--json").stdout)
    assert {found["file"] for found in report["findings"]} == {
        STATISTICS, VOCABULARY, "exemplars/more.txt",
    }  # fmt: skip


def test_a_manifest_that_says_other_shapes_is_found(path: Path) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][STATISTICS]["arrays"]["norm"] = ["float32", [1, 1]]
    del manifest["files"][STATISTICS]["arrays"]["mean"]
    (path / MANIFEST).write_text(json.dumps(manifest))
    problems = [found.problem for found in check_integrity(path).findings]
    assert len(problems) == 2
    assert any("array norm" in problem for problem in problems)
    assert any("array mean" in problem and "not there" in problem for problem in problems)
    assert "1 of its files are not right" in call("verify", path).stdout


def test_a_damaged_manifest_is_a_finding_and_no_manifest_an_error(path: Path) -> None:
    (path / MANIFEST).write_text("{")
    result = call("verify", path, path)
    assert result.exit_code == 1
    assert result.stdout.count("the manifest is damaged") == 2
    (path / MANIFEST).unlink()
    assert isinstance(call("verify", path).exception, StoreError)


def test_info_tells_what_the_store_is(path: Path) -> None:
    store = open_store(path)
    told = json.loads(call("info", path, "--json").stdout)
    assert told["data_version"] == store.data_version
    assert told["counts"]["pairs"] == store.n_heads * store.n_neurons
    assert told["counts"]["words"] == len(store.vocabulary)
    assert set(told["files"]) == set(store.manifest.files)
    shown = call("info", path).stdout
    for text in (store.name, store.data_version, "RN50 openai", STATISTICS):
        assert text in shown


def test_exported_directions_are_unit_and_oriented(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "directions.safetensors"
    result = call("export", path, "--directions", out)
    assert result.exit_code == 0, result.output
    found = load_file(out)["directions"]
    store = open_store(path)
    dense = np.einsum("hod,hdn->hno", store.factors["output"], store.factors["value"])
    dense *= store.statistics["sign"][..., None]
    dense /= np.linalg.norm(dense, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, dense, rtol=1e-5, atol=1e-6)
    assert f"{out.stat().st_size:,} bytes" in result.stdout


def test_exported_tables_hold_the_store(words_like_formulas: Path, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    path = words_like_formulas
    store = open_store(path)
    for kind in ("csv", "parquet"):
        done = call("export", path, "--explanations", tmp_path / f"words.{kind}",
                    "--statistics", tmp_path / f"figures.{kind}")  # fmt: skip
        assert done.exit_code == 0, done.output
    with (tmp_path / "words.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = pq.read_table(tmp_path / "words.parquet").to_pydict()
    assert list(rows[0]) == list(columns)
    assert len(rows) == len(columns["word"]) == store.explanations["word_ids"].size
    for place, row in enumerate(rows):
        neuron, head, rank = int(row["neuron"]), int(row["head"]), int(row["rank"])
        word = WORDS[store.explanations["word_ids"][head, neuron, rank - 1]]
        assert columns["word"][place] == word
        assert row["word"] == ("'" + word if word[0] in "=+-@" else word)
        weight = store.explanations["weights"][head, neuron, rank - 1]
        assert np.float32(row["weight"]) == weight == np.float32(columns["weight"][place])
        cosine = store.explanations["cosine"][head, neuron, rank - 1]
        assert np.float32(row["cosine"]) == cosine
    with (tmp_path / "figures.csv").open(newline="") as file:
        figures = list(csv.DictReader(file))
    assert len(figures) == store.n_heads * store.n_neurons
    for row in figures:
        head, neuron = int(row["head"]), int(row["neuron"])
        assert np.float32(row["norm"]) == store.statistics["norm"][head, neuron]
        assert int(row["sign"]) == store.statistics["sign"][head, neuron]
    assert "deviation" in pq.read_table(tmp_path / "figures.parquet").column_names


def test_words_left_out_have_no_row(path: Path) -> None:
    store = open_store(path)
    ids = np.array(store.explanations["word_ids"])
    ids[0, 0, 1] = -1
    store.explanations = {**store.explanations, "word_ids": ids}
    words, steps = np.array(store.vocabulary, dtype=object), np.array([1, 2])
    columns = exporting._explanations_of_head(store, 0, words, steps)
    assert len({len(column) for column in columns.values()}) == 1
    assert len(columns["word"]) == ids[0].size - 1


@given(st.text())
def test_no_cell_begins_a_formula(text: str) -> None:
    cell = harmless(text)
    assert not cell.startswith(FORMULA_STARTS)
    assert cell.removeprefix("'") == text.removeprefix("'") or cell == text


def test_files_are_replaced_only_on_demand(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "figures.csv"
    out.write_text("thesis")
    refused = call("export", path, "--statistics", out)
    assert isinstance(refused.exception, InputError)
    assert "--force" in str(refused.exception)
    assert out.read_text() == "thesis"
    assert call("export", path, "--statistics", out, "--force").exit_code == 0
    assert out.read_text().startswith("neuron,head,")
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".tmp"] == []


@pytest.mark.parametrize(
    ("option", "file", "sentence"),
    [
        ("--statistics", "figures.txt", "must end in .csv or .parquet"),
        ("--explanations", "none/words.csv", "does not exist"),
        ("--directions", ".", "is a folder"),
    ],
)
def test_what_cannot_be_written_is_refused(
    path: Path, tmp_path: Path, option: str, file: str, sentence: str
) -> None:
    refused = call("export", path, option, tmp_path / file)
    assert isinstance(refused.exception, InputError)
    assert sentence in str(refused.exception)


def test_nothing_to_export_is_an_error(path: Path) -> None:
    assert isinstance(call("export", path).exception, InputError)


def test_parquet_without_its_package_is_a_sentence(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    refused = call("export", path, "--statistics", tmp_path / "figures.parquet")
    assert isinstance(refused.exception, InputError)
    assert "pairscope[parquet]" in str(refused.exception)
