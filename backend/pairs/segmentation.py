"""Segmentation from text: the paper's product of neuron maps and head heatmaps, factored.

    L[i, h, j] = cos(r_i^h, t_j),  r_i^h = a_i^h * W_O^h (W_V^h x_i + b_V^h)      head heatmap
    pairs:    logit[i, j] = 1/k * sum over the k pairs most similar to t_j of Z[i, n] * L[i, h, j]
    heads:    the same sum of L[i, h, j] alone         neurons: of Z[i, n] alone
    maskclip: cos(sum over heads of W_O^h (W_V^h x_i + b_V^h) + b_O, t_j)
    selfself: the same after every head's cells attend to their likes, softmax(qq) + softmax(kk)

Two readings of r.  ``clean`` is the formula above: the positive attention weight a cancels in the
cosine.  ``official`` is the paper's code: b_O / (tokens * heads) is added to r, and sink tokens
take the mean of their neighbours' r before the cosine.

The cells of all windows are the places, window by window.  Arrays have a row of them for every
number of every head, so that products by head need nothing to be moved in memory.

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

    ``r / |r| = output[h] @ coordinates[h, :, i] + shift[h, i] * output_bias``

    Attributes:
        coordinates: d_head numbers in place of d_out.
        shift: share of the output bias; None where it is left out.
    """

    coordinates: Float[Tensor, "head d_head place"]
    shift: Float[Tensor, "head place"] | None

    def of(self, places: Sequence[int]) -> HeadReading:
        """The reading at some places."""
        own = list(places)
        shift = None if self.shift is None else self.shift[:, own]
        return HeadReading(self.coordinates[:, :, own], shift)


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
    least, tied = _kth_largest_(by_text.view(n_texts, -1), count)
    among = similarity >= least[:, None]
    for text in tied.nonzero().flatten().tolist():
        surplus = int(among[:, text].sum()) - count
        head, neuron = (similarity[:, text] == least[text]).nonzero()[-surplus:].T
        among[head, text, neuron] = False
    return ChosenPairs(among, None, count)


def _kth_largest_(
    rows: Float[Tensor, "row number"], count: int
) -> tuple[Float[Tensor, " row"], Bool[Tensor, " row"]]:
    """The smallest of each row's ``count`` largest numbers, and whether others are equal to it.

    Rows are left in another order.
    """
    if rows.device.type != "cpu":
        largest = rows.topk(min(count + 1, rows.shape[1]), dim=1).values
        least = largest[:, count - 1]
        return least, (largest[:, count:] == least[:, None]).any(dim=1)
    # numpy's partition is vectorised: a sixth of the time of topk.
    place = rows.shape[1] - count
    rows.numpy().partition(place, axis=1)
    least = rows[:, place]
    if place == 0:
        return least, torch.zeros_like(least, dtype=torch.bool)
    return least, rows[:, :place].amax(dim=1) == least


def head_values(
    tokens: Float[Tensor, "place neuron"], factors: Factors
) -> Float[Tensor, "head d_head place"]:
    """W_V x + b_V of every head at every spatial token (positions included)."""
    values = factors.value.flatten(0, 1) @ tokens.T
    by_head = values.view(factors.n_heads, factors.d_head, -1)
    return by_head.add_(factors.value_bias[..., None])


def clean_reading(values: Float[Tensor, "head d_head place"], factors: Factors) -> HeadReading:
    """r without the output bias, from :func:`head_values`; attention cancels."""
    lengths = _written_lengths(values, factors).clamp_min(torch.finfo(values.dtype).tiny)
    return HeadReading(values / lengths[:, None], None)


def official_reading(
    values: Float[Tensor, "head d_head place"],
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
        sinks: (row, column) on the grid of ``rows`` x ``columns`` cells of every window.
    """
    share = 1 / (attention.shape[2] * factors.n_heads)
    weighted = attention[:, :, 1:].transpose(0, 1).flatten(1)[:, None] * values
    weighted = replace_sinks(weighted, sinks, rows=rows, columns=columns)
    leaning = torch.einsum("hod,o->hd", factors.output, share * factors.output_bias)
    squared = (
        _written_lengths(weighted, factors).square()
        + 2 * (weighted * leaning[..., None]).sum(dim=1)
        + (share * factors.output_bias).square().sum()
    )
    lengths = squared.clamp_min(torch.finfo(squared.dtype).tiny).sqrt()
    return HeadReading(weighted / lengths[:, None], share / lengths)


def head_heatmaps(reading: HeadReading, texts: FoldedTexts) -> Float[Tensor, "head text place"]:
    """L: cos of every head's r at every place with unit texts."""
    heatmaps = texts.by_head @ reading.coordinates
    if reading.shift is not None:
        heatmaps = heatmaps + texts.on_bias[:, None] * reading.shift[:, None]
    return heatmaps


def pair_logits(
    activations: Float[Tensor, "place neuron"] | FixedPoint,
    heatmaps: Float[Tensor, "head text place"],
    chosen: ChosenPairs,
) -> Float[Tensor, "text place"]:
    """The paper's logits; ``activations`` are the last block's output without positions."""
    sums = _chosen_sums(activations, chosen).view(heatmaps.shape)
    return sums.mul_(heatmaps).sum(dim=0) / chosen.count


def _chosen_sums(
    activations: Float[Tensor, "place neuron"] | FixedPoint, chosen: ChosenPairs
) -> Float[Tensor, "head_times_text place"]:
    if isinstance(activations, FixedPoint):
        if chosen.gain is None:
            return activations.sums(chosen.among.flatten(0, 1))
        activations = activations.unpack()
    return chosen.weights(activations.dtype).flatten(0, 1) @ activations.T


def head_logits(
    heatmaps: Float[Tensor, "head text place"], chosen: ChosenPairs
) -> Float[Tensor, "text place"]:
    """Mean over the chosen pairs of their head's heatmap."""
    weights = chosen.by_head(heatmaps.dtype)
    return torch.einsum("htp,ht->tp", heatmaps, weights) / chosen.count


def neuron_logits(
    activations: Float[Tensor, "place neuron"], chosen: ChosenPairs
) -> Float[Tensor, "text place"]:
    """Mean over the chosen pairs of their neuron's map."""
    return chosen.by_neuron(activations.dtype) @ activations.T / chosen.count


def self_self_values(
    tokens: Float[Tensor, "window cell neuron"],
    values: Float[Tensor, "head d_head place"],
    query_key: QueryKey,
) -> Float[Tensor, "head d_head place"]:
    """Values after the cells of every head attend to their likes: softmax(qq) + softmax(kk).

    Head by head: all heads' attention among the cells of a large grid would fill the memory.
    """
    projections = (
        (query_key.query, query_key.query_bias),
        (query_key.key, query_key.key_bias),
    )
    mixed = torch.empty_like(values)
    for head, of_head in enumerate(values):
        before = of_head.view(len(of_head), *tokens.shape[:2]).transpose(0, 1)
        total = torch.zeros_like(before)
        for weight, bias in projections:
            own = tokens @ weight[head].T + bias[head]
            scores = own @ own.transpose(1, 2) * own.shape[-1] ** -0.5
            total += before @ scores.softmax(dim=-1).transpose(1, 2)
        mixed[head] = total.transpose(0, 1).flatten(1)
    return mixed


def place_embeddings(
    values: Float[Tensor, "head d_head place"], factors: Factors
) -> Float[Tensor, "d_out place"]:
    """Unit vector that all heads together write at every place, output bias included."""
    written = factors.joint_output @ values.flatten(0, 1) + factors.output_bias[:, None]
    return F.normalize(written, dim=0)


def _written_lengths(
    values: Float[Tensor, "head d_head place"], factors: Factors
) -> Float[Tensor, "head place"]:
    """|W_O v| of every head."""
    # A fifth of the time of a norm over the axis in the middle, whose loop is not vectorised.
    lengths: Tensor = (factors.output_root @ values).square_().sum(dim=1).sqrt_()
    return lengths
