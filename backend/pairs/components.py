"""Neurons and heads as units: principal directions of what each of them writes into the embedding.

A unit's contribution to an image is a weighted sum of a few fixed vectors: of a neuron, its
coefficient in every head times that pair's write vector; of a head, its value times the columns of
its output matrix.  Everything follows from the weights and the vectors' Gram matrix, exactly; the
contributions themselves are never built.  In float64, since a Gram matrix squares the condition.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.statistics import NO_IMAGE, RANKS

COMPONENTS = 4
"""Principal directions kept of each unit: what the paper reconstructs neurons from."""

UNITS_AT_ONCE = 256
"""Units to take apart together: 100 MB of coefficients in float64 for neurons of RN50x16 over 1,000
images, and a few times as much beside."""

RANK_FLOOR = 1e-12
"""Share of the variance below which a component is rounding, and left zero."""


@dataclass(frozen=True)
class UnitComponents:
    """Principal directions of some units over some images; zero where there is no variance.

    Attributes:
        components: coefficients on the unit's vectors: the unit direction of a component is the sum
            of coefficient times vector.  Each is oriented like a pair: most of the kept images lie
            on its positive side; where exactly half do, the sum of their values is positive.
        variance_share: of the kept images' squared norm, in [0, 1], largest first; NaN without any.
        direction: the first component as a vector, unit length.
        norm: mean length of the centred contribution over the kept images.
        mean: mean over all images of the value, which is the contribution's part along direction.
        top_values, top_images: the largest values, largest first.
        bottom_values, bottom_images: the smallest, smallest first.  Images are places in the list
            that was given; empty ranks hold NO_IMAGE and NaN.
    """

    components: Float[Tensor, "unit component term"]
    variance_share: Float[Tensor, "unit component"]
    direction: Float[Tensor, "unit d_out"]
    norm: Float[Tensor, " unit"]
    mean: Float[Tensor, " unit"]
    top_values: Float[Tensor, "unit rank"]
    top_images: Int[Tensor, "unit rank"]
    bottom_values: Float[Tensor, "unit rank"]
    bottom_images: Int[Tensor, "unit rank"]


def unit_components(
    weights: Float[Tensor, "unit image term"], vectors: Float[Tensor, "unit term d_out"]
) -> UnitComponents:
    """Principal directions of units whose contribution is the sum of weight times vector.

    As in the paper: contributions are centred, the RANKS images with the longest are kept (lower
    image where two are equal), and these are taken apart as they are, not centred again.
    """
    weights, vectors = weights.double(), vectors.double()
    gram = vectors @ vectors.transpose(1, 2)
    average = weights.mean(dim=1, keepdim=True)
    kept, norm = _longest(weights - average, gram)
    components, share = _principal(kept, gram)
    # The value: weights folded with the products of vectors and direction.
    along = (gram @ components[:, 0, :, None])[..., 0]
    values = (weights @ along[..., None])[..., 0]
    top_values, top_images = _extreme(values, largest=True)
    bottom_values, bottom_images = _extreme(values, largest=False)
    return UnitComponents(
        components=components,
        variance_share=share,
        direction=(components[:, :1] @ vectors)[:, 0],
        norm=norm,
        mean=values.mean(dim=1),
        top_values=top_values,
        top_images=top_images,
        bottom_values=bottom_values,
        bottom_images=bottom_images,
    )


def _longest(
    centred: Float[Tensor, "unit image term"], gram: Float[Tensor, "unit term term"]
) -> tuple[Float[Tensor, "unit kept term"], Float[Tensor, " unit"]]:
    """Weights of the images with the longest contributions, and the mean of these lengths."""
    squared = ((centred @ gram) * centred).sum(dim=2).clamp_min(0)
    order = squared.argsort(dim=1, descending=True, stable=True)[:, :RANKS]
    kept = centred.gather(1, order[..., None].expand(-1, -1, centred.shape[2]))
    return kept, squared.gather(1, order).sqrt().mean(dim=1)


def _principal(
    kept: Float[Tensor, "unit kept term"], gram: Float[Tensor, "unit term term"]
) -> tuple[Float[Tensor, "unit component term"], Float[Tensor, "unit component"]]:
    """Oriented unit components on the vectors, and each one's share of the kept squared norm.

    With X the kept contributions, X X^T = kept G kept^T has X's left singular vectors u and squared
    singular values; the right singular vector X^T u / sigma is (kept^T u / sigma) on the vectors.
    """
    inner = kept @ gram @ kept.transpose(1, 2)
    squared, left = torch.linalg.eigh(inner)
    squared, left = squared.flip(1)[:, :COMPONENTS], left.flip(2)[:, :, :COMPONENTS]
    total = inner.diagonal(dim1=1, dim2=2).sum(dim=1, keepdim=True)
    real = squared > RANK_FLOOR * total
    # A column of u times sigma is the images' values along that component.
    balance = (left > 0).sum(dim=1) - (left < 0).sum(dim=1)
    sign = torch.where(balance + left.sum(dim=1).sign() * 0.5 >= 0, 1.0, -1.0)
    scale = torch.where(real, sign / squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt(), 0.0)
    components = (left * scale[:, None]).transpose(1, 2) @ kept
    share = torch.where(total > 0, squared.clamp_min(0) / total, torch.nan)
    missing = COMPONENTS - components.shape[1]
    return (
        torch.nn.functional.pad(components, (0, 0, 0, missing)),
        torch.nn.functional.pad(share, (0, missing)),
    )


def _extreme(
    values: Float[Tensor, "unit image"], *, largest: bool
) -> tuple[Float[Tensor, "unit rank"], Int[Tensor, "unit rank"]]:
    """The RANKS most extreme values with their images, lower image where two are equal."""
    order = values.argsort(dim=1, descending=largest, stable=True)[:, :RANKS]
    missing = (0, RANKS - order.shape[1])
    return (
        torch.nn.functional.pad(values.gather(1, order), missing, value=torch.nan),
        torch.nn.functional.pad(order, missing, value=NO_IMAGE),
    )
