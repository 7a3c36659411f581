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
come from d_head numbers per head, the length through the triangle R of W_O^h = Q R.

For 294 cells of an RN50 (2,048 neurons, 32 heads) and 74 texts, ten prompts and the random words,
these are 1.4 G multiply-adds for the sums over masks, 1.2 G for W_V x and 0.04 G for its products
with the texts.  Folding the texts through W_V instead would take 1.4 G for these products, and
W_V x still for the lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors
from backend.pairs.fixed_point import FixedPoint
from backend.pairs.similarity import FoldedTexts
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
        among: whether a pair is one of them, and is not switched off.
        gain: a factor on what each pair says, of an ablation; None where it is 1.
        count: k, the divisor of the sum; it stays when pairs are switched off, so that what is left
            is exactly the rest of the sum.
    """

    among: Bool[Tensor, "head text neuron"]
    gain: Float[Tensor, "head neuron"] | None
    count: int

    def of(self, texts: slice) -> ChosenPairs:
        """The pairs of some of the texts."""
        return ChosenPairs(self.among[:, texts], self.gain, self.count)

    def scaled(self, gain: Float[Tensor, "head neuron"]) -> ChosenPairs:
        """The same with a factor on every pair."""
        among = self.among & (gain != 0)[:, None]
        total = gain if self.gain is None else gain * self.gain
        whole = bool(((total == 0) | (total == 1)).all())
        return ChosenPairs(among, None if whole else total, self.count)

    def weights(self, dtype: torch.dtype) -> Float[Tensor, "head text neuron"]:
        """What every pair counts in the sum: its gain, or 0."""
        weights = self.among.to(dtype)
        return weights if self.gain is None else weights * self.gain[:, None].to(dtype)

    def by_head(self, dtype: torch.dtype) -> Float[Tensor, "head text"]:
        """Sum of the weights over the neurons of each head."""
        return self._summed(2, dtype)

    def by_neuron(self, dtype: torch.dtype) -> Float[Tensor, "text neuron"]:
        """Sum of the weights over the heads of each neuron."""
        return self._summed(0, dtype)

    def _summed(self, axis: int, dtype: torch.dtype) -> Tensor:
        if self.gain is None:
            return self.among.view(torch.int8).sum(dim=axis, dtype=torch.int32).to(dtype)
        return self.weights(dtype).sum(dim=axis)


def choose_pairs(
    similarity: Float[Tensor, "head text neuron"], *, share: float = PAPER_SHARE
) -> ChosenPairs:
    """The ``share`` of pairs most similar to each text; at least one pair.

    Of pairs that are equally similar those of lower heads, then neurons, come first.

    Raises:
        ValueError: ``share`` is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}")
    n_heads, n_texts, n_neurons = similarity.shape
    count = max(1, round(share * n_heads * n_neurons))
    by_text = similarity.transpose(0, 1).clone(memory_format=torch.contiguous_format)
    least = _kth_largest_(by_text.view(n_texts, -1), count)
    among = similarity >= least[:, None]
    surplus = among.view(torch.int8).sum(dim=(0, 2), dtype=torch.int32) - count
    for text in surplus.nonzero().flatten().tolist():
        head, neuron = (similarity[:, text] == least[text]).nonzero()[-surplus[text] :].T
        among[head, text, neuron] = False
    return ChosenPairs(among, None, count)


def _kth_largest_(rows: Float[Tensor, "row number"], count: int) -> Float[Tensor, " row"]:
    """The smallest of the ``count`` largest numbers of each row; rows are left in another order."""
    if rows.device.type != "cpu":
        return rows.topk(count, dim=1, sorted=False).values.amin(dim=1)
    # numpy's partition is vectorised: a sixth of the time of topk.
    place = rows.shape[1] - count
    rows.numpy().partition(place, axis=1)
    return rows[:, place]


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
    lengths = _written_lengths(values, factors).clamp_min(torch.finfo(values.dtype).tiny)
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
        _written_lengths(weighted, factors).square()
        + 2 * (weighted * leaning).sum(dim=-1)
        + (share * factors.output_bias).square().sum()
    )
    lengths = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
    return HeadReading(weighted / lengths[..., None], share / lengths)


def head_heatmaps(
    reading: HeadReading, texts: FoldedTexts
) -> Float[Tensor, "window cell head text"]:
    """L: cos of every head's r at every cell with unit texts."""
    heatmaps = torch.einsum("bihd,htd->biht", reading.coordinates, texts.by_head)
    if reading.shift is not None:
        heatmaps = heatmaps + reading.shift[..., None] * texts.on_bias
    return heatmaps


def pair_logits(
    activations: Float[Tensor, "window cell neuron"] | FixedPoint,
    heatmaps: Float[Tensor, "window cell head text"],
    chosen: ChosenPairs,
) -> Float[Tensor, "window cell text"]:
    """The paper's logits; ``activations`` are the last block's output without positions.

    Activations in whole numbers have a row for every cell, window by window.
    """
    sums = _chosen_sums(activations, chosen).view(heatmaps.shape)
    return (sums * heatmaps).sum(dim=2) / chosen.count


def _chosen_sums(
    activations: Float[Tensor, "window cell neuron"] | FixedPoint, chosen: ChosenPairs
) -> Float[Tensor, "window_times_cell head_times_text"]:
    if isinstance(activations, FixedPoint):
        if chosen.gain is None:
            return activations.sums(chosen.among.flatten(0, 1))
        activations = activations.unpack()
    weights = chosen.weights(activations.dtype).flatten(0, 1)
    return activations.reshape(-1, activations.shape[-1]) @ weights.T


def head_logits(
    heatmaps: Float[Tensor, "window cell head text"], chosen: ChosenPairs
) -> Float[Tensor, "window cell text"]:
    """Mean over the chosen pairs of their head's heatmap."""
    weights = chosen.by_head(heatmaps.dtype)
    return torch.einsum("biht,ht->bit", heatmaps, weights) / chosen.count


def neuron_logits(
    activations: Float[Tensor, "window cell neuron"], chosen: ChosenPairs
) -> Float[Tensor, "window cell text"]:
    """Mean over the chosen pairs of their neuron's map."""
    return activations @ chosen.by_neuron(activations.dtype).T / chosen.count


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


def _written_lengths(
    values: Float[Tensor, "window cell head d_head"], factors: Factors
) -> Float[Tensor, "window cell head"]:
    """|W_O v| of every head."""
    written = torch.einsum("bihd,hrd->bihr", values, factors.output_root)
    lengths: Tensor = torch.linalg.vector_norm(written, dim=-1)
    return lengths
