"""Similarity of texts to all pairs at once, through the factors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors

ROUNDING = 1e-6  # of a cosine of float32 unit vectors, taken by two orders of summing


def centre(
    texts: Float[Tensor, "text d_out"], mean: Float[Tensor, " d_out"]
) -> Float[Tensor, "text d_out"]:
    """unit(t - mean): removes what all texts share, which would otherwise dominate every cosine."""
    return F.normalize(texts - mean, dim=-1)


@dataclass(frozen=True)
class FoldedTexts:
    """Texts through the output matrix: all that heads, whatever they hold, can say of them.

    Attributes:
        by_head: W_O^T t of every head, in its own coordinates.
        on_bias: the product with the output bias.
    """

    by_head: Float[Tensor, "head text d_head"]
    on_bias: Float[Tensor, " text"]

    def of(self, texts: slice) -> FoldedTexts:
        """Some of the texts."""
        return FoldedTexts(self.by_head[:, texts], self.on_bias[texts])


def fold_texts(texts: Float[Tensor, "text d_out"], factors: Factors) -> FoldedTexts:
    """Texts as d_head numbers per head; reads the whole output matrix."""
    joint = texts @ factors.joint_output
    by_head = joint.view(len(texts), factors.n_heads, factors.d_head).transpose(0, 1)
    return FoldedTexts(by_head.contiguous(), texts @ factors.output_bias)


def folded_products(folded: FoldedTexts, factors: Factors) -> Float[Tensor, "head text neuron"]:
    """<D, t> for every pair."""
    return folded.by_head @ factors.value


def write_products(
    texts: Float[Tensor, "text d_out"], factors: Factors
) -> Float[Tensor, "text head neuron"]:
    """<D, t> for every pair: t is first folded into d_head numbers per head."""
    return folded_products(fold_texts(texts, factors), factors).transpose(0, 1)


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

    ``directions`` are oriented unit directions, ``words`` centred unit embeddings. A word counts as
    less similar where it is so by more than rounding, so that no text beats itself.
    """
    least = similarity[:, None] - ROUNDING
    return 100 * (directions @ words.T < least).float().mean(dim=1)


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
