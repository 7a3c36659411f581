"""The exactness report: right for a right store, and each check fails for what it guards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip import CLIP
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from backend.clip import ClipResNet, ModelError, load_model
from backend.clip.models import DEMO_FOLDER
from backend.store import Store, open_store
from backend.store.format import (
    EMBEDDINGS,
    EXPLANATIONS,
    FACTORS,
    INDEX,
    NEIGHBOURS,
    NEURONS,
    STATISTICS,
)
from precompute.application import app
from precompute.datasets import ImageSet, open_images
from precompute.demo_world.scenes import scenes
from precompute.verification.derived import index_checks, neighbour_checks
from precompute.verification.orientation import orientation_checks
from precompute.verification.passes import Passes, factor_check, line_checks, sum_checks
from precompute.verification.pursuit import largest_lead, pursuit_checks
from precompute.verification.reference import reference_model
from precompute.verification.report import Check
from precompute.verification.statistics import (
    Recomputed,
    listed_images,
    recompute,
    statistics_checks,
    value_check,
)
from precompute.verification.units import neuron_checks

WORDS = ["cat", "dog", "pizza", "butterfly", "car", "tree", "red", "blue", "green", "ball"]
IMAGES = 60  # more than a list has ranks, fewer than two lists have together


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    (folder / "images").mkdir()
    for number, scene in enumerate(scenes(3, IMAGES, size=64)):
        Image.fromarray(scene.image).save(folder / "images" / f"{number:02}.png")
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    (folder / "words.txt").write_text("\n".join(WORDS))
    arguments = [
        "precompute",
        "--model",
        "demo",
        "--images",
        str(folder / "images"),
        "--atoms",
        "4",
    ]
    arguments += ["--vocabulary", str(folder / "words.txt"), "--templates", "plain", "--quiet"]
    arguments += ["--no-exemplars", "--device", "cpu", "--out", str(folder / "store")]
    made = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return open_store(folder / "store")


@pytest.fixture(scope="module")
def model() -> ClipResNet:
    return load_model("demo", device="cpu")


@pytest.fixture(scope="module")
def images(folder: Path) -> ImageSet:
    return open_images(str(folder / "images"))


@pytest.fixture(scope="module")
def passes(model: ClipResNet, images: ImageSet) -> Passes:
    reference = reference_model("demo", None, checkpoint=None, device=model.device)
    (block, *_) = images.blocks(model.preprocess, size=4)
    return Passes(block.pixels, model, reference)


@pytest.fixture(scope="module")
def again(store: Store, model: ClipResNet, images: ImageSet) -> Recomputed:
    return recompute(store, model, images)


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments), "--device", "cpu"])


def changed(store: Store, file: str, name: str, change: Callable[[np.ndarray], object]) -> Store:
    """The store with one array changed."""
    array = np.array(getattr(store, _ATTRIBUTES[file])[name])
    change(array)
    copy = open_store(store.path)
    setattr(copy, _ATTRIBUTES[file], {**getattr(copy, _ATTRIBUTES[file]), name: array})
    return copy


_ATTRIBUTES = {
    FACTORS: "factors",
    STATISTICS: "statistics",
    EXPLANATIONS: "explanations",
    NEURONS: "neurons",
    NEIGHBOURS: "neighbours",
    INDEX: "index",
}


def failing(checks: list[Check]) -> str:
    return "; ".join(check.name for check in checks if not check.ok)


def test_a_right_store_passes_with_its_images(folder: Path) -> None:
    result = verify(
        folder / "store", "--images", folder / "images", "--samples", 3, "--json", "--keep"
    )
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert report["left_out"] == []
    assert len(report["checks"]) >= 20
    kept = json.loads((folder / "store.exactness.json").read_text())
    assert {name: kept[name] for name in report} == report
    for check in report["checks"]:
        assert set(check) == {"check", "figure", "bound", "ok", "over"}
        assert check["ok"] is (check["figure"] <= check["bound"])


def test_without_its_images_the_statistics_are_left_out(folder: Path) -> None:
    result = verify(folder / "store", "--samples", 1)
    assert result.exit_code == 0, result.output
    assert "left out: statistics" in result.stdout
    assert "encode_image" in result.stdout
    assert "every figure is within its bound" in result.stdout


def test_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    del config["preprocess_cfg"]
    torch.manual_seed(1)
    weights = {name: value.contiguous() for name, value in CLIP(**config).state_dict().items()}
    save_file(weights, tmp_path / "other.safetensors")
    refused = verify(folder / "store", "--checkpoint", tmp_path / "other.safetensors")
    assert isinstance(refused.exception, ModelError)
    assert "not those that the store was made with" in str(refused.exception)


def test_a_damaged_file_makes_exit_code_one(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "store").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    data = bytearray((tmp_path / EMBEDDINGS).read_bytes())
    data[-1] ^= 1  # the last number's last bit of its exponent
    (tmp_path / EMBEDDINGS).write_bytes(data)
    result = verify(tmp_path, "--samples", 1)
    assert result.exit_code == 1
    assert "FAILS" in result.stdout
    assert "not right" in result.stdout


def test_passes_are_exact_and_other_factors_are_noticed(
    store: Store, model: ClipResNet, passes: Passes
) -> None:
    assert factor_check(store, model).figure == 0
    assert failing(sum_checks(store, passes)) == ""
    assert failing(line_checks(store, passes, samples=4)) == ""

    def tilt(value: np.ndarray) -> None:
        value[...] += 0.01 * np.roll(value, 1, axis=1)

    other = changed(store, FACTORS, "value", tilt)
    assert not factor_check(other, model).ok
    assert "of its length" in failing(sum_checks(other, passes))
    assert "cos(first principal component, D)" in failing(line_checks(other, passes, samples=4))


def test_words_are_scikit_learns_and_others_are_noticed(store: Store) -> None:
    assert failing(pursuit_checks(store, samples=6)) == ""

    def next_word(ids: np.ndarray) -> None:
        ids[..., 0] = (ids[..., 0] + 1) % len(WORDS)

    def longer(weights: np.ndarray) -> None:
        weights *= 1.01

    def falling(cosine: np.ndarray) -> None:
        cosine[..., -1] -= 0.5

    for name, change, said in (
        ("word_ids", next_word, "words are not scikit-learn's"),
        ("weights", longer, "weights"),
        ("cosine", falling, "fall of the cosine"),
    ):
        other = changed(store, EXPLANATIONS, name, change)
        assert said in failing(pursuit_checks(other, samples=6))


def test_a_tie_is_told_from_a_wrong_word() -> None:
    dictionary = np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    signal = np.array([0.6, 0.6 - 1e-8, 0.1])
    assert largest_lead(dictionary, signal, np.array([0, 1])) == 0
    assert 0 < largest_lead(dictionary, signal, np.array([1, 0])) < 1e-6
    assert largest_lead(dictionary, signal, np.array([2, 0])) == pytest.approx(0.5)


def test_orientation_is_the_definition_and_others_are_noticed(store: Store) -> None:
    checks = orientation_checks(store)
    assert failing(checks) == ""
    assert "0 undecided" in checks[0].over

    def larger(norm: np.ndarray) -> None:
        norm[1, 7] *= 1.001

    statistics = {name: np.array(array) for name, array in store.statistics.items()}
    mirrored = open_store(store.path)  # every pair consistently, but the other way round
    mirrored.statistics = {
        **statistics,
        "sign": -statistics["sign"],
        "top_values": -statistics["bottom_values"],
        "top_images": statistics["bottom_images"],
        "bottom_values": -statistics["top_values"],
        "bottom_images": statistics["top_images"],
    }
    assert failing(orientation_checks(mirrored)) == "pairs with another sign"
    assert "norm by definition" in failing(
        orientation_checks(changed(store, STATISTICS, "norm", larger))
    )


def test_statistics_are_float64s_and_others_are_noticed(store: Store, again: Recomputed) -> None:
    assert failing(statistics_checks(store, again)) == ""
    assert len(again.numbers) == IMAGES

    def shift(array: np.ndarray) -> None:
        array[0, 3] += np.abs(array[0, 3]).max() * 0.01 + 1e-3

    def more(array: np.ndarray) -> None:
        array += 1

    for name, change, said in (
        ("count", more, "images counted"),
        ("mean", shift, "stored mean"),
        ("m2", shift, "stored deviation"),
        ("neuron_covariance", shift, "covariance"),
        ("top_values", shift, "values"),
        ("monosemanticity", shift, "monosemanticity"),
        ("histogram", more, "histogram"),
    ):
        other = changed(store, STATISTICS, name, change)
        assert said in failing(statistics_checks(other, again)), name


def test_sampled_images_are_enough_to_notice_another_order(
    store: Store, model: ClipResNet, images: ImageSet
) -> None:
    numbers = listed_images(store, samples=5)
    assert numbers == sorted(set(numbers))
    again = recompute(store, model, images, numbers=numbers)
    check = value_check(store, again)
    assert check.ok
    assert f"{len(numbers)} images" in check.over

    def rolled(lists: np.ndarray) -> None:
        lists[...] = np.roll(lists, 1, axis=-1)

    assert not value_check(changed(store, STATISTICS, "top_images", rolled), again).ok


def test_neighbours_are_the_nearest_and_others_are_noticed(store: Store) -> None:
    assert failing(neighbour_checks(store, samples=4)) == ""

    def shifted(ids: np.ndarray) -> None:
        ids[...] = np.where(ids >= 0, (ids + 1) % (store.n_heads * store.n_neurons), ids)

    for name, said in (("direction_ids", "by direction"), ("coactivation_ids", "by images")):
        other = changed(store, NEIGHBOURS, name, shifted)
        assert said in failing(neighbour_checks(other, samples=4))


def test_the_index_leads_to_the_explanations_and_others_are_noticed(store: Store) -> None:
    assert failing(index_checks(store)) == ""

    def swapped(pairs: np.ndarray) -> None:
        pairs[:] = pairs[::-1].copy()

    def raised(weights: np.ndarray) -> None:
        weights[-1] += 1

    for name, change, said in (
        ("pairs", swapped, "entries"),
        ("weights", raised, "weights of the index"),
    ):
        assert said in failing(index_checks(changed(store, INDEX, name, change)))
    short = changed(store, INDEX, "pairs", lambda pairs: None)
    short.index = {**short.index, "pairs": short.index["pairs"][:-1]}
    assert "entries" in failing(index_checks(short))


def test_neurons_are_their_svd_and_others_are_noticed(store: Store, again: Recomputed) -> None:
    assert failing(neuron_checks(store, again, samples=4)) == ""

    def turned(direction: np.ndarray) -> None:
        direction[...] = np.roll(direction, 1, axis=1)

    other = changed(store, NEURONS, "direction", turned)
    assert "neuron's direction" in failing(neuron_checks(other, again, samples=4))


def test_a_figure_that_is_no_number_fails() -> None:
    check = Check("x", float("nan"), 1.0, "nothing")
    assert not check.ok
    assert json.loads(json.dumps(check.as_dict()))["figure"] is None
