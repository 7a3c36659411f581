"""Segmentation from text: the paper's product of neuron maps and head heatmaps, factored.

    L[i, h, j] = cos(r_i^h, t_j),  r_i^h = a_i^h * W_O^h (W_V^h x_i + b_V^h)      head heatmap
    pairs:    logit[i, j] = 1/k * sum over the k pairs most similar to t_j of Z[i, n] * L[i, h, j]
    heads:    the same sum of L[i, h, j] alone         neurons: of Z[i, n] alone
    maskclip: cos(sum over heads of W_O^h (W_V^h x_i + b_V^h) + b_O, t_j)
    selfself: the same after every head's cells attend to their likes, softmax(qq) + softmax(kk)

Two readings of r.  ``clean`` is the formula above: the positive attention weight a cancels in the
cosine.  ``official`` is the paper's code: b_O / (tokens * heads) is added to r, and sink tokens
take the mean of their neighbours' r before the cosine.

Nothing is gathered per pair: with the 0/1 mask m_j[h, n] of the chosen pairs the sum is
``sum_h L[i, h, j] * (Z[i] @ m_j[h])``, and r is never built: its product with a text and its length
come from d_head numbers per head, the length through the small Gram matrix of W_O^h.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors
from backend.pairs.sinks import replace_sinks

Method = Literal["pairs", "heads", "neurons", "maskclip", "selfself"]
Mode = Literal["clean", "official"]

PAPER_SHARE = 20_000 / 147_456
"""Share of a model's pairs that segment a class: the paper's k for RN50x16."""


@dataclass(frozen=True)
class HeadReading:
    """The unit vector r / |r| of every head at every cell, in the head's own coordinates.

    ``r / |r| = output[h] @ coordinates[i, h] + shift[i, h] * output_bias``

    Attributes:
        coordinates: d_head numbers in place of d_out.
        shift: share of the output bias; None where it is left out.
    """

    coordinates: Float[Tensor, "window cell head d_head"]
    shift: Float[Tensor, "window cell head"] | None

    def of(self, windows: Sequence[int], cells: Sequence[int]) -> HeadReading:
        """The reading at one cell of each of some windows."""
        own = (list(windows), list(cells))
        shift = None if self.shift is None else self.shift[own][:, None]
        return HeadReading(self.coordinates[own][:, None], shift)


@dataclass(frozen=True)
class ChosenPairs:
    """The pairs that speak for each text.

    Attributes:
        weights: what a pair counts in the sum: 1 if it is among them, else 0, times the gain of an
            ablation.  Of the activations' type, or bfloat16 (see :func:`pair_logits`).
        totals: their sum over the neurons of each head.
        count: k, the divisor of the sum; it stays when pairs are switched off, so that what is left
            is exactly the rest of the sum.
    """

    weights: Float[Tensor, "text head neuron"]
    totals: Float[Tensor, "text head"]
    count: int

    def of(self, texts: slice) -> ChosenPairs:
        """The pairs of some of the texts."""
        return ChosenPairs(self.weights[texts], self.totals[texts], self.count)

    def scaled(self, gain: Float[Tensor, "head neuron"]) -> ChosenPairs:
        """The same with a factor on every pair."""
        weights = self.weights * gain.to(self.weights.dtype)
        return ChosenPairs(weights, weights.sum(dim=2, dtype=self.totals.dtype), self.count)

    def in_bfloat16(self) -> ChosenPairs:
        """The same, to be summed in half precision."""
        return ChosenPairs(self.weights.to(torch.bfloat16), self.totals, self.count)


def choose_pairs(
    similarity: Float[Tensor, "text head neuron"], *, share: float = PAPER_SHARE
) -> ChosenPairs:
    """The ``share`` of pairs most similar to each text; at least one pair.

    Raises:
        ValueError: ``share`` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    flat = similarity.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    chosen = flat.topk(count, dim=1, sorted=False).indices
    weights = torch.zeros_like(flat).scatter_(1, chosen, 1.0).reshape(similarity.shape)
    return ChosenPairs(weights, weights.sum(dim=2), count)


def head_values(
    tokens: Float[Tensor, "window cell neuron"], factors: Factors
) -> Float[Tensor, "window cell head d_head"]:
    """W_V x + b_V of every head at every spatial token (positions included)."""
    values = tokens @ factors.value.flatten(0, 1).T + factors.value_bias.flatten()
    return values.reshape(*tokens.shape[:2], factors.n_heads, factors.d_head)


def clean_reading(
    values: Float[Tensor, "window cell head d_head"], factors: Factors
) -> HeadReading:
    """r without the output bias, from :func:`head_values`; attention cancels."""
    lengths = _positive_root(_squared_lengths(values, factors))
    return HeadReading(values / lengths[..., None], None)


def official_reading(
    values: Float[Tensor, "window cell head d_head"],
    attention: Float[Tensor, "window head token"],
    factors: Factors,
    *,
    sinks: Int[Tensor, "sink 2"],
    rows: int,
    columns: int,
) -> HeadReading:
    """r as the paper's code has it, with its share of the output bias and sinks replaced.

    Args:
        attention: of all tokens, the mean token first.
        sinks: (row, column) on the grid of ``rows`` x ``columns`` cells.
    """
    share = 1 / (attention.shape[2] * factors.n_heads)
    weighted = attention[:, :, 1:].transpose(1, 2)[..., None] * values
    weighted = replace_sinks(weighted, sinks, rows=rows, columns=columns)
    leaning = torch.einsum("hod,o->hd", factors.output, share * factors.output_bias)
    squared = (
        _squared_lengths(weighted, factors)
        + 2 * (weighted * leaning).sum(dim=-1)
        + (share * factors.output_bias).square().sum()
    )
    lengths = _positive_root(squared)
    return HeadReading(weighted / lengths[..., None], share / lengths)


def head_heatmaps(
    reading: HeadReading, texts: Float[Tensor, "text d_out"], factors: Factors
) -> Float[Tensor, "window cell head text"]:
    """L: cos of every head's r at every cell with unit texts."""
    folded = torch.einsum("to,hod->hdt", texts, factors.output)
    heatmaps = torch.einsum("bihd,hdt->biht", reading.coordinates, folded)
    if reading.shift is not None:
        heatmaps = heatmaps + reading.shift[..., None] * (texts @ factors.output_bias)
    return heatmaps


def pair_logits(
    activations: Float[Tensor, "window cell neuron"],
    heatmaps: Float[Tensor, "window cell head text"],
    chosen: ChosenPairs,
) -> Float[Tensor, "window cell text"]:
    """The paper's logits; ``activations`` are the last block's output without positions.

    With weights in bfloat16 the sums over neurons are too, five times as fast where a processor has
    instructions for it: good for thresholds, within a hundredth of how far texts differ.
    """
    weights = chosen.weights.flatten(0, 1)
    if weights.dtype == activations.dtype:
        sums = activations @ weights.T
    else:
        # Sums of what deviates from a cell's mean are small, and so is what rounding makes of them.
        mean = activations.mean(dim=-1, keepdim=True)
        deviations = (activations - mean).to(weights.dtype) @ weights.T
        sums = deviations.to(activations.dtype) + mean * chosen.totals.flatten()
    per_head = sums.reshape(*sums.shape[:2], *chosen.totals.shape)
    return torch.einsum("bith,biht->bit", per_head, heatmaps) / chosen.count


def head_logits(
    heatmaps: Float[Tensor, "window cell head text"], chosen: ChosenPairs
) -> Float[Tensor, "window cell text"]:
    """Mean over the chosen pairs of their head's heatmap."""
    return torch.einsum("biht,th->bit", heatmaps, chosen.totals) / chosen.count


def neuron_logits(
    activations: Float[Tensor, "window cell neuron"], chosen: ChosenPairs
) -> Float[Tensor, "window cell text"]:
    """Mean over the chosen pairs of their neuron's map."""
    totals = chosen.weights.sum(dim=1, dtype=activations.dtype)
    return activations @ totals.T / chosen.count


def self_self_values(
    tokens: Float[Tensor, "window cell neuron"],
    values: Float[Tensor, "window cell head d_head"],
    query_key: QueryKey,
) -> Float[Tensor, "window cell head d_head"]:
    """Values after the cells of every head attend to their likes: softmax(qq) + softmax(kk).

    Head by head: all heads' attention among the cells of a large grid would fill the memory.
    """
    mixed = torch.empty_like(values)
    projections = (
        (query_key.query, query_key.query_bias),
        (query_key.key, query_key.key_bias),
    )
    for head in range(values.shape[2]):
        total = torch.zeros_like(values[:, :, head])
        for weight, bias in projections:
            own = tokens @ weight[head].T + bias[head]
            scores = own @ own.transpose(1, 2) * own.shape[-1] ** -0.5
            total += scores.softmax(dim=-1) @ values[:, :, head]
        mixed[:, :, head] = total
    return mixed


def cell_embeddings(
    values: Float[Tensor, "window cell head d_head"], factors: Factors
) -> Float[Tensor, "window cell d_out"]:
    """Unit vector that all heads together write at every cell, output bias included."""
    written = torch.einsum("bihd,hod->bio", values, factors.output) + factors.output_bias
    return F.normalize(written, dim=-1)


def _squared_lengths(
    values: Float[Tensor, "window cell head d_head"], factors: Factors
) -> Float[Tensor, "window cell head"]:
    return (values * torch.einsum("bihd,hde->bihe", values, factors.output_gram)).sum(dim=-1)


def _positive_root(squared: Tensor) -> Tensor:
    return squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
