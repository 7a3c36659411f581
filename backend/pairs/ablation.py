"""What becomes of an embedding when pairs are switched off or scaled, in closed form.

    s' = base + gain * (s - base)            base: zero, or the mean over a data set
    M' = M + sum over pairs of (s' - s) * D

No pass of the backbone is needed.  Attention is held fixed: the answer is what the image's
embedding would be without these contributions, not what a network without these neurons would have
computed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.factors import Factors

_PAIR = re.compile(r"(?:pair:)?(\d+)[.,](\d+)")
_UNIT = re.compile(r"(neuron|head):(\d+)")

MOST_DIGITS = 9
"""Of a number in a part's name: far above any model's."""


@dataclass(frozen=True)
class Part:
    """A pair, or all pairs of a neuron (``head`` is None) or of a head (``neuron`` is None)."""

    neuron: int | None
    head: int | None

    @classmethod
    def parse(cls, text: str) -> Part:
        """``3.4`` is the pair of neuron 3 and head 4; ``neuron:3``; ``head:4``.

        Raises:
            ValueError: it is none of these.
        """
        told = text.strip()
        pair, unit = _PAIR.fullmatch(told), _UNIT.fullmatch(told)
        numbers = pair.groups() if pair else (unit[2],) if unit else ()
        if not numbers or max(map(len, numbers)) > MOST_DIGITS:
            raise ValueError(
                f"{text!r} is no part of a model; a pair is NEURON.HEAD as in 3.4, a neuron "
                "neuron:3, a head head:4"
            )
        if pair:
            return cls(neuron=int(pair[1]), head=int(pair[2]))
        number = int(numbers[0])
        return cls(number, None) if unit and unit[1] == "neuron" else cls(None, number)

    def __str__(self) -> str:
        if self.head is None:
            return f"neuron:{self.neuron}"
        return f"head:{self.head}" if self.neuron is None else f"{self.neuron}.{self.head}"

    def check(self, *, heads: int, neurons: int) -> None:
        """Raises a ValueError that says which numbers there are, if it is of no such model."""
        for name, number, count in (("neuron", self.neuron, neurons), ("head", self.head, heads)):
            if number is not None and not 0 <= number < count:
                raise ValueError(f"there is no {name} {number}; {name}s are 0 to {count - 1}")


def gains(
    *,
    heads: int,
    neurons: int,
    keep: Iterable[Part] = (),
    scaled: Iterable[tuple[Part, float]] = (),
) -> Float[Tensor, "head neuron"]:
    """Factor of every pair: 1 where nothing was asked for.

    Args:
        keep: if any, all pairs but these are switched off.
        scaled: parts with their factors, 0 to switch off; a pair that is part of several takes the
            product of their factors, so that the order does not matter.

    Raises:
        ValueError: a part that the model does not have.
    """
    kept = list(keep)
    gain = torch.zeros(heads, neurons) if kept else torch.ones(heads, neurons)
    for part in kept:
        part.check(heads=heads, neurons=neurons)
        gain[_where(part)] = 1.0
    for part, factor in scaled:
        part.check(heads=heads, neurons=neurons)
        gain[_where(part)] *= factor
    return gain


def ablated_embedding(
    embedding: Float[Tensor, "*image d_out"],
    coefficients: Float[Tensor, "*image head neuron"],
    gain: Float[Tensor, "head neuron"],
    factors: Factors,
    *,
    base: Float[Tensor, "head neuron"] | None = None,
) -> Float[Tensor, "*image d_out"]:
    """M' of images from M and s; ``base`` is what a switched-off pair holds, zero by default."""
    moved = (gain - 1) * (coefficients if base is None else coefficients - base)
    values = torch.einsum("...hn,hdn->...hd", moved, factors.value)
    return embedding + torch.einsum("...hd,hod->...o", values, factors.output)


def scores(
    embedding: Float[Tensor, "*image d_out"], texts: Float[Tensor, "text d_out"]
) -> Float[Tensor, "*image text"]:
    """Cosine of embeddings with unit texts; zero for an embedding of length zero."""
    return F.normalize(embedding.double(), dim=-1) @ texts.double().T


def _where(part: Part) -> tuple[int | slice, int | slice]:
    every = slice(None)
    return (
        every if part.head is None else part.head,
        every if part.neuron is None else part.neuron,
    )
