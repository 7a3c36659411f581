"""Windows, background and mask on a model with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from backend.clip import ClipResNet, load_model
from backend.clip.segmentation import (
    CELL,
    MAX_WINDOWS,
    SCALE,
    Segmenter,
    _corners,
    _labels,
    _working_size,
)
from backend.pairs.segmentation import PAPER_SHARE, head_heatmaps, pair_logits, top_pairs
from backend.pairs.similarity import centre, pair_similarity


@pytest.fixture(scope="module")
def model(small_checkpoint: Path) -> ClipResNet:
    return load_model("demo", checkpoint=small_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def segmenter(model: ClipResNet) -> Segmenter:
    vocabulary = model.embed_texts([f"word {number}" for number in range(60)])
    sign = torch.ones(model.factors.n_heads, model.factors.n_neurons)
    return Segmenter(model, templates=["{}"], vocabulary=vocabulary, sign=sign)


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(1, 1), (37, 90), (300, 200), (256, 256), (700, 20)])
def test_masks_have_the_pictures_size_and_only_known_values(
    segmenter: Segmenter, size: tuple[int, int]
) -> None:
    found = segmenter.segment(noise(*size), ["word 1", "something else"])
    assert found.mask.shape == size[::-1]
    assert found.mask.dtype == np.uint8
    assert set(np.unique(found.mask)) <= {0, 1, 255}
    assert found.logits.shape[0] == len(found.texts.trained) == 2
    everything = segmenter.segment(noise(*size), ["word 1"], background=False)
    assert (everything.mask == 0).all()


def test_one_window_is_the_formula_on_the_whole_picture(
    model: ClipResNet, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.clip.segmentation.SCALE", 1.0)
    side = model.image_size
    picture = noise(side, side)
    prompts = ["word 3", "a cat"]
    found = segmenter.segment(picture, prompts, background=False)

    words = model.embed_texts([f"word {number}" for number in range(60)])
    texts = centre(model.embed_texts(prompts), words.mean(dim=0))
    features = model.feature_map(model.preprocess(picture)[None])
    tokens = model.tokens(features)[:, 1:]
    heat = head_heatmaps(tokens, texts, model.factors)
    dense = torch.einsum("hod,hdn->hno", model.factors.output, model.factors.value)
    scale = 1 / dense.norm(dim=-1)
    mask = top_pairs(pair_similarity(texts, model.factors, scale), share=PAPER_SHARE)
    logits = pair_logits(features.flatten(2).transpose(1, 2), heat, mask)[0].T
    expected = logits.reshape(2, side // CELL, side // CELL).numpy()
    np.testing.assert_allclose(found.logits, expected, rtol=1e-3, atol=1e-4 * np.ptp(expected))


def test_windows_cover_every_cell_and_stay_inside() -> None:
    for width, height in ((256, 256), (288, 640), (1024, 320)):
        seen = np.zeros((height, width), dtype=int)
        for top, left in _corners(width, height, 256):
            assert top % CELL == left % CELL == 0
            assert seen[top : top + 256, left : left + 256].shape == (256, 256)
            seen[top : top + 256, left : left + 256] += 1
        assert seen.min() >= 1


def test_working_sizes_are_bounded() -> None:
    assert _working_size((400, 300), 256) == (512, round(256 * SCALE))
    for size in ((10_000, 200), (1, 50), (40_000_000 // 900, 900)):
        width, height = _working_size(size, 224)
        assert len(_corners(width, height, 224)) <= MAX_WINDOWS
    with pytest.raises(ValueError, match="too elongated"):
        _working_size((10_000, 10), 224)


def test_labels_take_the_largest_upsampled_logit() -> None:
    logits = torch.randn(3, 4, 5)
    found = _labels(logits, height=37, width=61, background=True)
    dense = F.interpolate(logits[None], size=(37, 61), mode="bilinear", align_corners=False)[0]
    best, place = dense.max(dim=0)
    expected = torch.where(best > 0, place, 255).to(torch.uint8)
    assert torch.equal(found, expected)


def test_masks_of_large_pictures_are_decided_on_fewer_pixels() -> None:
    logits = torch.randn(2, 6, 9)
    found = _labels(logits, height=2000, width=3000, background=True)
    small = _labels(logits, height=round(2000 * 2048 / 3000), width=2048, background=True)
    assert found.shape == (2000, 3000)
    assert found[0, 0] == small[0, 0]
    assert found[-1, -1] == small[-1, -1]
    for label in (0, 1, 255):
        share = float((found == label).float().mean())
        assert share == pytest.approx(float((small == label).float().mean()), abs=2e-3)


def test_prompts_are_needed_and_counted(segmenter: Segmenter) -> None:
    for prompts in ([], ["x"] * 255):
        with pytest.raises(ValueError, match="between 1 and 254 prompts"):
            segmenter.segment(noise(40, 40), prompts)
