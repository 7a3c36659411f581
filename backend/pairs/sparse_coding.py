"""Orthogonal matching pursuit of many signals at once, on plain matrix products.

The dictionary's Gram matrix is never built: with far fewer dimensions than words, the product of
the residuals with the dictionary is both exact and the cheapest way to choose the next word.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

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


def matching_pursuit(
    signals: Float[Tensor, "signal d_out"],
    dictionary: Float[Tensor, "word d_out"],
    *,
    atoms: int,
) -> SparseCode:
    """Orthogonal matching pursuit of unit ``signals`` over unit ``dictionary`` words.

    Each step takes the word with the largest |residual . word| and re-fits all chosen words by
    least squares (kept as a QR decomposition: Gram-Schmidt twice, one triangular solve at the end).
    Odd in the sign of the signal: -signal gives the same words with negated weights.

    Args:
        signals: unit length, or zero (which gets no words).
        dictionary: unit length, float32; lower precision changes which words are chosen.
        atoms: number of words per signal, at most ``min(word, d_out)``.

    Raises:
        ValueError: ``atoms`` is out of range.
    """
    n_signals, d_out = signals.shape
    limit = min(dictionary.shape[0], d_out)
    if not 1 <= atoms <= limit:
        raise ValueError(f"atoms must be between 1 and {limit}, got {atoms}")
    residual = signals.clone()
    basis = signals.new_zeros(n_signals, atoms, d_out)
    triangle = torch.eye(atoms, dtype=signals.dtype, device=signals.device)
    triangle = triangle.repeat(n_signals, 1, 1)
    projections = signals.new_zeros(n_signals, atoms)
    word_ids = torch.full((n_signals, atoms), -1, dtype=torch.long, device=signals.device)
    scores = signals.new_empty(n_signals, dictionary.shape[0])

    for step in range(atoms):
        torch.mm(residual, dictionary.T, out=scores)
        chosen = scores.abs_().argmax(dim=1)
        atom = dictionary[chosen]
        coordinates, atom = _orthogonalise(atom, basis[:, :step])
        length = atom.norm(dim=1)
        # A finished signal, or a word inside the span of those chosen, adds nothing.
        useful = (residual.norm(dim=1) > RESIDUAL_FLOOR) & (length > RESIDUAL_FLOOR)
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
    coordinates = torch.bmm(basis, atom[..., None])[..., 0]
    atom = atom - torch.bmm(coordinates[:, None], basis)[:, 0]
    correction = torch.bmm(basis, atom[..., None])[..., 0]
    atom = atom - torch.bmm(correction[:, None], basis)[:, 0]
    return coordinates + correction, atom
