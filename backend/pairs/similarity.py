"""Similarity of texts to all pairs at once, through the factors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors


def centre(
    texts: Float[Tensor, "text d_out"], mean: Float[Tensor, " d_out"]
) -> Float[Tensor, "text d_out"]:
    """unit(t - mean): removes what all texts share, which would otherwise dominate every cosine."""
    return F.normalize(texts - mean, dim=-1)


def write_products(
    texts: Float[Tensor, "text d_out"], factors: Factors
) -> Float[Tensor, "text head neuron"]:
    """<D, t> for every pair: t is first folded into d_head numbers per head."""
    folded = torch.einsum("to,hod->htd", texts, factors.output)
    return (folded @ factors.value).transpose(0, 1)


def pair_similarity(
    texts: Float[Tensor, "text d_out"],
    factors: Factors,
    scale: Float[Tensor, "head neuron"],
) -> Float[Tensor, "text head neuron"]:
    """cos(t, direction) of unit texts with every pair's oriented direction, in [-1, 1].

    ``scale`` is ``sign / |D|`` (see :func:`orientation_scale`), computed once per model.
    """
    return write_products(texts, factors) * scale


def orientation_scale(
    sign: Float[Tensor, "head neuron"], norms: Float[Tensor, "head neuron"]
) -> Float[Tensor, "head neuron"]:
    """sign / |D|; zero for a pair that writes nothing, which is then similar to no text."""
    return torch.where(norms > 0, sign / norms.clamp_min(torch.finfo(norms.dtype).tiny), 0.0)


def null_percentiles(
    similarity: Float[Tensor, " pair"],
    directions: Float[Tensor, "pair d_out"],
    words: Float[Tensor, "word d_out"],
) -> Float[Tensor, " pair"]:
    """Share of random vocabulary words, in percent, that are less similar to each pair.

    ``directions`` are oriented unit directions, ``words`` centred unit embeddings.
    """
    return 100 * (directions @ words.T < similarity[:, None]).float().mean(dim=1)


def oriented_directions(
    factors: Factors,
    scale: Float[Tensor, "head neuron"],
    *,
    head: Int[Tensor, " pair"],
    neuron: Int[Tensor, " pair"],
) -> Float[Tensor, "pair d_out"]:
    """Oriented unit directions of a few pairs."""
    value = factors.value[head, :, neuron]
    vectors = torch.einsum("pod,pd->po", factors.output[head], value)
    return vectors * scale[head, neuron][:, None]
