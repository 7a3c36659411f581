"""The demo's store is made once, kept while it is current, and made anew when it is not."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from backend.store.format import MANIFEST, VOCABULARY
from backend.store.writer import SCRATCH
from precompute import commands
from precompute.errors import InputError
from precompute.scratch import JOB, Scratch


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


def made(folder: Path, architecture: str, images: str, *, finished: bool) -> Path:
    """What a store of some model and images looks like to someone who wants to remove it."""
    (folder / "exemplars").mkdir(parents=True)
    (folder / VOCABULARY).write_text("cat\n")
    place, key = (MANIFEST, "dataset") if finished else (f"{SCRATCH}/{JOB}", "images")
    (folder / place).parent.mkdir(exist_ok=True)
    told = {"model": {"architecture": architecture}, key: {"name": images}}
    (folder / place).write_text(json.dumps(told))
    return folder


@pytest.mark.parametrize("finished", [True, False])
def test_only_the_demos_stores_are_removed(tmp_path: Path, finished: bool) -> None:
    mine = made(tmp_path / "mine", "demo", "demo world", finished=finished)
    commands._remove_store(mine)
    assert not list(mine.iterdir())
    for architecture, images in (("RN50x16", "imagenet-val"), ("demo", "holiday")):
        other = made(tmp_path / images, architecture, images, finished=finished)
        before = sorted(other.rglob("*"))
        with pytest.raises(InputError, match="not known to be the demo's; choose another folder"):
            commands._remove_store(other)
        assert sorted(other.rglob("*")) == before


@pytest.mark.parametrize("manifest", [None, "", "[]", '{"model": {"architecture": "demo"}}'])
def test_a_store_that_does_not_tell_is_kept(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / VOCABULARY).touch()
    if manifest is not None:
        (tmp_path / MANIFEST).write_text(manifest)
    with pytest.raises(InputError, match="not known to be the demo's"):
        commands._remove_store(tmp_path)
    assert (tmp_path / VOCABULARY).exists()


def test_what_is_no_store_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    commands._remove_store(tmp_path)
    assert (tmp_path / "thesis.tex").exists()


def test_a_store_that_another_process_makes_is_kept(tmp_path: Path) -> None:
    mine = made(tmp_path / "mine", "demo", "demo world", finished=False)
    with (
        Scratch(mine / SCRATCH).held(),
        pytest.raises(InputError, match="another process is at work"),
    ):
        commands._remove_store(mine)
    assert (mine / VOCABULARY).exists()


def test_a_removal_that_is_interrupted_can_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = made(tmp_path / "mine", "demo", "demo world", finished=True)

    def refuse(scratch: Scratch) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(Scratch, "remove", refuse)
        with pytest.raises(InputError, match="cannot be removed: Permission denied"):
            commands._remove_store(mine)
    commands._remove_store(mine)
    assert not list(mine.iterdir())


def test_the_command_refuses_another_models_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "run", pytest.fail)
    other = made(tmp_path / "other", "RN50x16", "imagenet-val", finished=True)
    with pytest.raises(InputError, match="not known to be the demo's"):
        commands.demo(store=other, data=tmp_path / "data", device="cpu")
    assert (other / MANIFEST).exists()


def test_template_sets() -> None:
    assert len(commands._templates(None, demo_words=False)) == 80
    few = commands._templates("few", demo_words=False)
    assert len(few) == 7
    assert set(few) <= set(commands._templates("imagenet", demo_words=False))
    assert commands._templates("plain", demo_words=True) == ["{}"]
    with pytest.raises(InputError, match="imagenet, few, plain"):
        commands._templates("none", demo_words=True)
