"""What the heads make of a neuron: how far its pairs part from it, and which belong together.

A neuron's *mean direction* is the norm-weighted mean of its pairs' oriented directions, scaled to
length 1.  Everything goes through the factors; the dense directions of all pairs are never built.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors
from backend.pairs.statistics import NO_IMAGE


def norm_shares(norm: Float[Tensor, "head neuron"]) -> Float[Tensor, "head neuron"]:
    """Each pair's norm over the sum of the norms of its neuron's pairs; zero in a silent neuron."""
    total = norm.sum(dim=0)
    return torch.where(total > 0, norm / total.clamp_min(torch.finfo(norm.dtype).tiny), 0.0)


def mean_directions(
    factors: Factors,
    scale: Float[Tensor, "head neuron"],
    norm: Float[Tensor, "head neuron"],
) -> Float[Tensor, "neuron d_out"]:
    """Norm-weighted mean of the oriented directions of every neuron's pairs, unit length.

    ``scale`` is sign / |D| (see :func:`backend.pairs.similarity.orientation_scale`).  Zero for a
    neuron whose pairs write nothing.
    """
    sums = factors.output.new_zeros(factors.d_out, factors.n_neurons)
    for head in range(factors.n_heads):
        sums += factors.output[head] @ (factors.value[head] * (scale[head] * norm[head]))
    return F.normalize(sums.T, dim=1)


def cosines_with_neurons(
    factors: Factors,
    scale: Float[Tensor, "head neuron"],
    directions: Float[Tensor, "neuron d_out"],
) -> Float[Tensor, "head neuron"]:
    """cos of every pair's oriented direction with its own neuron's unit direction, in [-1, 1]."""
    cosines = torch.empty_like(scale)
    for head in range(factors.n_heads):
        folded = directions @ factors.output[head]
        cosines[head] = (folded.T * factors.value[head]).sum(dim=0) * scale[head]
    return cosines.clamp(-1, 1)


def split_strengths(
    share: Float[Tensor, "head neuron"],
    cosine: Float[Tensor, "head neuron"],
    monosemanticity: Float[Tensor, "head neuron"],
) -> Float[Tensor, "head neuron"]:
    """How strongly a pair splits off its neuron: share * (1 - cosine) * monosemanticity, in [0, 2].

    Zero where monosemanticity is unknown.
    """
    return share * (1 - cosine) * monosemanticity.nan_to_num(nan=0.0)


def overlaps(top_images: Int[Tensor, "pair rank"]) -> Float[Tensor, "pair pair"]:
    """Jaccard overlap of the top images of a few pairs: those of both over those of either."""
    images, places = torch.unique(top_images, return_inverse=True)
    held_by = torch.zeros(len(top_images), len(images))
    held_by.scatter_(1, places, (top_images != NO_IMAGE).float())
    shared = held_by @ held_by.T
    held = shared.diagonal()
    return shared / (held[:, None] + held - shared).clamp_min(1)


def pair_distances(
    cosine: Float[Tensor, "pair pair"], overlap: Float[Tensor, "pair pair"]
) -> Float[Tensor, "pair pair"]:
    """Half by direction, half by top images: ((1 - cosine) + (1 - overlap)) / 2, in [0, 1.5]."""
    distance = ((1 - cosine) + (1 - overlap)).clamp_min(0) / 2
    distance = (distance + distance.T) / 2
    return distance.fill_diagonal_(0)


def weighted_silhouette(
    distance: Float[Tensor, "pair pair"],
    group: Int[Tensor, " pair"],
    weight: Float[Tensor, " pair"],
) -> float:
    """How well groups are set apart, in [-1, 1]: Rousseeuw's silhouette, its mean weighted.

    A pair alone in its group counts as 0.  ``group`` numbers two groups or more from 0.
    """
    member = F.one_hot(group).to(distance.dtype)
    size = member.sum(dim=0)
    sums = distance @ member
    own = size[group]
    within = sums.gather(1, group[:, None])[:, 0] / (own - 1).clamp_min(1)
    between = (sums / size).scatter(1, group[:, None], torch.inf).amin(dim=1)
    larger = torch.maximum(within, between).clamp_min(torch.finfo(distance.dtype).tiny)
    silhouette = torch.where(own > 1, (between - within) / larger, 0.0)
    return float((silhouette * weight).sum() / weight.sum())
