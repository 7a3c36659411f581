"""Orthogonal matching pursuit of many signals at once, on plain matrix products.

The dictionary's Gram matrix is never built: with far fewer dimensions than words, the product of
the residuals with the dictionary is both exact and the cheapest way to choose the next word.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.best_word import best_word

RESIDUAL_FLOOR = 1e-5
"""A unit signal whose residual is shorter than this is explained: float32 noise remains."""


@dataclass(frozen=True)
class SparseCode:
    """Codes of a batch of signals, atoms in the order of choice.

    Attributes:
        word_ids: chosen words, -1 where a signal was fully explained earlier.
        weights: signed least-squares coefficients of the chosen unit words, 0 where there is none.
        cosine: cosine between the signal and its reconstruction after 1, 2, ... words.
    """

    word_ids: Int[Tensor, "signal atom"]
    weights: Float[Tensor, "signal atom"]
    cosine: Float[Tensor, "signal atom"]


def centred_dictionary(
    embeddings: Float[Tensor, "word d_out"],
) -> tuple[Float[Tensor, "word d_out"], Float[Tensor, " d_out"]]:
    """Dictionary for the pursuit (centred on its mean, each word unit length) and that mean."""
    mean = embeddings.mean(dim=0)
    return F.normalize(embeddings - mean, dim=-1), mean


@contextmanager
def true_float32() -> Iterator[None]:
    """Products of float32 matrices in float32 while this runs: no TF32 on a GPU, no bfloat16."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def matching_pursuit(
    signals: Float[Tensor, "signal d_out"],
    dictionary: Float[Tensor, "word d_out"],
    *,
    atoms: int,
) -> SparseCode:
    """Orthogonal matching pursuit of unit ``signals`` over unit ``dictionary`` words.

    Each step takes the word with the largest |residual . word|, the lower number where two are
    equal, and re-fits all chosen words by least squares (kept as a QR decomposition: Gram-Schmidt
    twice, one triangular solve at the end).  Odd in the sign of the signal: -signal gives the same
    words with negated weights.  Products are true float32 whatever the process allows elsewhere.

    Args:
        signals: unit length, or zero (which gets no words).
        dictionary: unit length, float32; lower precision changes which words are chosen.
        atoms: number of words per signal, at most ``min(word, d_out)``.

    Raises:
        ValueError: ``atoms`` is out of range.
    """
    limit = min(dictionary.shape[0], signals.shape[1])
    if not 1 <= atoms <= limit:
        raise ValueError(f"atoms must be between 1 and {limit}, got {atoms}")
    with true_float32():
        return _pursue(signals, dictionary, atoms)


def _pursue(
    signals: Float[Tensor, "signal d_out"], dictionary: Float[Tensor, "word d_out"], atoms: int
) -> SparseCode:
    n_signals, d_out = signals.shape
    # Row by row in memory, whatever the signals were: products with a transposed one take twice as
    # long, and gathering its rows ten times.
    residual = signals.clone(memory_format=torch.contiguous_format)
    basis = signals.new_zeros(n_signals, atoms, d_out)
    triangle = torch.eye(atoms, dtype=signals.dtype, device=signals.device)
    triangle = triangle.repeat(n_signals, 1, 1)
    projections = signals.new_zeros(n_signals, atoms)
    word_ids = torch.full((n_signals, atoms), -1, dtype=torch.long, device=signals.device)
    choose = best_word(dictionary)

    for step in range(atoms):
        unfinished = residual.norm(dim=1) > RESIDUAL_FLOOR
        chosen = choose(residual, active=unfinished)
        coordinates, atom = _orthogonalise(dictionary.index_select(0, chosen), basis[:, :step])
        length = atom.norm(dim=1)
        # A finished signal, or a word inside the span of those chosen, adds nothing.
        useful = unfinished & (length > RESIDUAL_FLOOR)
        unit = torch.where(useful[:, None], atom / length.clamp_min(RESIDUAL_FLOOR)[:, None], 0.0)
        projection = (unit * residual).sum(dim=1)
        residual -= projection[:, None] * unit
        basis[:, step] = unit
        triangle[:, :step, step] = torch.where(useful[:, None], coordinates, 0.0)
        triangle[:, step, step] = torch.where(useful, length, 1.0)
        projections[:, step] = projection
        word_ids[:, step] = torch.where(useful, chosen, -1)

    weights = torch.linalg.solve_triangular(triangle, projections[..., None], upper=True)[..., 0]
    cosine = projections.square().cumsum(dim=1).sqrt().clamp_max(1.0)
    return SparseCode(word_ids=word_ids, weights=weights, cosine=cosine)


def _orthogonalise(
    atom: Float[Tensor, "signal d_out"], basis: Float[Tensor, "signal step d_out"]
) -> tuple[Float[Tensor, "signal step"], Float[Tensor, "signal d_out"]]:
    """Gram-Schmidt, twice: once loses orthogonality for near-parallel words in float32."""
    # As a row times a matrix: as a matrix times a column the same product takes four times as long.
    coordinates = torch.bmm(atom[:, None], basis.transpose(1, 2))
    atom = atom - torch.bmm(coordinates, basis)[:, 0]
    correction = torch.bmm(atom[:, None], basis.transpose(1, 2))
    atom = atom - torch.bmm(correction, basis)[:, 0]
    return (coordinates + correction)[:, 0], atom
