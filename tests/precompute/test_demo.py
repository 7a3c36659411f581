"""The demo's store is made once, kept while it is current, and made anew when it is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.store.format import MANIFEST
from precompute import commands
from precompute.errors import InputError


def test_a_current_store_is_recognised(demo_store: Path) -> None:
    assert commands._is_current(demo_store)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("format_version",), 0),
        (("model", "weights_sha256"), "0" * 64),
        (("parameters", "atoms"), 3),
        (("templates",), ["{}"]),
        (("dataset", "images"), 5),
    ],
)
def test_a_store_of_other_making_is_not(
    demo_store: Path, tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    manifest = json.loads((demo_store / MANIFEST).read_text())
    owner = manifest
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = value
    copy = tmp_path / "store"
    copy.mkdir()
    for path in demo_store.iterdir():
        (copy / path.name).symlink_to(path)
    (copy / MANIFEST).unlink()
    (copy / MANIFEST).write_text(json.dumps(manifest))
    assert not commands._is_current(copy)


def test_only_stores_are_removed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").touch()
    commands._remove_store(mine)
    assert (mine / "thesis.tex").exists()
    (mine / MANIFEST).touch()
    commands._remove_store(mine)
    assert not mine.exists()


def test_template_sets() -> None:
    assert len(commands._templates(None, demo_words=False)) == 80
    few = commands._templates("few", demo_words=False)
    assert len(few) == 7
    assert set(few) <= set(commands._templates("imagenet", demo_words=False))
    assert commands._templates("plain", demo_words=True) == ["{}"]
    with pytest.raises(InputError, match="imagenet, few, plain"):
        commands._templates("none", demo_words=True)
