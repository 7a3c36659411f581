"""Does an explanation say when a unit is active?  Asked of images that no explanation has seen.

Words come from directions, and directions from weights alone, so every image is held out.  The
score is the correlation (Pearson) over images between the unit's value and how alike the image is
to the words.  Since the unit itself writes into the embedding, its own contribution is taken out of
every image first: otherwise its direction's words would be confirmed by the unit alone.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST_IMAGES = 3
"""With two, every correlation is 1 or -1."""

STILL = 1e-6
"""A value whose deviation is a smaller share of its size does not vary: float32 noise remains."""


def pair_scores(
    coefficients: Float[Tensor, "image neuron"],
    embeddings: Float[Tensor, "image d_out"],
    vectors: Float[Tensor, "neuron d_out"],
    words: Float[Tensor, "neuron d_out"],
) -> Float[Tensor, " neuron"]:
    """Scores of pairs of one head, oriented as ``coefficients`` and ``words`` are.

    Args:
        embeddings: un-normalised.
        vectors: what is added to the embedding per unit of the coefficient.
        words: weighted sums of the pairs' words, any length.
    """
    centred = embeddings - embeddings.mean(dim=0)
    deviation = coefficients - coefficients.mean(dim=0)
    return scores(
        coefficients,
        centred,
        words,
        own_on_words=deviation * (vectors * words).sum(dim=1),
        own_on_image=deviation * (centred @ vectors.T),
        own_squared=deviation.square() * vectors.square().sum(dim=1),
    )


def scores(
    values: Float[Tensor, "image unit"],
    embeddings: Float[Tensor, "image d_out"],
    words: Float[Tensor, "unit d_out"],
    *,
    own_on_words: Float[Tensor, "image unit"],
    own_on_image: Float[Tensor, "image unit"],
    own_squared: Float[Tensor, "image unit"],
) -> Float[Tensor, " unit"]:
    """Correlation of values with cos(embedding less own contribution, words), both centred.

    NaN where it is undefined: too few images, a value that does not vary, or no words.

    Args:
        embeddings: centred on their mean.
        own_on_words, own_on_image, own_squared: of each unit's centred contribution: its products
            with the words and with the centred embedding, and its squared length.
    """
    if len(values) < FEWEST_IMAGES:
        return values.new_full((values.shape[1],), torch.nan)
    squared = embeddings.square().sum(dim=1, keepdim=True) - 2 * own_on_image + own_squared
    tiny = torch.finfo(values.dtype).tiny
    alike = (embeddings @ words.T - own_on_words) / squared.clamp_min(tiny).sqrt()
    return _correlation(values, alike)


def _correlation(
    first: Float[Tensor, "image unit"], second: Float[Tensor, "image unit"]
) -> Float[Tensor, " unit"]:
    centred = [each - each.mean(dim=0) for each in (first, second)]
    deviation = [each.square().mean(dim=0).sqrt() for each in centred]
    known = torch.ones_like(deviation[0], dtype=torch.bool)
    for each, spread in zip((first, second), deviation, strict=True):
        known &= spread > STILL * each.abs().amax(dim=0)
    product = (centred[0] * centred[1]).mean(dim=0)
    return torch.where(known, (product / (deviation[0] * deviation[1])).clamp(-1, 1), torch.nan)
