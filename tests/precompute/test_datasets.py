"""Every kind of image set: numbers, names, what is torn, and decoding ahead of the model."""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import tarfile
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from precompute.datasets import DemoScenes, ImageSet, base, open_images
from precompute.demo_world.scenes import scenes
from precompute.errors import InputError


def png(level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


def tar(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as shard:
        for name, data in members:
            told = tarfile.TarInfo(name)
            told.size = len(data)
            shard.addfile(told, io.BytesIO(data))
    return path


def preprocess(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float()


def levels(images: ImageSet, **options: object) -> dict[int, int]:
    """Grey level of each readable picture by its number."""
    found = {}
    for block in images.blocks(preprocess, size=2, **options):  # type: ignore[arg-type]
        found |= {n: int(block.pixels[i].mean()) for i, n in enumerate(block.numbers)}
    return found


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    folder = tmp_path / "shards"
    folder.mkdir()
    tar(
        folder / "part-000.tar",
        [
            ("a/001.jpg", png(10)),
            ("a/001.txt", b"a caption"),
            ("a/001.mask.png", png(99)),
            ("a/002.png", png(20)),
        ],
    )
    tar(folder / "part-001.tar", [("003.png", png(30)), ("004.png", b"torn"), ("005.png", png(50))])
    return folder


def test_folders_are_listed_in_the_order_of_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["b.png", "a/z.JPG", "a/c/d.png", "a.png", "a-b/x.webp", "a/notes.txt", "locked/y.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(png(1))
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    scandir = os.scandir

    def scan(folder: Path) -> object:
        if Path(folder).name == "locked":
            raise PermissionError
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    found = open_images(str(tmp_path))
    listed = [found.relative_name(number) for number in range(len(found))]
    assert listed == ["a/c/d.png", "a/z.JPG", "a-b/x.webp", "a.png", "b.png"]
    assert found.damaged == [f"{tmp_path / 'locked'} cannot be listed"]


def test_shards_are_numbered_in_order(shards: Path) -> None:
    for place in (shards, f"{shards}/*.tar", f"{shards}/part-{{000..001}}.tar"):
        images = open_images(str(place))
        assert images.name == "shards"
        assert [images.relative_name(n) for n in range(len(images))] == [
            "part-000.tar/a/001.jpg", "part-000.tar/a/002.png",
            "part-001.tar/003.png", "part-001.tar/004.png", "part-001.tar/005.png",
        ]  # fmt: skip
        assert levels(images) == {0: 10, 1: 20, 2: 30, 4: 50}
        assert images.notes == ["1 pictures share their key with another and are passed over"]
        assert images.damaged == []
    alone = open_images(str(shards / "part-001.tar"))
    assert alone.name == "part-001"
    assert levels(alone, numbers=[2, 0]) == {0: 30, 2: 50}
    unreadable = [name for block in alone.blocks(preprocess, size=2) for name in block.unreadable]
    assert unreadable == ["part-001.tar/004.png"]


def test_torn_shards_give_what_they_have(shards: Path) -> None:
    path = shards / "part-001.tar"
    whole = path.read_bytes()
    path.write_bytes(whole[:1100])  # the first picture, and a part of the second's header
    images = open_images(str(shards))
    assert images.damaged == ["part-001.tar: torn after 1 members"]
    assert levels(images) == {0: 10, 1: 20, 2: 30}
    path.write_bytes(whole[:1024] + b"\x07" * 512 + whole[1536:])
    assert open_images(str(shards)).damaged == ["part-001.tar: torn after 1 members"]


@pytest.mark.parametrize(
    ("place", "sentence"),
    [
        ("none.tar", "none.tar does not exist"),
        ("part-{000..003}.tar", "part-002.tar does not exist"),
        ("part-{005..003}.tar", "stands for 0 shards"),
        ("part-{0..99999999}.tar", "stands for 100000000 shards"),
        ("*.tgz", "no tar files fit"),
        ("text.tar", "text.tar is no tar file"),
        ("words.tar", "no images in 1 tar files"),
        ("thesis.tex", "not a folder of images or a tar file"),
        ("nothing", "not a folder of images or a tar file"),
    ],
)
def test_what_is_no_set_of_shards(shards: Path, place: str, sentence: str) -> None:
    (shards / "text.tar").write_text("hello")
    (shards / "thesis.tex").write_text("hello")
    tar(shards / "words.tar", [("a.txt", b"hello")])
    with pytest.raises(InputError, match=sentence.replace(".", r"\.")):
        open_images(f"{shards}/{place}")


def test_large_pictures_are_unreadable_in_any_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (9, 8), 10).save(tmp_path / "large.png")
    Image.new("L", (8, 8), 20).save(tmp_path / "most.png")
    monkeypatch.setattr(base, "MOST_PIXELS", 64)
    filters = list(warnings.filters)
    seen = []

    def look(image: Image.Image) -> torch.Tensor:
        seen.append(list(warnings.filters))
        return preprocess(image)

    (block,) = open_images(str(tmp_path)).blocks(look, size=2)
    assert (block.numbers, block.unreadable) == ([1], ["large.png"])
    assert seen == [filters]  # one that a reader sets holds for all threads


@pytest.mark.parametrize("error", [struct.error, IndexError, EOFError, zlib.error, SyntaxError])
def test_no_decoder_ends_the_job(shards: Path, error: type[Exception]) -> None:
    def fail(image: Image.Image) -> torch.Tensor:
        raise error("torn")

    images = open_images(str(shards / "part-001.tar"))
    (block,) = images.blocks(fail, size=3)
    assert len(block.unreadable) == 3


def test_a_machine_without_memory_makes_no_picture_unreadable(shards: Path) -> None:
    def fail(image: Image.Image) -> torch.Tensor:
        raise MemoryError

    with pytest.raises(MemoryError):
        list(open_images(str(shards)).blocks(fail, size=3))


def test_digests_tell_sets_apart(shards: Path) -> None:
    first = open_images(str(shards)).digest()
    assert open_images(str(shards)).digest() == first
    tar(shards / "part-000.tar", [("a/001.jpg", png(10)), ("a/003.png", png(20))])
    assert open_images(str(shards)).digest() != first


def test_sets_survive_pickling(shards: Path) -> None:
    images = open_images(str(shards))
    assert levels(pickle.loads(pickle.dumps(images))) == levels(images)
    demo = DemoScenes(3, seed=1, size=32)
    again = pickle.loads(pickle.dumps(demo))
    assert np.array_equal(np.array(again.open(2)), np.array(demo.open(2)))


def test_demo_scenes_are_the_worlds_in_any_order() -> None:
    expected = [scene.image for scene in scenes(3, 5, size=32)]
    demo = DemoScenes(5, seed=3, size=32)
    for number in (4, 0, 2):
        assert np.array_equal(np.array(demo.open(number)), expected[number])


def test_saved_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the optional extra [hf] is not installed")
    rows = {"image": [{"bytes": data} for data in (png(10), b"torn", png(30))], "label": [0, 1, 2]}
    features = datasets.Features({"label": datasets.Value("int64"), "image": datasets.Image()})
    table = datasets.Dataset.from_dict(rows, features=features)
    table.save_to_disk(tmp_path / "saved")
    images = open_images(str(tmp_path / "saved"))
    assert (images.name, len(images), images.relative_name(1)) == ("saved", 3, "row 1")
    assert levels(images) == {0: 10, 2: 30}
    assert levels(pickle.loads(pickle.dumps(images))) == {0: 10, 2: 30}
    datasets.DatasetDict({"test": table}).save_to_disk(tmp_path / "splits")
    with pytest.raises(InputError, match=r"several splits; give one: .*splits/test"):
        open_images(str(tmp_path / "splits"))
    table.remove_columns("image").save_to_disk(tmp_path / "words")
    with pytest.raises(InputError, match="no column of images: label"):
        open_images(str(tmp_path / "words"))


def test_parquet_files(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [hf] is not installed")
    import pyarrow

    for file, rows in enumerate([(10, 20, 30), (40, 50)]):
        pictures = [{"bytes": png(level), "path": None} for level in rows]
        table = pyarrow.table({"label": list(rows), "image": pictures})
        parquet.write_table(table, tmp_path / f"{file}.parquet", row_group_size=2)
    images = open_images(str(tmp_path))
    assert levels(images) == {0: 10, 1: 20, 2: 30, 3: 40, 4: 50}
    assert images.relative_name(2) == "0.parquet/row group 1/row 0"
    assert levels(pickle.loads(pickle.dumps(images)), numbers=[4, 1]) == {1: 20, 4: 50}
    (tmp_path / "2.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"2\.parquet is no parquet file"):
        open_images(str(tmp_path))


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "state.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'pairscope\[hf\]'"):
        open_images(str(tmp_path))
