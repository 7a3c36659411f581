"""The two weight matrices whose products are the write vectors of all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.fixed_point import FixedPoint


@dataclass(frozen=True)
class Factors:
    """Per-head value and output matrices of an attention pool.

    A pair's write vector is ``D[neuron, head] = output[head] @ value[head, :, neuron]``; the dense
    array of all of them is never needed and never built.

    Attributes:
        value: W_V split by head, ``[head, d_head, neuron]``.
        output: W_O split by head, ``[head, d_out, d_head]``.
        value_bias: b_V split by head, ``[head, d_head]``.
        output_bias: b_O, ``[d_out]``.
    """

    value: Float[Tensor, "head d_head neuron"]
    output: Float[Tensor, "head d_out d_head"]
    value_bias: Float[Tensor, "head d_head"]
    output_bias: Float[Tensor, " d_out"]

    @property
    def n_heads(self) -> int:
        return self.value.shape[0]

    @property
    def d_head(self) -> int:
        return self.value.shape[1]

    @property
    def n_neurons(self) -> int:
        return self.value.shape[2]

    @property
    def d_out(self) -> int:
        return self.output.shape[1]

    @property
    def n_pairs(self) -> int:
        return self.n_heads * self.n_neurons

    @property
    def constant(self) -> Float[Tensor, " d_out"]:
        """The part of every embedding that no pair writes: W_O b_V + b_O."""
        return self.joint_output @ self.value_bias.flatten() + self.output_bias

    @property
    def joint_output(self) -> Float[Tensor, "d_out head_times_d_head"]:
        """W_O of all heads side by side; of a pool's own weights a view, where einsum copies."""
        return self.output.transpose(0, 1).flatten(1)

    @cached_property
    def output_root(self) -> Float[Tensor, "head rank d_head"]:
        """R of each output factor's Q R: what a head writes is as long as R times its value.

        Made once: weights that still change need new factors.
        """
        root: Tensor = torch.linalg.qr(self.output).R
        return root

    @cached_property
    def rounded_value(self) -> FixedPoint:
        """W_V of all heads in whole numbers, a row for every number of every head.

        Made once: weights that still change need new factors.
        """
        return FixedPoint.of(self.value.flatten(0, 1))

    def to(self, device: torch.device | str) -> Factors:
        return Factors(
            value=self.value.to(device),
            output=self.output.to(device),
            value_bias=self.value_bias.to(device),
            output_bias=self.output_bias.to(device),
        )

    def double(self) -> Factors:
        """The same in float64, for sums that must be exact."""
        return Factors(
            value=self.value.double(),
            output=self.output.double(),
            value_bias=self.value_bias.double(),
            output_bias=self.output_bias.double(),
        )


def write_vector(factors: Factors, *, neuron: int, head: int) -> Float[Tensor, " d_out"]:
    """D of one pair: the vector it writes per unit of its coefficient."""
    return factors.output[head] @ factors.value[head, :, neuron]


def write_norms(factors: Factors) -> Float[Tensor, "head neuron"]:
    """Length of every write vector, through the d_head x d_head Gram matrix of each output factor.

    In float64, since a Gram matrix squares the condition number.
    """
    output = factors.output.double()
    value = factors.value.double()
    gram = output.transpose(1, 2) @ output
    squared = (value * (gram @ value)).sum(dim=1)
    return squared.clamp_min(0).sqrt().to(factors.value.dtype)


def head_directions(factors: Factors, *, head: int) -> Float[Tensor, "neuron d_out"]:
    """Unit write vectors of one head's pairs, not oriented; zero where the write vector is zero."""
    vectors = (factors.output[head] @ factors.value[head]).T
    norms = vectors.norm(dim=1, keepdim=True)
    return torch.where(norms > 0, vectors / norms.clamp_min(torch.finfo(vectors.dtype).tiny), 0.0)
