"""Overlaps of masks with the truth, and the methods that are compared."""

from __future__ import annotations

import pytest
import torch

from precompute.evaluation.segmentation import METHODS, Overlap


def test_every_method_is_measured() -> None:
    assert METHODS == ("pairs", "heads", "neurons", "maskclip", "selfself")


def test_overlaps_are_summed_before_the_mean() -> None:
    overlap = Overlap(5)
    shown = torch.tensor([3])
    truth = torch.tensor([[0, 0], [255, 255]])
    overlap.add(truth, truth, shown)
    assert overlap.miou() == 1.0
    overlap.add(torch.tensor([[0, 255], [255, 255]]), truth, shown)
    # Class 3: 3 of 4; background: 4 of 5; the other classes never occur.
    assert overlap.miou() == pytest.approx((3 / 4 + 4 / 5) / 2)
