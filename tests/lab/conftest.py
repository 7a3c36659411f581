"""A small store with a model of random weights, and a few pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.lab import Lab
from tests.server.tiny_store import write_checkpoint, write_store


@dataclass(frozen=True)
class Place:
    """Where a store and the weights that fit it lie."""

    store: Path
    checkpoint: Path


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("lab")
    write_checkpoint(folder / "random.safetensors")
    write_store(folder / "demo", folder / "random.safetensors")
    return Place(folder / "demo", folder / "random.safetensors")


@pytest.fixture(scope="session")
def lab(place: Place) -> Lab:
    return Lab.open(place.store, checkpoint=place.checkpoint, device="cpu")


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)
