"""From the tokens of an attention pool to the coefficient of every pair, exactly.

The pool is linear in its values once the attention is known, and only the pooled query (token 0)
attends, so one vector per head suffices instead of a key for every token.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.factors import Factors


@dataclass(frozen=True)
class QueryKey:
    """The query and key projections of an attention pool.

    The key bias adds one number to all tokens of a head, which the softmax of the pooled query
    ignores; tokens that are compared with each other need it.

    Attributes:
        query: W_Q split by head, ``[head, d_head, neuron]``.
        query_bias: b_Q split by head, ``[head, d_head]``.
        key: W_K split by head, ``[head, d_head, neuron]``.
        key_bias: b_K split by head, ``[head, d_head]``.
    """

    query: Float[Tensor, "head d_head neuron"]
    query_bias: Float[Tensor, "head d_head"]
    key: Float[Tensor, "head d_head neuron"]
    key_bias: Float[Tensor, "head d_head"]


def pool_tokens(
    feature_map: Float[Tensor, "image neuron row column"],
    positions: Float[Tensor, "token neuron"],
) -> Float[Tensor, "image token neuron"]:
    """Tokens as the pool sees them: token 0 is the mean of the others, positions are added.

    ``positions`` must hold row * column + 1 tokens (see :func:`resize_positions`).
    """
    spatial = feature_map.flatten(2).transpose(1, 2)
    return torch.cat([spatial.mean(dim=1, keepdim=True), spatial], dim=1) + positions


def resize_positions(
    positions: Float[Tensor, "token neuron"], *, rows: int, columns: int
) -> Float[Tensor, "resized neuron"]:
    """Positional embedding for a grid of ``rows`` x ``columns``, bicubically interpolated.

    The pool's own grid is square; token 0 keeps its embedding.  Its own grid is returned as is.
    """
    side = round((positions.shape[0] - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return positions
    grid = positions[1:].T.reshape(1, -1, side, side)
    grid = F.interpolate(
        grid, size=(rows, columns), mode="bicubic", antialias=True, align_corners=False
    )
    return torch.cat([positions[:1], grid.flatten(2)[0].T])


def pooled_attention(
    tokens: Float[Tensor, "image token neuron"], query_key: QueryKey
) -> Float[Tensor, "image head token"]:
    """Softmax weights of all tokens for the pooled query, with the query folded into the keys."""
    d_head = query_key.query.shape[1]
    query = torch.einsum("bn,hdn->bhd", tokens[:, 0], query_key.query) + query_key.query_bias
    folded = torch.einsum("bhd,hdn->bhn", query * d_head**-0.5, query_key.key)
    return (folded @ tokens.transpose(1, 2)).softmax(dim=-1)


def pair_coefficients(
    tokens: Float[Tensor, "image token neuron"],
    attention: Float[Tensor, "image head token"],
) -> Float[Tensor, "image head neuron"]:
    """s = sum over tokens of attention times activation: one scalar per image and pair."""
    return attention @ tokens


def embedding_from_coefficients(
    coefficients: Float[Tensor, "image head neuron"], factors: Factors
) -> Float[Tensor, "image d_out"]:
    """Sum over all pairs of s * D, plus the constant: the image's un-normalised embedding."""
    values = torch.bmm(factors.value, coefficients.permute(1, 2, 0)).flatten(0, 1)
    return values.T @ factors.joint_output.T + factors.constant


def activation_maps(
    feature_map: Float[Tensor, "image neuron row column"],
    attention: Float[Tensor, "image head token"],
    *,
    image: Tensor,
    head: Tensor,
    neuron: Tensor,
) -> Float[Tensor, "map row column"]:
    """Where in the image a coefficient comes from, for chosen (image, head, neuron) triples.

    Cell i holds ``(a_i + a_0 / N') * Z_i``: its own token's share and its share of the mean token,
    N' being the number of cells.  The sum over cells plus the position term (attention times
    positional embedding) is the coefficient.
    """
    rows, columns = feature_map.shape[2:]
    weights = attention[image, head]
    cells = weights[:, 1:] + weights[:, :1] / (rows * columns)
    return cells.reshape(-1, rows, columns) * feature_map[image, neuron]
