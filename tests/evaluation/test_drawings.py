"""Other artists' drawings: found by code points, put on tiles like the atlas's, and counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from precompute.application import app
from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.build_atlas import EXTENT, TILE
from precompute.demo_world.drawings import MEASURED, art_of, read_drawings
from precompute.errors import InputError
from precompute.evaluation import commands, report
from precompute.evaluation.drawings import drawings

SIZE, COUNT = 64, 20
PLACES = (3, 40, 77, 200, 378)


def code_points(place: int, *, upper: bool = False, variant: bool = False) -> str:
    points = [f"{ord(letter):x}" for letter in load_atlas().concepts[place].emoji]
    points = [point for point in points if point != "fe0f"] + ["fe0f"] * variant
    return "-".join(points).upper() if upper else "-".join(points)


def colour(place: int) -> tuple[int, int, int]:
    return (37 * place % 256, 91 * place % 256, 200)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A square of its own colour for each of five concepts, under every kind of name."""
    path = tmp_path / "squares"
    path.mkdir()
    for number, place in enumerate(PLACES):
        picture = Image.new("RGBA", (60, 50))
        picture.paste((*colour(place), 255), (10, 10, 40, 40))
        name = code_points(place, upper=number % 2 == 0, variant=number % 3 == 0)
        picture.save(path / f"{name}.png")
    picture.save(path / "1f1e9-1f1ea.png")  # a flag: no concept
    (path / "notes.txt").write_text("not a drawing")
    return path


class Looker:
    """A stand-in for a model: takes a picture for the concept whose colour is nearest its middle.

    With the atlas's own drawings it is wrong, as it knows squares alone.
    """

    image_size = SIZE

    def embed_texts(self, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
        assert len(templates) > 1
        return torch.eye(len(texts))

    def preprocess_batch(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(images).float()

    def encode_images(self, images: Tensor) -> Tensor:
        answers = torch.zeros(len(images), len(load_atlas().concepts))
        for answer, image in zip(answers, images, strict=True):
            flat = image.flatten(0, 1)
            for place in PLACES:
                near = (flat - torch.tensor(colour(place)).float()).abs().amax(dim=1) < 8
                answer[place] = near.float().sum()
        return answers


def test_drawings_are_found_by_code_points_and_fill_their_tiles(folder: Path) -> None:
    places, atlas = read_drawings(folder)
    assert places == sorted(PLACES)
    assert [concept.name for concept in atlas.concepts] == [
        load_atlas().concepts[place].name for place in places
    ]
    assert (atlas.tile, atlas.extent) == (TILE, EXTENT)
    for place, tile in zip(places, atlas.levels[0], strict=True):
        seen = tile[3] > 127
        assert int(seen.sum()) == EXTENT**2
        assert tuple(tile[:3, TILE // 2, TILE // 2].tolist()) == colour(place)


def test_the_atlass_own_drawings_come_back_unchanged(tmp_path: Path) -> None:
    own = load_atlas()
    for place in PLACES:
        premultiplied = own.levels[0][place].permute(1, 2, 0).numpy()
        tile = Image.frombytes("RGBa", (TILE, TILE), premultiplied.tobytes()).convert("RGBA")
        tile.save(tmp_path / f"{code_points(place)}.png")
    places, atlas = read_drawings(tmp_path)
    difference = atlas.levels[0].int() - own.levels[0][places].int()
    assert float(difference.abs().float().mean()) < 1


def test_the_artists_scenes_are_counted_and_compared_with_the_same_of_ones_own(
    folder: Path,
) -> None:
    metrics = drawings(Looker(), seed=0, count=COUNT, folder=folder)  # type: ignore[arg-type]
    assert metrics["top1"] == metrics["top5"] == 1.0
    assert metrics["own_top1"] < 0.5
    assert metrics["concepts"] == len(PLACES)


def test_vector_drawings_are_rendered(tmp_path: Path) -> None:
    square = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path fill="#f00" d="{}"/>'
    (tmp_path / f"{code_points(3)}.svg").write_text(square.format("M3 3h3v3h-3z") + "</svg>")
    places, atlas = read_drawings(tmp_path)
    assert places == [3]
    assert atlas.levels[0][0, :, TILE // 2, TILE // 2].tolist() == [255, 0, 0, 255]


def test_an_iconify_set_is_read_by_the_characters_it_gives(tmp_path: Path) -> None:
    square = '<path fill="#00f" d="M{0} {0}h4v4h-4z"/>'
    icons = {
        "third": {"body": square.format(12)},
        "fortieth": {"body": square.format(2), "width": 8, "height": 8, "left": 0, "top": 0},
        "none": {"body": square.format(1)},
    }
    characters = {
        code_points(3, upper=True, variant=True): "third",
        code_points(40): "fortieth",
        code_points(77): "an alias",
    }
    told = {"prefix": "squares", "icons": icons, "width": 16, "height": 16, "left": 10, "top": 10}
    (tmp_path / "icons.json").write_text(json.dumps(told))
    (tmp_path / "chars.json").write_text(json.dumps(characters))
    places, atlas = read_drawings(tmp_path)
    assert places == [3, 40]
    assert atlas.levels[0][:, :, TILE // 2, TILE // 2].tolist() == [[0, 0, 255, 255]] * 2


def test_an_iconify_set_without_characters_is_read_by_its_names(tmp_path: Path) -> None:
    body = '<path fill="#00f" d="M2 2h4v4h-4z"/>'
    concepts = load_atlas().concepts
    ours = concepts[40].name.replace(" ", "-")
    icons = {name: {"body": body} for name in ("snowman-without-snow", ours, "no-concept")}
    (tmp_path / "icons.json").write_text(json.dumps({"icons": icons}))
    (tmp_path / "chars.json").write_text("{}")
    snowman = next(
        i for i, concept in enumerate(concepts) if concept.emoji[0] == "\N{SNOWMAN WITHOUT SNOW}"
    )
    places, _ = read_drawings(tmp_path)
    assert places == [40, snowman]


@pytest.mark.parametrize("content", ["no json", "[]", '{"icons": {"a": {}}}'])
def test_broken_icon_sets_are_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "icons.json").write_text(content)
    (tmp_path / "chars.json").write_text(json.dumps({code_points(3): "a"}))
    with pytest.raises(ValueError, match="does not hold an Iconify icon set"):
        read_drawings(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nothing.png", b"", "no drawing named by the code points or the name of a concept"),
        ("{}.png", b"no picture", "cannot be read"),
        ("{}.svg", b"<svg>\xff", "cannot be read"),
    ],
)
def test_folders_that_cannot_be_used_are_refused_in_a_sentence(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name.format(code_points(3))).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_drawings(tmp_path)
    with pytest.raises(ValueError, match="not a folder"):
        read_drawings(tmp_path / "missing")


def test_an_art_is_known_by_its_package(folder: Path) -> None:
    assert art_of(folder) is None
    told = {"name": MEASURED[1].package, "version": "99.1.0"}
    (folder.parent / "package.json").write_text(json.dumps(told))
    art = art_of(folder)
    assert art is not None
    assert (art.name, art.version, art.licence) == (MEASURED[1].name, "99.1.0", MEASURED[1].licence)
    assert "99.1.0" in art.fetch


def test_the_command_measures_folders_and_names_their_art_in_the_card(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = tmp_path / "card.md"
    card.write_text("<!-- figures: drawings -->\n<!-- end: drawings -->\n")
    monkeypatch.setattr(commands, "CARD", card)
    monkeypatch.setattr(report, "load_model", lambda name, device: Looker())
    arguments = ["evaluate", "drawings", "--drawings", str(folder), "--count", str(COUNT)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert list(told) == ["task", "model", "dataset", "seed", "count", "metrics"]
    assert told["dataset"] == "squares"
    assert told["metrics"]["top1"] == 1.0
    unnamed = CliRunner().invoke(app, [*arguments, "--write-card"])
    assert isinstance(unnamed.exception, InputError)
    assert "licence" in str(unnamed.exception)
    (folder / "package.json").write_text(
        json.dumps({"name": MEASURED[0].package, "version": "1.2.3"})
    )
    written = CliRunner().invoke(app, [*arguments, "--write-card"])
    assert written.exit_code == 0, written.output
    assert "| top1 | 1.000 |" in card.read_text()
    assert MEASURED[0].licence in card.read_text()
    assert f"{MEASURED[0].package}@1.2.3" in card.read_text()


@pytest.mark.parametrize("arguments", [["drawings"], ["classification", "--drawings", "."]])
def test_folders_belong_to_the_task_that_needs_them(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert isinstance(result.exception, InputError)
    assert "--drawings DIR" in str(result.exception)
