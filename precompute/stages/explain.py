"""Sparse text explanations of directions: pairs', and any others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors, head_directions
from backend.pairs.sparse_coding import matching_pursuit

SIGNALS_AT_ONCE = 1024
"""Directions per matrix product: large enough for full speed (256 reach four fifths of it), and
330 MB of scores and bases with 30,000 words, 64 atoms and d_out = 768; scores in bfloat16 with a
copy of the words take as much."""

NULL_SAMPLES = 256
"""Directions behind each null: their cosines' mean is known to a few thousandths."""


@dataclass(frozen=True)
class Explanations:
    """Codes of directions as they were given; negate the weights of one that is turned round.

    Attributes:
        word_ids: in the order of choice, -1 where a direction was fully explained earlier.
        weights: signed, of unit words.
        cosine: reached after as many words as :func:`cosine_steps` says.
    """

    word_ids: Int[Tensor, "direction atom"]
    weights: Float[Tensor, "direction atom"]
    cosine: Float[Tensor, "direction step"]


def cosine_steps(atoms: int) -> list[int]:
    """1, 2, 4, ... words, and all of them."""
    steps = [1 << power for power in range(atoms.bit_length()) if 1 << power <= atoms]
    return steps if steps[-1] == atoms else [*steps, atoms]


def explain_directions(
    directions: Float[Tensor, "direction d_out"],
    dictionary: Float[Tensor, "word d_out"],
    *,
    atoms: int,
) -> Explanations:
    """Orthogonal matching pursuit of unit (or zero) directions; results are on the CPU.

    ``dictionary`` as made by :func:`backend.pairs.sparse_coding.centred_dictionary`.
    """
    steps = torch.tensor(cosine_steps(atoms)) - 1
    word_ids = torch.empty(len(directions), atoms, dtype=torch.int32)
    weights = torch.empty(len(directions), atoms)
    cosine = torch.empty(len(directions), len(steps))
    for start in range(0, len(directions), SIGNALS_AT_ONCE):
        part = slice(start, start + SIGNALS_AT_ONCE)
        code = matching_pursuit(directions[part], dictionary, atoms=atoms)
        word_ids[part] = code.word_ids.to(torch.int32).cpu()
        weights[part] = code.weights.cpu()
        cosine[part] = code.cosine.cpu()[:, steps]
    return Explanations(word_ids, weights, cosine)


def explain_head(
    factors: Factors, dictionary: Float[Tensor, "word d_out"], *, head: int, atoms: int
) -> Explanations:
    """Explanations of all pairs of a head, not oriented; needs no images."""
    return explain_directions(head_directions(factors, head=head), dictionary, atoms=atoms)


def reconstructions(
    word_ids: Int[Tensor, "direction atom"],
    weights: Float[Tensor, "direction atom"],
    dictionary: Float[Tensor, "word d_out"],
) -> Float[Tensor, "direction d_out"]:
    """Weighted sums of the explanations' words."""
    known = torch.where(word_ids >= 0, weights, 0.0)
    return F.embedding_bag(
        word_ids.int().clamp_min(0), dictionary, per_sample_weights=known, mode="sum"
    )
