"""Overlaps of masks with the truth, and the methods that are compared."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from backend.pairs.segmentation import Method, Mode
from precompute.evaluation.segmentation import READINGS, Overlap


def test_every_method_is_measured_in_both_modes() -> None:
    assert {settings.method for settings in READINGS.values()} == set(get_args(Method))
    for method in ("pairs", "heads"):
        own = {settings.mode for settings in READINGS.values() if settings.method == method}
        assert own == set(get_args(Mode))


def test_overlaps_are_summed_before_the_mean() -> None:
    overlap = Overlap(5)
    shown = torch.tensor([3])
    truth = torch.tensor([[0, 0], [255, 255]])
    overlap.add(truth, truth, shown)
    assert overlap.miou() == 1.0
    overlap.add(torch.tensor([[0, 255], [255, 255]]), truth, shown)
    # Class 3: 3 of 4; background: 4 of 5; the other classes never occur.
    assert overlap.miou() == pytest.approx((3 / 4 + 4 / 5) / 2)
