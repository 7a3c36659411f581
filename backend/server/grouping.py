"""A neuron taken apart: what each head makes of it, and which of its pairs belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from torch import Tensor

from backend.pairs.subconcepts import (
    norm_shares,
    overlaps,
    pair_distances,
    weighted_silhouette,
)
from backend.server.open_store import OpenStore

MOST_GROUPS = 8
"""Sub-concepts of a neuron that one takes in at a glance."""


@dataclass(frozen=True)
class Group:
    """Pairs of one neuron that point the same way and share top images.

    Attributes:
        heads: strongest first.
        share: of the neuron's norm, in [0, 1].
        direction: norm-weighted mean of its pairs' directions, unit length.
        cosine: with the neuron's mean direction.
    """

    heads: list[int]
    share: float
    direction: Float[Tensor, " d_out"]
    cosine: float


@dataclass(frozen=True)
class NeuronPairs:
    """A neuron by its heads.

    Attributes:
        directions: of its pairs, oriented.
        mean_direction: norm-weighted mean of these, unit length; zero for a silent neuron.
        share: of the sum of its pairs' norms.
        cosine: of each pair's direction with the mean direction.
    """

    directions: Float[Tensor, "head d_out"]
    mean_direction: Float[Tensor, " d_out"]
    share: Float[Tensor, " head"]
    cosine: Float[Tensor, " head"]


def neuron_pairs(opened: OpenStore, neuron: int) -> NeuronPairs:
    """What each head makes of a neuron."""
    factors, scale = opened.factors, opened.scale[:, neuron]
    directions = (factors.output @ factors.value[:, :, neuron, None])[..., 0] * scale[:, None]
    share = norm_shares(torch.from_numpy(opened.norm[:, neuron, None]))[:, 0]
    mean = F.normalize(share @ directions, dim=0)
    return NeuronPairs(directions, mean, share, (directions @ mean).clamp(-1, 1))


def groups_of(opened: OpenStore, neuron: int, pairs: NeuronPairs) -> list[Group]:
    """Groups of all of a neuron's pairs that have a norm, the largest share first."""
    share, directions = pairs.share, pairs.directions
    speaking = ((share > 0) & (opened.scale[:, neuron] != 0)).nonzero()[:, 0]
    tops = torch.from_numpy(np.array(opened.store.statistics["top_images"][:, neuron]))
    numbers = group_pairs(directions[speaking], tops[speaking], share[speaking])
    found = []
    for number in sorted(set(numbers.tolist())):
        heads = speaking[numbers == number]
        heads = heads[share[heads].argsort(descending=True, stable=True)]
        direction = F.normalize(share[heads] @ directions[heads], dim=0)
        found.append(
            Group(
                heads=heads.tolist(),
                share=float(share[heads].sum()),
                direction=direction,
                cosine=float((direction @ pairs.mean_direction).clamp(-1, 1)),
            )
        )
    return sorted(found, key=lambda group: (-group.share, group.heads[0]))


def group_pairs(
    directions: Float[Tensor, "pair d_out"],
    top_images: Int[Tensor, "pair rank"],
    weight: Float[Tensor, " pair"],
) -> Int[Tensor, " pair"]:
    """Numbers from 0 of the groups that pairs fall into.

    Average linkage over :func:`~backend.pairs.subconcepts.pair_distances`, cut into the number of
    groups, from 2 to MOST_GROUPS, that are set apart best by the weighted silhouette (the fewest
    where that is equal).  Up to two pairs are a group each.
    """
    if len(directions) <= 2:
        return torch.arange(len(directions))
    distance = pair_distances(directions @ directions.T, overlaps(top_images)).double()
    upper = np.triu_indices(len(distance), 1)
    tree = linkage(distance.numpy()[upper], method="average")
    best, chosen = -np.inf, torch.zeros(len(distance), dtype=torch.long)
    for wanted in range(2, min(MOST_GROUPS, len(distance) - 1) + 1):
        cut = torch.from_numpy(fcluster(tree, wanted, criterion="maxclust") - 1).long()
        if cut.max() + 1 < wanted:
            continue  # several merges at one height cannot be cut apart
        score = weighted_silhouette(distance, cut, weight.double())
        if score > best:
            best, chosen = score, cut
    return chosen
