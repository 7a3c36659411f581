"""Stages on what lies near what: neighbours of every pair, and the map of all pairs."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.clusters import Clusters, cluster
from backend.pairs.factors import Factors, write_norms
from backend.pairs.neighbours import CoActivation, nearest_directions
from backend.pairs.similarity import orientation_scale
from backend.store.format import MAP, NEIGHBOURS, STATISTICS
from precompute.stages.pairs import dictionary_of
from precompute.work import Work

MOST_CLUSTERS = 1000
"""Points that t-SNE lays out: some seconds."""

PAIRS_PER_CLUSTER = 32
"""On average, in a model too small for MOST_CLUSTERS."""

MAP_SEED = 0
PERPLEXITY = 30
"""scikit-learn's own; lowered for a model with few clusters."""

PULL = 20.0
"""How much the nearest of a pair's clusters outweighs the others: exp(PULL * cosines' difference).
At 20 a difference of 0.1 is a factor of seven."""

NEIGHBOURHOOD = 0.25
"""Distance on the map, whose sides are 2 long, up to which clusters share a pair."""


def write_neighbours(work: Work) -> None:
    """The pairs that point the same way, and those that the same images drive, of every pair."""
    factors, scale = work.job.model.factors, oriented_scale(work)
    statistics = work.arrays(STATISTICS)
    shared = CoActivation(
        torch.from_numpy(np.array(statistics["top_images"])),
        torch.from_numpy(np.array(statistics["norm"])) > 0,
        images=len(work.job.images),
    )
    heads = []
    with work.progress.stage("neighbours", factors.n_pairs) as advance:
        for head in range(factors.n_heads):

            def compute(head: int = head) -> dict[str, np.ndarray]:
                return _neighbours(factors, scale, shared, head)

            heads.append(work.part(f"{head:03}", compute))
            advance(factors.n_neurons)
    work.writer.arrays(
        NEIGHBOURS, {name: np.stack([head[name] for head in heads]) for name in heads[0]}
    )


def oriented_scale(work: Work) -> Float[Tensor, "head neuron"]:
    """sign / |D| of all pairs, where the model is."""
    factors = work.job.model.factors
    sign = torch.from_numpy(np.array(work.arrays(STATISTICS)["sign"])).to(factors.value)
    return orientation_scale(sign, write_norms(factors))


def _neighbours(
    factors: Factors, scale: Float[Tensor, "head neuron"], shared: CoActivation, head: int
) -> dict[str, np.ndarray]:
    ids, cosine = nearest_directions(factors, scale, head=head)
    first = head * factors.n_neurons
    active_ids, jaccard = shared.nearest(range(first, first + factors.n_neurons))
    return {
        "direction_ids": ids.int().cpu().numpy(),
        "direction_cosine": cosine.half().cpu().numpy(),
        "coactivation_ids": active_ids.int().numpy(),
        "coactivation_jaccard": jaccard.half().numpy(),
    }


def write_map(work: Work) -> None:
    """All pairs on a plane, those that point the same way near one another."""
    factors, scale = work.job.model.factors, oriented_scale(work)
    clusters = max(1, min(MOST_CLUSTERS, factors.n_pairs // PAIRS_PER_CLUSTER))
    with work.progress.stage("map", factors.n_pairs) as advance:
        found = cluster(factors, scale, clusters=clusters, seed=MAP_SEED)
        layout = lay_out(found.centres.cpu())
        words = (found.centres @ dictionary_of(work).T).argmax(dim=1)
        advance(factors.n_pairs)
    position = drawn_between(found, layout)
    own = torch.where(scale.cpu() == 0, -1, found.nearest[..., 0].cpu())
    work.writer.arrays(
        MAP,
        {
            "position": position.numpy(),
            "cluster": own.to(torch.int16).numpy(),
            "cluster_position": layout.numpy(),
            "cluster_word": words.int().cpu().numpy(),
        },
    )


def lay_out(centres: Float[Tensor, "cluster d_out"]) -> Float[Tensor, "cluster 2"]:
    """t-SNE of unit vectors by cosine, in [-1, 1]; on one thread, so that it repeats exactly."""
    from sklearn.manifold import TSNE  # late: takes a second, and only this stage needs it
    from threadpoolctl import threadpool_limits

    if len(centres) < 4:
        return torch.linspace(-1, 1, len(centres))[:, None].expand(-1, 2).clone()
    perplexity = min(PERPLEXITY, (len(centres) - 1) / 3)
    with threadpool_limits(1):
        tsne = TSNE(
            metric="cosine", init="random", perplexity=perplexity, random_state=MAP_SEED, n_jobs=1
        )
        placed = torch.from_numpy(tsne.fit_transform(centres.numpy())).float()
    placed -= (placed.amax(dim=0) + placed.amin(dim=0)) / 2
    return placed / placed.abs().amax()


def drawn_between(
    found: Clusters, layout: Float[Tensor, "cluster 2"]
) -> Float[Tensor, "head neuron 2"]:
    """Each pair between the places of its nearest clusters, nearer to those more alike.

    Clusters alike to a pair may still lie far apart on the plane; only those in the neighbourhood
    of the nearest count, or the pair would stand among strangers.
    """
    nearest, cosine = found.nearest.cpu(), found.cosine.cpu()
    places = layout[nearest]
    far = (places - places[..., :1, :]).norm(dim=-1) > NEIGHBOURHOOD
    weight = F.softmax((PULL * cosine).masked_fill(far, -torch.inf), dim=-1)
    return (weight[..., None] * places).sum(dim=-2)
