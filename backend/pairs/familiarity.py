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


@dataclass(frozen=True)
class _Moments:
    """Of the square roots of activations, in float64; ``scatter`` is about their own mean."""

    cells: int
    mean: Float[Tensor, " neuron"]
    scatter: Float[Tensor, "neuron neuron"]

    @classmethod
    def of(cls, cells: Float[Tensor, "image cell neuron"]) -> _Moments:
        images, in_each, neurons = cells.shape
        parts = torch.split(cells, max(1, CELLS_AT_ONCE // in_each))
        total = torch.stack([_roots(part).double().sum(dim=(0, 1)) for part in parts]).sum(dim=0)
        mean = total / (images * in_each)
        scatter = torch.zeros(neurons, neurons, dtype=torch.float64)
        for part in parts:
            centred = (_roots(part).double() - mean).flatten(0, 1)
            scatter.addmm_(centred.T, centred)
        return cls(images * in_each, mean, scatter)

    def joined(self, other: _Moments) -> _Moments:
        """Of the cells of both (Chan et al.)."""
        cells = self.cells + other.cells
        apart = other.mean - self.mean
        between = torch.outer(apart, apart) * (self.cells * other.cells / cells)
        return _Moments(
            cells=cells,
            mean=self.mean + apart * (other.cells / cells),
            scatter=self.scatter + other.scatter + between,
        )

    def usual(self, axes: int) -> UsualCells:
        """The Gaussian that they describe."""
        kept = min(axes, len(self.mean) - 1)
        variance, directions = torch.linalg.eigh(self.scatter / max(self.cells - 1, 1))
        # eigh has the smallest first; rounding may leave the smallest below zero.
        variance, directions = variance.flip(0).clamp_min(0), directions.flip(1)
        floor = torch.finfo(torch.float32).tiny
        rest = variance[kept:].mean().clamp_min(floor)
        return UsualCells(
            mean=self.mean.float(),
            axes=directions[:, :kept].float(),
            variance=torch.maximum(variance[:kept], rest).float(),
            rest=rest.float(),
        )


def usual_cells(cells: Float[Tensor, "image cell neuron"], *, axes: int = AXES) -> UsualCells:
    """Fits what is usual to the activations in cells of many images."""
    return _Moments.of(cells).usual(axes)


def usual_images(
    cells: Float[Tensor, "image cell neuron"], *, axes: int = AXES
) -> tuple[UsualCells, Float[Tensor, " image"]]:
    """What is usual in all cells, and the strangeness of each image by the other half's.

    The halves are every second image each.  An image that helped to say what is usual would look
    more usual than a new one; one that is alone has nothing else to be measured by.
    """
    if len(cells) < 2:
        usual = usual_cells(cells, axes=axes)
        return usual, strangeness(cells, usual)
    even, odd = _Moments.of(cells[0::2]), _Moments.of(cells[1::2])
    found = torch.empty(len(cells))
    found[0::2] = strangeness(cells[0::2], odd.usual(axes))
    found[1::2] = strangeness(cells[1::2], even.usual(axes))
    return even.joined(odd).usual(axes), found


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


def standing(value: float, null: Float[Tensor, " sample"]) -> float | None:
    """Share of a null sample below ``value``, in percent; None without a sample."""
    return 100 * float((null < value).float().mean()) if len(null) else None
