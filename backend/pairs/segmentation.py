"""Segmentation from text: the paper's product of neuron maps and head heatmaps, factored.

    L[i, h, j] = cos(r_i^h, t_j),  r_i^h = W_O^h (W_V^h x_i + b_V^h)              head heatmap
    logit[i, j] = 1/k * sum over the k pairs most similar to t_j of Z[i, n] * L[i, h, j]

This is the "clean" reading: b_O is left out of r, so the positive attention weight cancels in the
cosine.  Nothing is gathered per pair: with the 0/1 mask m_j[h, n] of the chosen pairs the sum is
``sum_h L[i, h, j] * (Z[i] @ m_j[h])``, and the length of W_O^h v comes from the small Gram
matrix of W_O^h (d_head x d_head).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from backend.pairs.factors import Factors

PAPER_SHARE = 20_000 / 147_456
"""Share of a model's pairs that segment a class: the paper's k for RN50x16."""


def head_heatmaps(
    tokens: Float[Tensor, "image cell neuron"],
    texts: Float[Tensor, "text d_out"],
    factors: Factors,
) -> Float[Tensor, "image cell head text"]:
    """cos of every head's value at every spatial token (positions included) with unit texts."""
    values = torch.einsum("bin,hdn->bihd", tokens, factors.value) + factors.value_bias
    folded = torch.einsum("hod,to->htd", factors.output, texts)
    products = torch.einsum("bihd,htd->biht", values, folded)
    gram = factors.output.transpose(1, 2) @ factors.output
    squared = (values * torch.einsum("bihd,hde->bihe", values, gram)).sum(dim=-1)
    lengths = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
    return products / lengths[..., None]


def top_pairs(
    similarity: Float[Tensor, "text head neuron"], *, share: float = PAPER_SHARE
) -> Bool[Tensor, "text head neuron"]:
    """Mask of the ``share`` of pairs most similar to each text; at least one pair.

    Raises:
        ValueError: ``share`` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    flat = similarity.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    chosen = flat.topk(count, dim=1).indices
    mask = torch.zeros_like(flat, dtype=torch.bool).scatter_(1, chosen, True)
    return mask.reshape(similarity.shape)


def pair_logits(
    activations: Float[Tensor, "image cell neuron"],
    heatmaps: Float[Tensor, "image cell head text"],
    mask: Bool[Tensor, "text head neuron"],
) -> Float[Tensor, "image cell text"]:
    """The paper's logits; ``activations`` are the last block's output without positions."""
    chosen = activations @ mask.flatten(0, 1).T.to(activations.dtype)
    per_head = chosen.reshape(*chosen.shape[:2], *mask.shape[:2]).transpose(-1, -2)
    return (per_head * heatmaps).sum(dim=-2) / mask[0].sum()
