"""Directions in words on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from backend.store import open_store
from precompute.application import app
from precompute.errors import InputError


def run(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_pairs_words_are_the_stored_ones(demo_store: Path) -> None:
    store = open_store(demo_store)
    (found,) = json.loads(run(demo_store, "--pair", "30.2", "--json"))
    ids = store.explanations["word_ids"][2, 30]
    assert [word["word"] for word in found["words"]] == [store.vocabulary[i] for i in ids]
    np.testing.assert_allclose(
        [word["weight"] for word in found["words"]],
        store.explanations["weights"][2, 30],
        atol=1e-4,
    )
    cosines = [step["cosine"] for step in found["reached"]]
    np.testing.assert_allclose(cosines, store.explanations["cosine"][2, 30], atol=1e-5)
    assert cosines[-1] > found["reached"][-1]["random"]


def test_neurons_heads_and_directions_of_ones_own(demo_store: Path, tmp_path: Path) -> None:
    store = open_store(demo_store)
    word = np.array(store.vocabulary_embeddings[7]) - np.mean(store.vocabulary_embeddings, axis=0)
    np.save(tmp_path / "one.npy", 3 * word)
    save_file({"both": np.stack([word, -word])}, tmp_path / "two.safetensors")
    (one,) = json.loads(run(demo_store, "--directions", tmp_path / "one.npy", "--json"))
    assert one["words"][0]["word"] == store.vocabulary[7]
    assert one["words"][0]["weight"] == pytest.approx(1, abs=1e-4)
    same, against = json.loads(
        run(demo_store, "--directions", tmp_path / "two.safetensors", "--json", "--atoms", 3)
    )
    assert (same["name"], against["name"]) == ("both[0]", "both[1]")
    assert against["words"][0]["weight"] == pytest.approx(-1, abs=1e-4)
    assert same["reached"][2] == {
        "words": 3, "cosine": pytest.approx(1, abs=1e-4), "random": None, "shuffled": None,
    }  # fmt: skip
    for kind, arrays in (("neuron", store.neurons), ("head", store.heads)):
        text = run(demo_store, f"--{kind}", 5)
        assert text.startswith(f"{kind} 5\n")
        assert store.vocabulary[arrays["word_ids"][5, 0]] in text
        assert "random directions" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give one of"),
        (["--pair", "1.2", "--head", "1"], "give one of"),
        (["--pair", "butterfly"], "as in 3.4"),
        (["--pair", "neuron:3"], "as in 3.4"),
        (["--pair", "1.99"], "heads are 0 to 15"),
        (["--neuron", "-1"], "neurons are 0 to 1023"),
        (["--head", "16"], "heads are 0 to 15"),
        (["--head", "1", "--atoms", "100000"], "--atoms must be between 1 and"),
        (["--directions", "none.npy"], "none.npy does not exist"),
        (["--directions", "words.txt"], "neither .npy nor .safetensors"),
        (["--directions", "torn.npy"], "cannot be read as directions"),
        (["--directions", "torn.safetensors"], "cannot be read as directions"),
        (["--directions", "pickled.npy"], "cannot be read as directions"),
        (["--directions", "narrow.npy"], "shape [3] and type float64"),
        (["--directions", "zero.npy"], "zero or not finite"),
    ],
)
def test_what_cannot_be_explained(
    demo_store: Path, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    width = open_store(demo_store).vocabulary_embeddings.shape[1]
    (tmp_path / "words.txt").write_text("butterfly")
    (tmp_path / "torn.npy").write_bytes(b"\x93NUMPY")
    (tmp_path / "torn.safetensors").write_bytes(b"\xff" * 20)
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    np.save(tmp_path / "narrow.npy", np.ones(3))
    np.save(tmp_path / "zero.npy", np.zeros(width))
    there = [str(tmp_path / a) if a.endswith((".npy", ".txt", "rs")) else a for a in arguments]
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, ["explain", str(demo_store), *there], catch_exceptions=False)
    assert sentence in str(caught.value)
