from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from open_clip import CLIP

from backend.clip.models import DEMO_FOLDER


@pytest.fixture(scope="session")
def small_clip() -> CLIP:
    """Random weights in the demo model's architecture."""
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    config.pop("preprocess_cfg")
    torch.manual_seed(0)
    return CLIP(**config).eval()


@pytest.fixture(scope="session")
def small_checkpoint(small_clip: CLIP, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.pt"
    torch.save(small_clip.state_dict(), path)
    return path
