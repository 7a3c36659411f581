"""Whether a text or a picture is like what a model was made for.

Nothing here is tuned: a text is set beside texts that mean nothing, a picture beside the images
that the model's pairs were measured on, and both are told by their standing there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

KNOWN_PERCENTILE = 95.0
"""A text is known if it holds together better than this share of meaningless texts."""

STRANGE_PERCENTILE = 95.0
"""A picture is strange if it is less usual than this share of the images."""

CELLS_AT_ONCE = 1 << 12
"""Cells worked on at a time: 100 MB of float64 at 3,072 neurons."""

AXES = 64
"""Main directions of the cells' features that are kept; the others are taken together."""


@dataclass(frozen=True)
class UsualCells:
    """What the last block's output is usually like in one place: a Gaussian of few axes.

    It is of the square roots of the activations, whose tails are less heavy.

    Attributes:
        axes: orthonormal, by falling variance; ``variance`` is along them.
        rest: mean variance along all other directions.
    """

    mean: Float[Tensor, " neuron"]
    axes: Float[Tensor, "neuron axis"]
    variance: Float[Tensor, " axis"]
    rest: Float[Tensor, ""]


def usual_cells(cells: Float[Tensor, "cell neuron"], *, axes: int = AXES) -> UsualCells:
    """Fits what is usual to the activations in cells of many images."""
    kept = min(axes, cells.shape[1] - 1)
    parts = torch.split(cells, CELLS_AT_ONCE)
    mean = torch.stack([_roots(part).double().sum(dim=0) for part in parts]).sum(dim=0) / len(cells)
    scatter = torch.zeros(cells.shape[1], cells.shape[1], dtype=torch.float64)
    for part in parts:
        centred = _roots(part).double() - mean
        scatter += centred.T @ centred
    variance, directions = torch.linalg.eigh(scatter / max(len(cells) - 1, 1))
    # eigh has the smallest first; rounding may leave the smallest below zero.
    variance, directions = variance.flip(0).clamp_min(0), directions.flip(1)
    floor = torch.finfo(torch.float32).tiny
    rest = variance[kept:].mean().clamp_min(floor)
    return UsualCells(
        mean=mean.float(),
        axes=directions[:, :kept].float(),
        variance=torch.maximum(variance[:kept], rest).float(),
        rest=rest.float(),
    )


def strangeness(
    cells: Float[Tensor, "image cell neuron"], usual: UsualCells
) -> Float[Tensor, " image"]:
    """How unusual the activations in each image are: the median of its cells' squared distances.

    The distance is that of Mahalanobis, over the number of neurons: 1 for an average cell.  The
    median keeps a few very odd cells from deciding.
    """
    parts = torch.split(cells, max(1, CELLS_AT_ONCE // cells.shape[1]))
    return torch.cat([_distances(part, usual).median(dim=1).values for part in parts])


def _roots(activations: Tensor) -> Tensor:
    return activations.clamp_min(0).sqrt()


def _distances(
    cells: Float[Tensor, "image cell neuron"], usual: UsualCells
) -> Float[Tensor, "image cell"]:
    centred = _roots(cells) - usual.mean
    along = centred @ usual.axes
    inside = (along.square() / usual.variance).sum(dim=-1)
    outside = (centred.square().sum(dim=-1) - along.square().sum(dim=-1)).clamp_min(0) / usual.rest
    return (inside + outside) / cells.shape[-1]


def cross_strangeness(
    cells: Float[Tensor, "image cell neuron"], *, axes: int = AXES
) -> Float[Tensor, " image"]:
    """Strangeness of each image by what is usual in the other half (every second) of the images.

    An image that helped to say what is usual would look more usual than a new one; one that is
    alone has nothing else to be measured by.
    """
    if len(cells) < 2:
        return strangeness(cells, usual_cells(cells.flatten(0, 1), axes=axes))
    found = torch.empty(len(cells))
    for own in (slice(0, None, 2), slice(1, None, 2)):
        other = cells[1 - (own.start or 0) :: 2]
        found[own] = strangeness(cells[own], usual_cells(other.flatten(0, 1), axes=axes))
    return found


def standing(value: float, null: Float[Tensor, " sample"]) -> float | None:
    """Share of a null sample below ``value``, in percent; None without a sample."""
    return 100 * float((null < value).float().mean()) if len(null) else None
