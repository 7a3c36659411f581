"""Windows that cover pictures of any shape."""

from __future__ import annotations

import numpy as np
import pytest

from backend.clip.windows import CELL, MAX_WHOLE_CELLS, MAX_WINDOWS, SCALE, layout


@pytest.mark.parametrize("size", [(256, 256), (288, 640), (1024, 320), (3, 50)])
def test_windows_cover_every_cell_and_stay_inside(size: tuple[int, int]) -> None:
    covered = layout(size, native=256)
    seen = np.zeros((covered.rows, covered.columns), dtype=int)
    for top, left in covered.corners:
        part = seen[top : top + 8, left : left + 8]
        assert part.shape == covered.window == (8, 8)
        part += 1
    assert seen.min() >= 1


def test_the_shorter_side_is_scaled_and_work_is_bounded() -> None:
    covered = layout((400, 300), native=256)
    assert (covered.columns * CELL, covered.rows * CELL) == (512, round(256 * SCALE))
    assert layout((400, 300), native=256, shorter_side=256).rows == 8
    assert layout((400, 300), native=256, shorter_side=100).rows == 8, "never below one window"
    for size in ((10_000, 200), (1, 50), (40_000_000 // 900, 900)):
        assert len(layout(size, native=224).corners) <= MAX_WINDOWS
    with pytest.raises(ValueError, match="too elongated"):
        layout((10_000, 10), native=224)


def test_a_whole_picture_is_one_window_of_its_own_shape() -> None:
    covered = layout((400, 300), native=256, view="whole", shorter_side=300)
    assert covered.window == (covered.rows, covered.columns) == (9, 12)
    assert covered.corners == ((0, 0),)
    small = layout((5, 400), native=256, view="whole", shorter_side=20)
    assert small.window == (50, 1)
    with pytest.raises(ValueError, match=f"at most {MAX_WHOLE_CELLS:,}"):
        layout((10_000, 200), native=256, view="whole")
