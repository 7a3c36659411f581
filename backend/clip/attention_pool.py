"""Reads an open_clip attention pool's weights into the shapes that ``backend.pairs`` works on."""

from __future__ import annotations

from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor, nn

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors


def pool_factors(pool: AttentionPool2d) -> Factors:
    """Value and output factors; views of the pool's weights, not copies."""
    heads = pool.num_heads
    d_out, n_neurons = pool.c_proj.weight.shape
    return Factors(
        value=_by_head(pool.v_proj, heads),
        output=pool.c_proj.weight.detach().view(d_out, heads, n_neurons // heads).transpose(0, 1),
        value_bias=pool.v_proj.bias.detach().view(heads, -1),
        output_bias=pool.c_proj.bias.detach(),
    )


def pool_query_key(pool: AttentionPool2d) -> QueryKey:
    """Query and key factors; views of the pool's weights, not copies."""
    heads = pool.num_heads
    return QueryKey(
        query=_by_head(pool.q_proj, heads),
        query_bias=pool.q_proj.bias.detach().view(heads, -1),
        key=_by_head(pool.k_proj, heads),
        key_bias=pool.k_proj.bias.detach().view(heads, -1),
    )


def _by_head(projection: nn.Linear, heads: int) -> Tensor:
    weight = projection.weight.detach()
    return weight.view(heads, weight.shape[0] // heads, weight.shape[1])
