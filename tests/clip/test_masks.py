"""Labels of pixels from logits of cells."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from backend.clip.masks import BACKGROUND, LOGIT_SCALE, label_pixels


def test_labels_take_the_largest_upsampled_logit() -> None:
    logits = torch.randn(3, 4, 5)
    found = label_pixels(logits, height=37, width=61, floor=0.0)
    dense = F.interpolate(logits[None], size=(37, 61), mode="bilinear", align_corners=False)[0]
    best, place = dense.max(dim=0)
    expected = torch.where(best > 0, place, BACKGROUND).to(torch.uint8)
    assert torch.equal(found, expected)
    assert torch.equal(label_pixels(logits, height=37, width=61), place.to(torch.uint8))


def test_texts_that_are_nowhere_above_the_floor_leave_the_places_of_others() -> None:
    logits = torch.randn(6, 4, 5)
    logits[[0, 2, 5]] = -logits[[0, 2, 5]].abs()
    dense = F.interpolate(logits[None], size=(37, 61), mode="bilinear", align_corners=False)[0]
    best, place = dense.max(dim=0)
    expected = torch.where(best > 0, place, BACKGROUND).to(torch.uint8)
    assert torch.equal(label_pixels(logits, height=37, width=61, floor=0.0), expected)
    assert (label_pixels(-logits.abs(), height=9, width=7, floor=0.0) == BACKGROUND).all()


def test_unsure_pixels_are_background() -> None:
    logits = torch.randn(3, 4, 5) / LOGIT_SCALE
    found = label_pixels(logits, height=37, width=61, least_probability=0.6)
    dense = F.interpolate(logits[None], size=(37, 61), mode="bilinear", align_corners=False)[0]
    probability, place = (LOGIT_SCALE * dense).softmax(dim=0).max(dim=0)
    expected = torch.where(probability >= 0.6, place, BACKGROUND).to(torch.uint8)
    assert 0 < (found == BACKGROUND).float().mean() < 1
    assert torch.equal(found, expected)


def test_masks_of_large_pictures_are_decided_on_fewer_pixels() -> None:
    logits = torch.randn(2, 6, 9)
    found = label_pixels(logits, height=2000, width=3000, floor=0.0)
    small = label_pixels(logits, height=round(2000 * 1024 / 3000), width=1024, floor=0.0)
    assert found.shape == (2000, 3000)
    assert found[0, 0] == small[0, 0]
    assert found[-1, -1] == small[-1, -1]
    for label in (0, 1, BACKGROUND):
        share = float((found == label).float().mean())
        assert share == pytest.approx(float((small == label).float().mean()), abs=4e-3)


def test_of_equal_logits_the_first_text_has_the_pixel() -> None:
    """However small the differences are; a logit that only equals the floor is background."""
    cells = torch.tensor([0.25, 0.25 + 2**-25, 0.25 + 2**-25, 0.0])
    logits = cells[:, None, None].expand(4, 3, 3)
    assert (label_pixels(logits, height=3, width=3) == 1).all()
    assert (label_pixels(logits[:1], height=3, width=3, floor=0.25) == BACKGROUND).all()
    assert (label_pixels(logits.flip(0), height=3, width=3, floor=0.2) == 1).all()
    many = torch.zeros(254, 2, 2)
    many[253] = 1e-30
    assert (label_pixels(many, height=300, width=400) == 253).all()
