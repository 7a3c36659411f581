"""Scenes as files: what `pairscope demo-images` writes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from precompute.demo_world.commands import demo_images
from precompute.demo_world.images import write_images
from precompute.demo_world.scenes import scenes
from precompute.errors import InputError

APP = typer.Typer()
APP.command()(demo_images)


def test_files_hold_the_scenes(tmp_path: Path) -> None:
    labels = write_images(tmp_path / "new", count=3, seed=4, objects=2, size=64)
    items = json.loads(labels.read_text())
    assert labels.name == "labels.json"
    for number, (item, scene) in enumerate(
        zip(items, scenes(4, 3, size=64, objects=2), strict=True)
    ):
        assert set(item) == {"file", "mask", "caption", "background", "objects"}
        assert item["file"] == f"{number:04}.png"
        assert item["mask"] == f"{number:04}_mask.png"
        with Image.open(tmp_path / "new" / item["file"]) as image:
            assert np.array_equal(np.asarray(image), scene.image)
        with Image.open(tmp_path / "new" / item["mask"]) as mask:
            assert mask.mode == "L"
            assert np.array_equal(np.asarray(mask), scene.mask)
        assert item["caption"] == scene.caption
        assert item["background"] == {
            "colour": scene.background.colour,
            "pattern": scene.background.pattern,
        }
        assert [set(found) for found in item["objects"]] == [{"concept", "tint", "box"}] * 2
        assert tuple(item["objects"][1]["box"]) == scene.objects[1].box


@pytest.mark.parametrize(
    "arguments",
    [
        ["--count", "0"],
        ["--count", "2", "--objects", "5"],
        ["--count", "2", "--size", "1000"],
        ["--count", "2", "--seed", "-1"],
    ],
)
def test_nonsense_writes_nothing_and_says_why(arguments: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = CliRunner().invoke(APP, [*arguments, "--out", str(out)])
    assert isinstance(result.exception, InputError)
    assert "not" in str(result.exception)
    assert not out.exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(APP, ["--count", "1", "--out", str(tmp_path / "file")])
    assert isinstance(result.exception, InputError)
    assert "cannot be written" in str(result.exception)
