"""Spherical k-means through the factors against the same on directions that were built."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from backend.pairs.clusters import NEAREST, cluster
from backend.pairs.factors import Factors, write_norms
from backend.pairs.similarity import orientation_scale


def test_centres_are_means_of_their_pairs_and_nearest_are_nearest(factors: Factors) -> None:
    factors.value[1, :, 4] = 0
    norms = write_norms(factors)
    scale = orientation_scale(torch.ones_like(norms), norms)
    found = cluster(factors, scale, clusters=8, seed=0)
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value) * scale[..., None]
    cosines = dense @ found.centres.T
    expected = cosines.topk(NEAREST, dim=-1)
    torch.testing.assert_close(found.cosine, expected.values)
    speaking = scale > 0
    assert torch.equal(found.nearest[speaking], expected.indices[speaking])
    # By now the pairs have settled: averaging once more moves no centre.
    own = found.nearest[..., 0]
    for number, centre in enumerate(found.centres):
        mine = dense[(own == number) & speaking]
        if len(mine):
            torch.testing.assert_close(F.normalize(mine.sum(dim=0), dim=0), centre)


def test_same_seed_same_clusters(factors: Factors) -> None:
    norms = write_norms(factors)
    scale = orientation_scale(torch.ones_like(norms), norms)
    first, again = (cluster(factors, scale, clusters=8, seed=3) for _ in range(2))
    assert torch.equal(first.centres, again.centres)
    assert torch.equal(first.nearest, again.nearest)
