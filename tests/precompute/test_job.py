"""The whole offline job on a folder of pictures, against plain computations of the same numbers."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.linear_model import orthogonal_mp
from typer.testing import CliRunner

from backend.clip import ClipResNet, load_model
from backend.pairs.factors import head_directions
from backend.store import Store, open_store
from backend.store.format import BOTTOM_SHOWN, INDEX_ATOMS, MANIFEST, TOP_SHOWN
from backend.store.integrity import check_integrity
from precompute.application import app
from precompute.demo_world.scenes import scenes
from precompute.stages.explain import NULL_SAMPLES
from precompute.stages.pairs import inverse_index, sampled_directions

WORDS = [
    "cat", "dog", "pizza", "butterfly", "car", "tree", "red", "blue", "green", "striped",
    "a yellow bus", "guitar", "ball", "fish", "bird", "house",
]  # fmt: skip
IMAGES = 70
ATOMS = 8


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "images" / "below").mkdir(parents=True)
    for number, scene in enumerate(scenes(11, IMAGES, size=96)):
        place = folder / "images" / ("below" if number % 2 else ".") / f"{number:03}.png"
        Image.fromarray(scene.image).save(place)
    (folder / "images" / "below" / "broken.jpg").write_bytes(b"no picture")
    (folder / "images" / "notes.txt").write_text("not an image")
    (folder / "words.txt").write_text("\n".join(WORDS))
    return folder


def precompute(inputs: Path, out: Path, *more: str) -> str:
    arguments = ["precompute", "--model", "demo", "--images", str(inputs / "images")]
    arguments += ["--vocabulary", str(inputs / "words.txt"), "--templates", "plain"]
    arguments += ["--atoms", str(ATOMS), "--device", "cpu", "--out", str(out), *more]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.output)


@pytest.fixture(scope="module")
def store(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("stores") / "folder"
    assert "1 unreadable" in precompute(inputs, out)
    return open_store(out)


@pytest.fixture(scope="module")
def coefficients(inputs: Path) -> np.ndarray:
    """s of every picture, [image, head, neuron] in float64; NaN for the broken one."""
    model = load_model("demo", device="cpu")
    folder = inputs / "images"
    paths = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.suffix in (".png", ".jpg"))
    found = np.full((len(paths), model.factors.n_heads, model.factors.n_neurons), np.nan)
    for number, path in enumerate(paths):
        if path.suffix == ".png":
            pixels = model.preprocess(Image.open(folder / path))[None]
            found[number] = model.decompose(pixels).coefficients[0].numpy()
    return found


def test_manifest_tells_what_was_done(store: Store) -> None:
    manifest = store.manifest
    assert manifest.name == "demo"
    assert manifest.dataset.name == "images"
    assert manifest.dataset.images == IMAGES
    assert manifest.dataset.unreadable == ["below/broken.jpg"]
    assert manifest.templates == ["{}"]
    assert manifest.parameters["cosine_steps"] == [1, 2, 4, 8]
    assert store.vocabulary == WORDS
    assert check_integrity(store.path).ok


def test_statistics_equal_all_at_once(store: Store, coefficients: np.ndarray) -> None:
    deviation = np.nanstd(coefficients, axis=0)
    statistics = store.statistics
    assert int(statistics["count"]) == IMAGES
    mean = np.nanmean(coefficients, axis=0)
    assert (np.abs(statistics["mean"] - mean) <= 1e-5 * deviation + 1e-7 * np.abs(mean)).all()
    np.testing.assert_allclose(statistics["m2"], deviation**2 * IMAGES, rtol=1e-4)
    variance = statistics["neuron_covariance"].diagonal(axis1=1, axis2=2).T
    np.testing.assert_allclose(variance, deviation**2 * IMAGES / (IMAGES - 1), rtol=1e-4)
    assert (statistics["histogram"].sum(axis=-1) == IMAGES).all()


def test_sign_norm_and_images_follow_the_definition(store: Store, coefficients: np.ndarray) -> None:
    factors, statistics = store.factors, store.statistics
    random = np.random.default_rng(0)
    for _ in range(25):
        head, neuron = random.integers(store.n_heads), random.integers(store.n_neurons)
        column = coefficients[:, head, neuron]
        deviation = column - np.nanmean(column)
        chosen = np.argsort(-np.nan_to_num(np.abs(deviation), nan=-1), kind="stable")[:50]
        sign = 1 if (deviation[chosen] > 0).mean() >= 0.5 else -1
        assert statistics["sign"][head, neuron] == sign
        length = np.linalg.norm(factors["output"][head] @ factors["value"][head, :, neuron])
        norm = np.abs(deviation[chosen]).mean() * length
        np.testing.assert_allclose(statistics["norm"][head, neuron], norm, rtol=1e-4)
        oriented = sign * column
        top = statistics["top_images"][head, neuron]
        np.testing.assert_allclose(
            statistics["top_values"][head, neuron], np.sort(oriented[~np.isnan(column)])[::-1][:50],
            rtol=1e-4, atol=1e-6,
        )  # fmt: skip
        np.testing.assert_allclose(
            oriented[top], statistics["top_values"][head, neuron], rtol=1e-4, atol=1e-6
        )
    (broken,) = np.flatnonzero(np.isnan(coefficients[:, 0, 0]))
    assert broken not in statistics["top_images"]


def test_explanations_are_scikit_learns_and_oriented(store: Store) -> None:
    embeddings = np.array(store.vocabulary_embeddings, dtype=np.float64)
    dictionary = embeddings - embeddings.mean(axis=0)
    dictionary /= np.linalg.norm(dictionary, axis=1, keepdims=True)
    for head, neuron in ((0, 0), (7, 100), (15, 1023), (3, 512)):
        vector = store.factors["output"][head] @ store.factors["value"][head, :, neuron]
        direction = vector / np.linalg.norm(vector) * store.statistics["sign"][head, neuron]
        reference = orthogonal_mp(dictionary.T, direction.astype(np.float64), n_nonzero_coefs=ATOMS)
        ids = store.explanations["word_ids"][head, neuron]
        assert set(ids.tolist()) == set(np.flatnonzero(reference))
        weights = store.explanations["weights"][head, neuron]
        np.testing.assert_allclose(weights, reference[ids], rtol=1e-2, atol=1e-4)
        rebuilt = weights @ dictionary[ids]
        cosine = rebuilt @ direction / np.linalg.norm(rebuilt)
        np.testing.assert_allclose(
            store.explanations["cosine"][head, neuron, -1], cosine, atol=1e-4
        )


def test_maps_sum_to_the_values_but_for_the_position_term(store: Store) -> None:
    assert store.exemplars is not None
    model = load_model("demo", device="cpu")
    size = model.image_size // 32
    shown = store.statistics["top_images"][2, 30, :TOP_SHOWN]
    for image in shown:
        found = store.exemplars.heatmap(head=2, neuron=30, image=int(image))
        assert found is not None
        assert found.shape == (size, size)
        thumbnail = store.exemplars.thumbnail(int(image))
        assert thumbnail is not None
        with Image.open(io.BytesIO(thumbnail)) as picture:
            assert picture.format == "WEBP"
    assert store.statistics["bottom_images"].shape[-1] >= BOTTOM_SHOWN


def test_embeddings_are_those_that_the_pursuit_ran_on(store: Store) -> None:
    model = load_model("demo", device="cpu")
    expected = model.embed_texts(WORDS)
    found = torch.from_numpy(np.array(store.vocabulary_embeddings))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(F.normalize(found, dim=1), found)


def test_same_command_same_bytes(store: Store, inputs: Path, tmp_path: Path) -> None:
    precompute(inputs, tmp_path / "again")
    again = open_store(tmp_path / "again")
    assert again.manifest.files == store.manifest.files
    assert again.data_version == store.data_version


def test_without_exemplars(inputs: Path, tmp_path: Path) -> None:
    precompute(inputs, tmp_path / "bare", "--no-exemplars", "--name", "bare")
    bare = open_store(tmp_path / "bare")
    assert bare.exemplars is None
    assert bare.name == "bare"
    assert not (tmp_path / "bare" / "exemplars").exists()


def test_a_single_image_is_enough(inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (70, 50), "red").save(tmp_path / "images" / "one.png")
    (tmp_path / "words.txt").write_text("\n".join(WORDS))
    precompute(tmp_path, tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert (store.statistics["top_images"][..., 0] == 0).all()
    assert (store.statistics["top_images"][..., 1:] == -1).all()
    assert np.isnan(store.statistics["monosemanticity"]).all()
    assert (store.statistics["norm"] == 0).all()


def test_the_manifest_comes_last(store: Store) -> None:
    written = (store.path / MANIFEST).stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= written for path in store.path.rglob("*.safetensors"))


def readable(coefficients: np.ndarray) -> np.ndarray:
    return np.flatnonzero(~np.isnan(coefficients[:, 0, 0]))


def embeddings(store: Store, coefficients: np.ndarray) -> np.ndarray:
    """Of the readable images, through the factors."""
    values = np.einsum(
        "ihn,hdn->ihd", coefficients[readable(coefficients)], store.factors["value"], optimize=True
    )
    return np.einsum("hod,ihd->io", store.factors["output"], values) + store.factors["constant"]


def test_neurons_are_a_plain_svd_of_their_contributions(
    store: Store, coefficients: np.ndarray
) -> None:
    numbers, found = readable(coefficients), store.neurons
    for neuron in (3, 500, 1023):
        vectors = np.einsum(
            "hod,hd->ho", store.factors["output"], store.factors["value"][:, :, neuron]
        )
        contribution = coefficients[numbers][:, :, neuron] @ vectors
        centred = contribution - contribution.mean(axis=0)
        length = np.linalg.norm(centred, axis=1)
        kept = centred[np.argsort(-length, kind="stable")[:50]]
        _, singular, right = np.linalg.svd(kept, full_matrices=False)
        direction = found["direction"][neuron]
        assert abs(direction @ right[0]) == pytest.approx(1, abs=1e-4)
        assert (kept @ direction > 0).mean() >= 0.5
        np.testing.assert_allclose(found["components"][neuron, 0] @ vectors, direction, atol=1e-4)
        share = singular**2 / (singular**2).sum()
        np.testing.assert_allclose(found["variance_share"][neuron], share[:4], atol=1e-3)
        np.testing.assert_allclose(found["norm"][neuron], np.sort(length)[-50:].mean(), rtol=1e-3)
        values = contribution @ direction
        np.testing.assert_allclose(
            found["top_values"][neuron], np.sort(values)[::-1][:50], rtol=1e-3, atol=1e-3
        )
        assert found["top_images"][neuron, 0] == numbers[values.argmax()]
        assert found["bottom_images"][neuron, 0] == numbers[values.argmin()]


def test_heads_are_a_plain_svd_of_their_contributions(
    store: Store, coefficients: np.ndarray
) -> None:
    values = coefficients[readable(coefficients)][:, 5] @ store.factors["value"][5].T
    contribution = values @ store.factors["output"][5].T
    centred = contribution - contribution.mean(axis=0)
    kept = centred[np.argsort(-np.linalg.norm(centred, axis=1), kind="stable")[:50]]
    first = np.linalg.svd(kept, full_matrices=False)[2][0]
    assert abs(store.heads["direction"][5] @ first) == pytest.approx(1, abs=1e-4)


def test_held_out_scores_leave_the_pair_out(store: Store, coefficients: np.ndarray) -> None:
    whole, numbers = embeddings(store, coefficients), readable(coefficients)
    words = np.array(store.vocabulary_embeddings, dtype=np.float64)
    words -= words.mean(axis=0)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    for head, neuron in ((0, 0), (7, 100), (15, 1023)):
        vector = store.factors["output"][head] @ store.factors["value"][head, :, neuron]
        own = coefficients[numbers, head, neuron]
        left = whole - own[:, None] * vector
        left -= left.mean(axis=0)
        code = store.explanations
        rebuilt = code["weights"][head, neuron] @ words[code["word_ids"][head, neuron]]
        alike = left @ rebuilt / np.linalg.norm(left, axis=1)
        value = store.statistics["sign"][head, neuron] * own
        expected = np.corrcoef(value, alike)[0, 1]
        assert code["held_out"][head, neuron] == pytest.approx(expected, abs=1e-3)


def test_the_index_leads_back_to_the_words(store: Store) -> None:
    index, first = store.index, store.explanations["word_ids"][..., :INDEX_ATOMS]
    assert index["offsets"][-1] == len(index["pairs"]) == (first >= 0).sum()
    for word in (0, 7, 15):
        part = slice(index["offsets"][word], index["offsets"][word + 1])
        heads, neurons, _ = np.nonzero(first == word)
        assert sorted(index["pairs"][part].tolist()) == sorted(heads * store.n_neurons + neurons)
        assert (np.diff(np.abs(index["weights"][part])) <= 0).all()


def test_the_index_holds_weights_of_any_size() -> None:
    """Words that are nearly alike get weights beyond half precision's largest number."""
    explanations = {
        "word_ids": np.array([[[1, 0], [0, -1]]], dtype=np.int16),
        "weights": np.array([[[-9e4, 1e5], [0.5, 0.0]]], dtype=np.float32),
    }
    index = inverse_index(explanations, words=3)
    assert index["offsets"].tolist() == [0, 2, 3, 3]
    assert index["pairs"].tolist() == [0, 1, 0]
    assert index["weights"].tolist() == [1e5, 0.5, -9e4]


def test_directions_behind_the_shuffled_null_are_pairs(tiny: ClipResNet) -> None:
    found = sampled_directions(tiny.factors)
    pairs = torch.cat([head_directions(tiny.factors, head=h) for h in range(tiny.factors.n_heads)])
    torch.testing.assert_close((found @ pairs.T).amax(dim=1), torch.ones(NULL_SAMPLES))


def test_nulls_reach_less_than_pairs_and_never_fall(store: Store) -> None:
    for name in ("random_cosine", "shuffled_cosine"):
        cosine = store.nulls[name]
        assert cosine.shape[1] == len(store.manifest.parameters["cosine_steps"])
        assert (np.diff(cosine, axis=1) >= 0).all()
        assert ((cosine > 0) & (cosine <= 1)).all()
    pairs = np.array(store.explanations["cosine"]).mean(axis=(0, 1))
    assert store.nulls["random_cosine"].mean(axis=0)[0] < pairs[0]


def test_neighbours_are_the_nearest(store: Store) -> None:
    sign, factors = store.statistics["sign"], store.factors
    vectors = np.concatenate(
        [
            (factors["output"][head] @ factors["value"][head]).T * sign[head][:, None]
            for head in range(store.n_heads)
        ]
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tops = [set(row) for row in np.array(store.statistics["top_images"]).reshape(len(vectors), -1)]
    for pair in (0, 5000, len(vectors) - 1):
        head, neuron = divmod(pair, store.n_neurons)
        cosines = vectors @ vectors[pair]
        cosines[pair] = -2
        near = store.neighbours["direction_ids"][head, neuron]
        np.testing.assert_allclose(cosines[near], np.sort(cosines)[::-1][:12], atol=1e-4)
        np.testing.assert_allclose(
            store.neighbours["direction_cosine"][head, neuron], cosines[near], atol=1e-3
        )
        shared = np.array([len(tops[pair] & other) for other in tops])
        shared[pair] = -1
        active = store.neighbours["coactivation_ids"][head, neuron]
        assert active.tolist() == np.argsort(-shared, kind="stable")[:12].tolist()
        np.testing.assert_allclose(
            store.neighbours["coactivation_jaccard"][head, neuron],
            shared[active] / (100 - shared[active]), atol=1e-3,
        )  # fmt: skip


def test_near_on_the_map_is_near_in_direction(store: Store) -> None:
    position = np.array(store.map["position"])
    assert np.abs(position).max() <= 1
    ids = np.array(store.neighbours["direction_ids"])
    flat = position.reshape(-1, 2)
    to_nearest = np.linalg.norm(flat[ids[..., 0].ravel()] - flat, axis=1)
    to_any = np.linalg.norm(flat[np.random.default_rng(0).permutation(len(flat))] - flat, axis=1)
    assert np.median(to_nearest) < 0.2 * np.median(to_any)
    cluster = np.array(store.map["cluster"])
    assert cluster.min() >= 0
    assert cluster.max() < len(store.map["cluster_word"]) == len(store.map["cluster_position"])
