"""Groups of pairs that point the same way, through the factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors

ROUNDS = 12
"""Of assigning and averaging; by then fewer than one pair in a hundred changes its cluster."""

NEAREST = 4
"""Clusters that a pair's place on the map is drawn between."""


@dataclass(frozen=True)
class Clusters:
    """Spherical k-means of all pairs' oriented directions.

    Attributes:
        centres: unit length.
        nearest: the clusters with the nearest centres, nearest first.
        cosine: with their centres.
    """

    centres: Float[Tensor, "cluster d_out"]
    nearest: Int[Tensor, "head neuron rank"]
    cosine: Float[Tensor, "head neuron rank"]


def cluster(
    factors: Factors, scale: Float[Tensor, "head neuron"], *, clusters: int, seed: int
) -> Clusters:
    """Groups all pairs; no direction is ever built.

    ``scale`` is sign / |D|, zero for a pair that writes nothing, which moves no centre.  The first
    centres are random pairs; a cluster that loses all its pairs keeps its centre.
    """
    scaled = factors.value * scale[:, None]
    centres = _random_directions(factors, scaled, scale, clusters, seed)
    for _ in range(ROUNDS):
        sums = torch.zeros_like(centres)
        for head in range(factors.n_heads):
            nearest = _cosines(centres, factors.output[head], scaled[head]).argmax(dim=0)
            folded = scaled.new_zeros(clusters, factors.d_head)
            folded.index_add_(0, nearest, scaled[head].T)
            sums += folded @ factors.output[head].T
        moved = sums.norm(dim=1, keepdim=True) > 0
        centres = torch.where(moved, F.normalize(sums, dim=1), centres)
    found = [
        _cosines(centres, factors.output[head], scaled[head]).topk(min(NEAREST, clusters), dim=0)
        for head in range(factors.n_heads)
    ]
    return Clusters(
        centres,
        torch.stack([best.indices.T for best in found]),
        torch.stack([best.values.T for best in found]),
    )


def _cosines(
    centres: Float[Tensor, "cluster d_out"],
    output: Float[Tensor, "d_out d_head"],
    scaled: Float[Tensor, "d_head neuron"],
) -> Float[Tensor, "cluster neuron"]:
    return (centres @ output) @ scaled


def _random_directions(
    factors: Factors,
    scaled: Float[Tensor, "head d_head neuron"],
    scale: Float[Tensor, "head neuron"],
    wanted: int,
    seed: int,
) -> Float[Tensor, "{wanted} d_out"]:
    """Directions of different random pairs that write something."""
    speaking = scale.flatten().nonzero().flatten().cpu()
    order = torch.randperm(len(speaking), generator=torch.Generator().manual_seed(seed))
    chosen = speaking[order[torch.arange(wanted) % max(len(order), 1)]].to(scaled.device)
    head, neuron = chosen // factors.n_neurons, chosen % factors.n_neurons
    return F.normalize(
        torch.einsum("pod,pd->po", factors.output[head], scaled[head, :, neuron]), dim=1
    )
