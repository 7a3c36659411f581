"""How one image drives every pair, beside how the data set does."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def standing(
    coefficients: Float[Tensor, "head neuron"],
    *,
    mean: Float[Tensor, "head neuron"],
    deviation: Float[Tensor, "head neuron"],
    sign: Float[Tensor, "head neuron"],
) -> Float[Tensor, "head neuron"]:
    """sign * (s - mean) / deviation: oriented, in standard deviations over the data set.

    Zero for a pair whose coefficient never varies.
    """
    varies = deviation > 0
    return torch.where(varies, sign * (coefficients - mean) / deviation.where(varies, 1.0), 0.0)


def movement(
    coefficients: Float[Tensor, "head neuron"],
    *,
    mean: Float[Tensor, "head neuron"],
    scale: Float[Tensor, "head neuron"],
) -> Float[Tensor, "head neuron"]:
    """sign * (s - mean) * |D|: how far the image moves the embedding along each direction.

    From where the data set's mean leaves it, in units of the embedding before normalisation.
    ``scale`` is ``sign / |D|`` (see :func:`~backend.pairs.similarity.orientation_scale`); a pair
    that writes nothing moves nothing.
    """
    writes = scale != 0
    return torch.where(writes, (coefficients - mean) / scale.where(writes, 1.0), 0.0)
