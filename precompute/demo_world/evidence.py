"""Embeddings made by a few pairs alone, so that each pair learns to mean something by itself.

An embedding is a sum over all pairs, and a sum may be right while its terms cancel: a neuron that
fires for penguins may write "red" if another takes that away again. Here most pairs are held at
their mean over the batch, at random, and the rest must still tell what the picture shows. What a
pair writes then has to be true of the pictures that drive it, whatever the others do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from open_clip.model import CLIP
from torch import Tensor

from backend.clip.attention_pool import pool_factors
from backend.pairs.factors import write_norms
from precompute.demo_world.tower import written

SHARES = (0.02, 0.05, 0.1, 0.2)  # of the pairs that speak, one of these each time


@dataclass(frozen=True)
class Selection:
    """Which pairs speak: a `share` of them for each image, from the seed.

    `alike` gives every pair the same voice; otherwise each is as loud as it is in the sum. The
    strong pairs are the ones that are looked at first, and the many weak ones those that a search
    by words comes upon.
    """

    share: float
    alike: bool
    seed: int


def draw_selection(generator: np.random.Generator) -> Selection:
    """A selection of any share, of either kind."""
    return Selection(
        share=float(generator.choice(SHARES)),
        alike=bool(generator.integers(2)),
        seed=int(generator.integers(1 << 31)),
    )


def partial_embedding(
    model: CLIP,
    coefficients: Float[Tensor, "image head neuron"],
    embedding: Float[Tensor, "image d_out"],
    selection: Selection,
) -> Float[Tensor, "image d_out"]:
    """The batch's mean embedding, and what the selected pairs add to it, scaled up for the rest.

    Over all selections its mean is `embedding` itself, where pairs are as loud as they are.
    """
    deviation = (coefficients - coefficients.mean(dim=0)).float()
    if selection.alike:
        deviation = deviation * _equal_voices(model, deviation.detach())
    generator = torch.Generator().manual_seed(selection.seed)
    spoken = torch.rand(deviation.shape, generator=generator) < selection.share
    added = written(model, (deviation * spoken / selection.share).to(coefficients.dtype))
    return embedding.float().mean(dim=0) + added.float()


@torch.no_grad()
def _equal_voices(
    model: CLIP, deviation: Float[Tensor, "image head neuron"]
) -> Float[Tensor, "head neuron"]:
    """Factors that bring what each pair typically adds to the mean length over all pairs."""
    length = write_norms(pool_factors(model.visual.attnpool))
    typical = (deviation.square().mean(dim=0).sqrt() * length).clamp_min(1e-5)
    return typical.mean() / typical
