"""Sparse text explanations of all pairs' directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors, head_directions
from backend.pairs.sparse_coding import centred_dictionary, matching_pursuit

SIGNALS_AT_ONCE = 1024
"""Directions per matrix product: large enough for full speed (256 reach four fifths of it), and
330 MB of scores and bases with 30,000 words, 64 atoms and d_out = 768."""


@dataclass(frozen=True)
class Explanations:
    """Codes of unoriented unit directions; negate the weights of a pair whose sign is -1."""

    word_ids: Int[Tensor, "head neuron atom"]
    weights: Float[Tensor, "head neuron atom"]
    cosine: Float[Tensor, "head neuron step"]


def cosine_steps(atoms: int) -> list[int]:
    """1, 2, 4, ... words, and all of them."""
    steps = [1 << power for power in range(atoms.bit_length()) if 1 << power <= atoms]
    return steps if steps[-1] == atoms else [*steps, atoms]


def explain(
    factors: Factors,
    embeddings: Float[Tensor, "word d_out"],
    *,
    atoms: int,
    advance: Callable[[int], None],
) -> Explanations:
    """Orthogonal matching pursuit of every pair's direction; needs no images."""
    dictionary, _ = centred_dictionary(embeddings.to(factors.value.device))
    steps = torch.tensor(cosine_steps(atoms)) - 1
    shape = (factors.n_heads, factors.n_neurons)
    word_ids = torch.empty(*shape, atoms, dtype=torch.int32)
    weights = torch.empty(*shape, atoms)
    cosine = torch.empty(*shape, len(steps))
    for head in range(factors.n_heads):
        directions = head_directions(factors, head=head)
        for start in range(0, factors.n_neurons, SIGNALS_AT_ONCE):
            part = slice(start, start + SIGNALS_AT_ONCE)
            code = matching_pursuit(directions[part], dictionary, atoms=atoms)
            word_ids[head, part] = code.word_ids.to(torch.int32).cpu()
            weights[head, part] = code.weights.cpu()
            cosine[head, part] = code.cosine.cpu()[:, steps]
            advance(len(code.word_ids))
    return Explanations(word_ids, weights, cosine)
