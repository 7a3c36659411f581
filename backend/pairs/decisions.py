"""Why a cell has its logit: every method's logit at one cell as an exact sum over pairs.

A cell that several windows cover has the mean of their logits, so all sums here are means over
windows too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors
from backend.pairs.segmentation import ChosenPairs
from backend.pairs.similarity import write_products


@dataclass(frozen=True)
class Decision:
    """A logit and its parts, in float64; ``pairs.sum() + constant`` is ``logit``.

    Attributes:
        pairs: signed part of every pair; zero for pairs that do not speak for the class.
        constant: what the biases add, in methods that embed cells; else zero.
    """

    pairs: Float[Tensor, "head neuron"]
    constant: Float[Tensor, ""]

    @property
    def logit(self) -> Float[Tensor, ""]:
        return self.pairs.sum() + self.constant

    def against(self, other: Decision) -> Decision:
        """How the one class came before the other."""
        return Decision(self.pairs - other.pairs, self.constant - other.constant)


def chosen_parts(
    chosen: ChosenPairs,
    *,
    activations: Float[Tensor, "window neuron"] | None,
    heatmaps: Float[Tensor, "window head"] | None,
) -> Decision:
    """Parts of one text's chosen pairs at one cell.

    Args:
        chosen: of one text.
        activations, heatmaps: at the cell in each window that covers it; None for a method that
            does not use them.
    """
    weights = chosen.weights(torch.float64)[:, 0] / chosen.count
    if heatmaps is None:
        spoken = torch.ones_like(weights) if activations is None else activations.double().mean(0)
    elif activations is None:
        spoken = heatmaps.double().mean(dim=0)[:, None]
    else:
        spoken = torch.einsum("wh,wn->hn", heatmaps.double(), activations.double())
        spoken = spoken / len(activations)
    return Decision(weights * spoken, torch.zeros((), dtype=torch.float64, device=weights.device))


def written_parts(
    coefficients: Float[Tensor, "window head neuron"],
    attended: float,
    text: Float[Tensor, " d_out"],
    factors: Factors,
) -> Decision:
    """Parts of all pairs in the cosine of a text with what a cell writes through all heads.

    Args:
        coefficients: at the cell in each window that covers it.
        attended: total weight of the values that a cell gathers, by which their bias counts.
    """
    exact = factors.double()
    values = torch.einsum("whn,hdn->whd", coefficients.double(), exact.value)
    constant = exact.output_bias + attended * (exact.constant - exact.output_bias)
    written = torch.einsum("whd,hod->wo", values, exact.output) + constant
    lengths = written.norm(dim=1)
    products = write_products(text[None].double(), exact)[0]
    pairs = (coefficients.double() / lengths[:, None, None]).mean(dim=0) * products
    return Decision(pairs, (constant @ text.double()) * (1 / lengths).mean())


def self_self_coefficients(
    tokens: Float[Tensor, "window cell neuron"],
    query_key: QueryKey,
    cells: list[int],
) -> Float[Tensor, "window head neuron"]:
    """What every head of one cell gathers from its likes; ``cells`` is the cell in each window."""
    windows = torch.arange(len(tokens), device=tokens.device)
    total = tokens.new_zeros(len(tokens), query_key.query.shape[0], tokens.shape[2])
    for weight, bias in (
        (query_key.query, query_key.query_bias),
        (query_key.key, query_key.key_bias),
    ):
        own = torch.einsum("wcn,hdn->whcd", tokens, weight) + bias[:, None]
        at_cell = own[windows, :, cells]
        scores = torch.einsum("whd,whcd->whc", at_cell, own) * own.shape[-1] ** -0.5
        total += scores.softmax(dim=-1) @ tokens
    return total
