"""Images to begin with: chosen without a model, and yet words tell what is in them."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from backend.server.open_store import OpenStore
from backend.server.samples import SAMPLES, departures
from backend.store import open_store
from precompute.commands import DEMO_SEED
from precompute.demo_world.atlas import load_atlas
from precompute.demo_world.scenes import generate_scene
from tests.server.tiny_store import IMAGES, write_store


@pytest.fixture(scope="module")
def opened(store: Path) -> OpenStore:
    return OpenStore(open_store(store))


def test_departures_are_the_sum_over_kept_values(store: Path) -> None:
    opened = OpenStore(open_store(store))
    # The small store's figures are made up, and give an image two values: here each has one.
    bottom = (opened.store.statistics["top_images"] + IMAGES // 2) % IMAGES
    bottom[(bottom[..., None] == opened.store.statistics["top_images"][..., None, :]).any(-1)] = -1
    opened.store.statistics = {**opened.store.statistics, "bottom_images": bottom}
    factors, statistics = opened.store.factors, opened.store.statistics
    vectors = np.einsum("hod,hdn->hno", factors["output"], factors["value"], dtype=np.float64)
    images = [3, 0, 7]
    expected = np.zeros((len(images), vectors.shape[-1]))
    for row, image in enumerate(images):
        for head, neuron in np.ndindex(statistics["mean"].shape):
            known = {
                int(number): float(value)
                for end in ("top", "bottom")
                for number, value in zip(
                    statistics[f"{end}_images"][head, neuron],
                    statistics[f"{end}_values"][head, neuron],
                    strict=True,
                )
            }
            if image in known:
                raw = statistics["sign"][head, neuron] * known[image]
                expected[row] += (raw - statistics["mean"][head, neuron]) * vectors[head, neuron]
    ((block, found),) = departures(opened, images)
    assert list(block) == images
    torch.testing.assert_close(found.double(), torch.from_numpy(expected), rtol=1e-3, atol=1e-3)


def test_words_of_the_demos_samples_name_what_is_in_them(demo_store: Path) -> None:
    concepts = {concept.name: concept for concept in load_atlas().concepts}
    samples = OpenStore(open_store(demo_store)).samples
    assert len(samples) == SAMPLES
    words = [word for sample in samples for word in sample.words]
    assert len({part for word in words for part in word.split()}) == sum(
        len(word.split()) for word in words
    )
    for sample in samples:
        scene = generate_scene(DEMO_SEED, sample.image, size=64)
        shown = {
            name
            for item in scene.objects
            for name in (item.concept, *concepts[item.concept].keywords)
        }
        assert shown & set(sample.words), (sample, scene.caption)


@pytest.mark.parametrize("address", ["/demo/lab", "/demo/search/picture"])
def test_samples_are_told_by_their_words(
    client: TestClient, opened: OpenStore, address: str
) -> None:
    text = html.unescape(client.get(address, headers={"Accept": "text/html"}).text)
    told = re.findall(r'data-sample="(\d+)"><img [^>]*alt="Image \1: ([^\n]+?)" width', text)
    assert told == [(str(each.image), ", ".join(each.words)) for each in opened.samples]
    assert told


def test_without_pictures_there_are_no_samples(tmp_path: Path, checkpoint: Path) -> None:
    write_store(tmp_path / "store", checkpoint, exemplars=False)
    assert OpenStore(open_store(tmp_path / "store")).samples == []
