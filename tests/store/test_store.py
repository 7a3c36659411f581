"""Round trip, and every way in which a store can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backend.store import FORMAT_VERSION, StoreError, StoreWriter, open_store
from backend.store.format import ARRAYS, FACTORS, MANIFEST, MAPS, check_name, slug
from backend.store.integrity import check_integrity
from tests.store.conftest import arrays, write


def test_what_was_written_is_read(path: Path) -> None:
    store = open_store(path)
    expected = arrays()
    for file, names in ARRAYS.items():
        loaded = load_file(path / file)
        for name in names:
            np.testing.assert_array_equal(loaded[name], expected[file][name])
    for name, array in expected[FACTORS].items():
        np.testing.assert_array_equal(store.factors[name], array)
        assert not store.factors[name].flags.writeable
    assert store.vocabulary == ["a", "b", "Cé", "d", "e", "two words"]
    assert store.word_ids["cé"] == 2
    assert (store.n_heads, store.n_neurons, store.name) == (2, 5, "tiny")
    assert store.manifest.dataset.unreadable == ["broken.png"]
    assert int(store.statistics["count"]) == 3
    assert check_integrity(path).ok


def test_exemplars(path: Path) -> None:
    exemplars = open_store(path).exemplars
    assert exemplars is not None
    assert [exemplars.thumbnail(image) for image in (-1, 0, 1, 2, 3)] == [
        None, b"first", None, b"third", None,
    ]  # fmt: skip
    maps = arrays()[MAPS]["maps"].astype(np.float32)
    found = exemplars.heatmap(head=1, neuron=4, image=2)
    np.testing.assert_array_equal(found, maps[1, 4, 2])
    assert exemplars.heatmap(head=1, neuron=4, image=7) is None
    assert exemplars.heatmap(head=1, neuron=4, image=-1) is None
    assert exemplars.scale(head=1, neuron=4) == np.abs(maps[1, 4]).max()


def test_a_store_may_have_no_exemplars(tmp_path: Path) -> None:
    assert open_store(write(tmp_path / "store", exemplars=False)).exemplars is None


def test_data_version_follows_all_but_date_and_times(tmp_path: Path) -> None:
    first = open_store(write(tmp_path / "a")).data_version
    later = {"created": "2027-01-01T00:00:00+00:00", "timings": {"collect": 9.0}}
    assert open_store(write(tmp_path / "b", **later)).data_version == first
    assert open_store(write(tmp_path / "c", templates=["{}"])).data_version != first
    assert open_store(write(tmp_path / "d", code_version="9.9")).data_version != first


def test_no_manifest_is_no_store(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path / "store")
    writer.text("vocabulary.txt", ["a"])
    with pytest.raises(StoreError, match="no finished store; run `pairscope precompute`"):
        open_store(tmp_path / "store")
    with pytest.raises(StoreError, match="unfinished store; add --resume"):
        StoreWriter(tmp_path / "store")
    StoreWriter(tmp_path / "store", resume=True)


def test_finished_stores_and_foreign_folders_are_left_alone(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="already holds a finished store"):
        StoreWriter(path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(StoreError, match=r"other files \(thesis.tex\)"):
        StoreWriter(tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="not a folder"):
        StoreWriter(tmp_path / "file")
    with pytest.raises(StoreError, match="cannot be written"):
        StoreWriter(tmp_path / "file" / "below")


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    content = arrays()[FACTORS]
    del content["value_bias"]
    with pytest.raises(StoreError, match="must hold"):
        StoreWriter(tmp_path / "store").arrays(FACTORS, content)


@pytest.mark.parametrize("file", [*ARRAYS, "vocabulary.txt"])
def test_missing_and_truncated_files_are_named(path: Path, file: str) -> None:
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[:-1])
    with pytest.raises(StoreError, match=rf"{file} has \d+ bytes where the manifest says"):
        open_store(path)
    (path / file).unlink()
    with pytest.raises(StoreError, match=f"{file} is missing"):
        open_store(path)


def test_changed_bytes_are_found(path: Path) -> None:
    content = bytearray((path / FACTORS).read_bytes())
    content[-1] ^= 1
    (path / FACTORS).write_bytes(content)
    assert [each.file for each in check_integrity(path).findings] == [FACTORS]


def test_exchanged_shapes_are_found(path: Path) -> None:
    content = load_file(path / FACTORS)
    content["output"] = np.ascontiguousarray(content["output"].transpose(0, 2, 1))
    save_file(content, path / FACTORS)
    size = (path / FACTORS).stat().st_size
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["files"][FACTORS]["size"] = size
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="does not hold what the manifest says"):
        open_store(path)


@pytest.mark.parametrize("header", [b"\xff" * 8, b"\x02" + b"\0" * 7 + b"{]"])
def test_damaged_headers_are_an_error_by_name(path: Path, header: bytes) -> None:
    content = (path / FACTORS).read_bytes()
    (path / FACTORS).write_bytes(header + content[len(header) :])
    with pytest.raises(StoreError, match="is damaged"):
        open_store(path)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", f'{{"format_version": {FORMAT_VERSION}}}', "null"]
)
def test_damaged_manifests(path: Path, text: str) -> None:
    (path / MANIFEST).write_text(text)
    with pytest.raises(StoreError, match="manifest is damaged"):
        open_store(path)


@pytest.mark.parametrize("version", [FORMAT_VERSION - 1, FORMAT_VERSION + 1])
def test_other_format_versions_say_what_to_run(path: Path, version: int) -> None:
    manifest = json.loads((path / MANIFEST).read_text())
    manifest["format_version"] = version
    (path / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=rf"format version {version}.*pairscope precompute"):
        open_store(path)


def test_names_stand_in_addresses() -> None:
    assert slug("RN50x16", "openai", "ImageNet val") == "rn50x16-openai-imagenet-val"
    assert slug("RN50", None, "../Été") == "rn50-t"
    assert check_name("rn50x16-openai-imagenet-val")
    for name in ("s", "docs", "api", "", "A", "a/b", "..", "é", "a\n"):
        with pytest.raises(StoreError):
            check_name(name)
