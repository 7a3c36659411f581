"""segment, attribute and ablate as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from backend.cli import CommandError
from precompute.application import app
from tests.lab.conftest import Place, picture

Run = Callable[..., Result]


@pytest.fixture
def run(place: Place, tmp_path: Path) -> Run:
    """A command in a folder with two pictures, one too long, and a file that is none."""
    for number in range(2):
        picture(90, 70, number).save(tmp_path / f"{number}.png")
    picture(3000, 3, 2).save(tmp_path / "long.png")
    (tmp_path / "text.png").write_text("no picture")

    def command(*arguments: object) -> Result:
        told = [str(tmp_path / part) if str(part).endswith(".png") else str(part)
                for part in arguments]  # fmt: skip
        own = ["--store", str(place.store), "--checkpoint", str(place.checkpoint)]
        return CliRunner().invoke(app, [*told, *own, "--device", "cpu"])

    return command


def told(result: Result) -> object:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_mask_holds_the_places_of_prompts_and_its_areas_are_told(
    run: Run, tmp_path: Path
) -> None:
    arguments = ["segment", "0.png", "--prompt", "cat", "--prompt", "dog", "--out", "mask.png"]
    (one,) = told(run(*arguments, "--background", "none", "--json"))  # type: ignore[misc]
    with Image.open(tmp_path / "mask.png") as mask:
        assert mask.mode == "P"
        pixels = np.asarray(mask)
    assert pixels.shape == (70, 90)
    shares = [float((pixels == place).mean()) for place in range(2)]
    assert [kind["area_share"] for kind in one["classes"]] == pytest.approx(shares, abs=1e-9)
    assert one["background_share"] == 0
    assert (one["width"], one["height"]) == (90, 70)
    shown = run(*arguments, "--method", "selfself", "--view", "whole", "--shorter-side", 64)
    assert shown.exit_code == 0, shown.output
    assert "of its area" in shown.stdout


def test_many_pictures_go_into_a_folder(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    found = told(
        run("segment", "0.png", "1.png", "--prompt", "cat", "--out", folder, "--json",
            "--background", "prompts", "--background-prompt", "grass", "--mode", "official")
    )  # fmt: skip
    assert [Path(one["mask"]).name for one in found] == ["0.png", "1.png"]  # type: ignore[attr-defined]
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png"]


def test_parts_of_a_score_sum_to_it(run: Run) -> None:
    found = told(
        run("attribute", "0.png", "--text", "cat", "--against", "dog", "--top", 5, "--json")
    )
    assert isinstance(found, dict)
    assert len(found["pairs"]) == 5
    total = sum(pair["part"] for pair in found["pairs"]) + found["remainder"] + found["constant"]
    assert total == pytest.approx(found["score"], abs=1e-9)
    for units in ("heads", "neurons"):
        parts = [unit["part"] for unit in found[units]["parts"]]
        rest = found[units]["remainder"] + found["constant"]
        assert sum(parts) + rest == pytest.approx(found["score"], abs=1e-9)
    places = found["places"]
    total = np.sum(places["cells"]) + places["position"] + places["constant"]
    assert total == pytest.approx(found["score"], abs=1e-6)
    assert found["token"] is None
    shown = run("attribute", "0.png", "--text", "cat", "--baseline", "mean", "--top", 3)
    assert shown.exit_code == 0, shown.output
    assert "attention is held fixed" in shown.stdout


def test_the_part_of_a_place_is_told_by_pairs(run: Run) -> None:
    asked = ["attribute", "0.png", "--text", "cat", "--token", "1,2", "--top", 4]
    found = told(run(*asked, "--json"))
    assert isinstance(found, dict)
    token = found["token"]
    assert (token["row"], token["column"], len(token["pairs"])) == (1, 2, 4)
    assert token["part"] == pytest.approx(found["places"]["cells"][1][2], abs=1e-9)
    total = sum(pair["part"] for pair in token["pairs"]) + token["remainder"]
    assert total == pytest.approx(token["part"], abs=1e-9)
    shown = run(*asked)
    assert shown.exit_code == 0, shown.output
    assert "from row 1, column 2" in " ".join(shown.stdout.split())
    assert f"{token['part']:+.5f}" in shown.stdout


def test_ablation_tells_before_and_after(run: Run, tmp_path: Path) -> None:
    arguments = ["ablate", "0.png", "--prompt", "cat", "--prompt", "dog", "--off", "3.1",
                 "--off", "head:2", "--scale", "neuron:5=0.5"]  # fmt: skip
    found = told(run(*arguments, "--out", "mask.png", "--json"))
    assert isinstance(found, dict)
    assert found["norm"]["before"] != found["norm"]["after"]
    assert {one["before"]["rank"] for one in found["prompts"]} == {1, 2}
    with Image.open(tmp_path / "mask.png") as mask:
        pixels = np.asarray(mask)
    shares = [float((pixels == place).mean()) for place in range(2)]
    areas = [one["after"]["area_share"] for one in found["prompts"]]
    assert areas == pytest.approx(shares, abs=1e-9)
    shown = run(*arguments)
    assert shown.exit_code == 0, shown.output
    assert "attention is held fixed" in " ".join(shown.stdout.split())


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("segment none.png --prompt cat --out x.png", "none.png does not exist"),
        ("segment text.png --prompt cat --out x.png", "not an image that can be read"),
        ("segment 0.png long.png --prompt cat --out masks", "long.png: a picture of 3000 x 3"),
        ("segment 0.png --prompt cat --out no/x.png", "does not exist"),
        ("segment 0.png 0.png --prompt cat --out masks", "several pictures are named '0'"),
        ("segment 0.png --prompt cat --out x.png --share 2", "share must be above 0"),
        ("segment 0.png --prompt a --out x.png --centring classes", "at least 3 prompts"),
        ("segment 0.png --prompt a --out x.png --background prompts", "needs background prompts"),
        ("attribute 0.png --text cat --top -1", "--top must be 0 or more"),
        ("attribute 0.png --text cat --token 3", "--token is ROW,COLUMN"),
        ("attribute 0.png --text cat --token 0,99", "no cell in row 0, column 99"),
        ("ablate 0.png --prompt cat", "say what changes"),
        ("ablate 0.png --prompt cat --off 3", "no part of a model"),
        ("ablate 0.png --prompt cat --off head:999", "there is no head 999"),
        ("ablate 0.png --prompt cat --scale 3.1", "a part and a factor"),
        ("ablate 0.png --prompt cat --scale 3.1=nan", "a part and a factor"),
    ],
)
def test_what_can_be_mended_is_one_sentence(
    run: Run, command: str, sentence: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    refused = run(*command.split())
    assert isinstance(refused.exception, CommandError)
    assert sentence in str(refused.exception)
