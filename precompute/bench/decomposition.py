"""All pair coefficients of an image against open_clip's own attention pool."""

from __future__ import annotations

from collections.abc import Callable

import torch

from backend.pairs.coefficients import pair_coefficients, pool_tokens, pooled_attention
from precompute.bench.clock import in_turns
from precompute.bench.memory import pool_memory
from precompute.bench.models import Pool, random_pool
from precompute.bench.rows import Row, time_row

TIME_REACH = 0.15
MEMORY_REACH = 20e6

OURS, THEIRS = "ours", "theirs"


def contestants(pool: Pool) -> dict[str, Callable[[], object]]:
    """Both start from the last block's output of one image."""

    @torch.inference_mode()
    def ours() -> object:
        tokens = pool_tokens(pool.feature_map, pool.positions)
        return pair_coefficients(tokens, pooled_attention(tokens, pool.query_key))

    @torch.inference_mode()
    def theirs() -> object:
        return pool.pool(pool.feature_map)

    return {OURS: ours, THEIRS: theirs}


def coefficient_rows(model: str, device: torch.device, *, rounds: int) -> list[Row]:
    """Time and memory of the coefficients of one image."""
    times = in_turns(
        contestants(random_pool(model, device)), rounds=rounds, device=device, warm=True
    )
    memory = pool_memory(model, device)
    work = f"all pair coefficients of an image, {model}"
    beside = "open_clip's attention pool, forward"
    return [
        time_row(
            work,
            times,
            OURS,
            THEIRS,
            beside=beside,
            reach=TIME_REACH,
            bound="at most",
            how=f"from the last block's output, {rounds} rounds",
        ),
        Row(
            work=f"{work}: extra memory",
            unit="bytes",
            ours=memory[OURS],
            beside=beside,
            theirs=memory[THEIRS],
            meaning="ours",
            figure=memory[OURS],
            reach=MEMORY_REACH,
            bound="at most",
            how="peak resident size of a fresh process above what it held before; on CUDA, the "
            "allocator's peak",
        ),
    ]
