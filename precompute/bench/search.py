"""Search of all pairs by a text, through the factors, against a dense product."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from backend.pairs.factors import head_directions, write_norms
from backend.pairs.similarity import orientation_scale, pair_similarity
from precompute.bench.clock import in_turns
from precompute.bench.models import random_pool
from precompute.bench.rows import Row, time_row

REACH = 5.0


def search_row(model: str, device: torch.device, *, rounds: int) -> Row:
    """Similarity of one text, already embedded, to every pair."""
    factors = random_pool(model, device).factors
    scale = orientation_scale(
        torch.ones(factors.n_heads, factors.n_neurons, device=device), write_norms(factors)
    )
    dense = torch.cat([head_directions(factors, head=head) for head in range(factors.n_heads)])
    generator = torch.Generator().manual_seed(0)
    text = F.normalize(torch.randn(1, factors.d_out, generator=generator), dim=1).to(device)
    times = in_turns(
        {
            "ours": lambda: pair_similarity(text, factors, scale),
            "theirs": lambda: dense @ text[0],
        },
        rounds=rounds,
        device=device,
        warm=True,
    )
    return time_row(
        f"search all {factors.n_pairs:,} pairs of {model} by a text",
        times,
        "ours",
        "theirs",
        beside="dense torch matmul",
        reach=REACH,
        bound="at least",
        how=f"{rounds} rounds",
    )
