from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.clip import ClipResNet
from tests.precompute.tiny_clip import tiny_clip

PATCHES = 21


@pytest.fixture(scope="session")
def tiny() -> ClipResNet:
    return tiny_clip()


@pytest.fixture(scope="session")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 21 images of coloured patches, two of them torn, the first among them."""
    folder = tmp_path_factory.mktemp("patches")
    random = np.random.default_rng(0)
    for number in range(PATCHES):
        colours = random.integers(0, 256, (4, 3, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((64, 70)).save(folder / f"{number:02}.png")
    for torn in (0, 7):
        (folder / f"{torn:02}.png").write_bytes(b"no picture")
    return folder
