"""What is usual, against plain definitions and pictures that are drawn to be usual or not."""

from __future__ import annotations

import pytest
import torch

from backend.pairs.familiarity import (
    UsualCells,
    standing,
    strangeness,
    usual_cells,
    usual_images,
)

NEURONS, CELLS = 12, 25


def images(count: int, *, seed: int, spread: float = 1.0) -> torch.Tensor:
    """Activations whose roots are Gaussian with a covariance of their own."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(NEURONS, NEURONS, generator=torch.Generator().manual_seed(99)) / 4
    noise = torch.randn(count, CELLS, NEURONS, generator=generator)
    return (5 + spread * noise @ mixing).square()


def test_with_all_axes_the_distance_is_mahalanobis() -> None:
    known = images(40, seed=0)
    usual = usual_cells(known, axes=NEURONS - 1)
    asked = images(3, seed=1, spread=2.0)
    roots = known.flatten(0, 1).sqrt().double()
    inverse = torch.linalg.inv(torch.cov(roots.T))
    centred = asked.sqrt().double() - roots.mean(dim=0)
    plain = torch.einsum("icn,nm,icm->ic", centred, inverse, centred) / NEURONS
    torch.testing.assert_close(
        strangeness(asked, usual), plain.median(dim=1).values.float(), rtol=1e-3, atol=1e-3
    )


def test_halves_together_say_what_all_cells_say() -> None:
    known = images(31, seed=7)
    whole, joined = usual_cells(known, axes=4), usual_images(known, axes=4)[0]
    torch.testing.assert_close(joined.mean, whole.mean)
    torch.testing.assert_close(joined.variance, whole.variance)
    torch.testing.assert_close(joined.rest, whole.rest)
    torch.testing.assert_close((joined.axes.T @ whole.axes).abs(), torch.eye(4), atol=1e-4, rtol=0)


def test_an_average_cell_has_distance_one() -> None:
    known = images(60, seed=2)
    usual = usual_cells(known, axes=4)
    cells = known.flatten(0, 1)[:, None]  # each cell as an image of its own
    assert float(strangeness(cells, usual).mean()) == pytest.approx(1, abs=0.02)


def test_images_of_the_same_kind_pass_and_others_do_not() -> None:
    usual, null = usual_images(images(400, seed=3))
    limit = null.quantile(0.95)
    same = (strangeness(images(400, seed=4), usual) > limit).float().mean()
    assert float(same) == pytest.approx(0.05, abs=0.04)
    assert (strangeness(images(20, seed=5, spread=3.0), usual) > limit).all()
    empty = torch.zeros(1, CELLS, NEURONS)
    assert float(strangeness(empty, usual)) > float(limit)


def test_an_image_is_never_measured_by_itself() -> None:
    known = images(30, seed=6)
    odd = known.clone()
    odd[4] *= 9
    halves = usual_images(known)[1], usual_images(odd)[1]
    assert halves[1][4] > 3 * halves[0][4]
    own = usual_cells(odd)
    assert strangeness(odd[4:5], own)[0] < halves[1][4]
    torch.testing.assert_close(halves[0][6::2], halves[1][6::2])


def test_degenerate_images_have_finite_distances() -> None:
    flat = torch.ones(3, 4, 5)
    usual = usual_cells(flat)
    assert isinstance(usual, UsualCells)
    assert strangeness(flat, usual).tolist() == [0.0, 0.0, 0.0]
    assert usual_images(flat[:1])[1].tolist() == [0.0]


def test_standing_is_the_share_below() -> None:
    null = torch.tensor([0.1, 0.2, 0.3, 0.4])
    assert standing(0.25, null) == 50
    assert standing(0.1, null) == 0
    assert standing(1.0, null) == 100
    assert standing(1.0, torch.empty(0)) is None
