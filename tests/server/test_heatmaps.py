"""Signed overlays: zero is transparent, colours keep their meaning, one scale for all."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from backend.server import heatmaps


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_opacity_is_value_over_scale() -> None:
    values = np.array([[1.0, -0.5], [0.0, 3.0]], np.float32)
    shown = pixels(heatmaps.heatmap_png(values, scale=2.0, size=(2, 2)))
    assert shown.shape == (2, 2, 4)
    assert shown[..., 3].tolist() == [[128, 64], [0, 255]]
    assert tuple(shown[0, 0, :3]) == heatmaps.POSITIVE
    assert tuple(shown[0, 1, :3]) == heatmaps.NEGATIVE


def test_cells_are_interpolated_and_cover_the_image() -> None:
    values = np.array([[0.0, 1.0]], np.float32)
    alpha = pixels(heatmaps.heatmap_png(values, scale=1.0, size=(100, 50)))[..., 3]
    assert alpha.shape == (50, 100)
    assert alpha[0, 0] == 0
    assert alpha[0, -1] == 255
    assert (np.diff(alpha[25].astype(int)) >= 0).all()
    assert abs(int(alpha[25, 50]) - 128) < 6


def test_nothing_to_show_is_transparent() -> None:
    for values in (np.zeros((3, 3)), np.full((3, 3), np.nan)):
        assert not pixels(heatmaps.heatmap_png(values, scale=0.0, size=(9, 9)))[..., 3].any()


def test_mask_keeps_size_and_values() -> None:
    mask = np.array([[0, 1, 255]], np.uint8).repeat(2, 0)
    image = Image.open(io.BytesIO(heatmaps.mask_png(mask, classes=2)))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image), mask)


def test_a_masks_indices_have_the_classes_colours() -> None:
    mask = np.array([[0, 1, 255]], np.uint8)
    with Image.open(io.BytesIO(heatmaps.mask_png(mask, classes=2))) as image:
        shown = np.asarray(image.convert("RGBA"))
    for place in range(2):
        assert tuple(shown[0, place]) == (*heatmaps.rgb(heatmaps.class_colour(place)), 255)
    assert shown[0, 2, 3] == 0


def test_overlay_has_the_classes_colours() -> None:
    mask = np.array([[0, 1, 255]], np.uint8)
    colours = [heatmaps.rgb(heatmaps.class_colour(place)) for place in range(2)]
    shown = pixels(heatmaps.overlay_png(mask, colours))
    assert tuple(shown[0, 0]) == (*colours[0], 255)
    assert tuple(shown[0, 1]) == (*colours[1], 255)
    assert shown[0, 2, 3] == 0


def test_twenty_prompts_have_twenty_colours() -> None:
    assert len({heatmaps.class_colour(place) for place in range(20)}) == 20
