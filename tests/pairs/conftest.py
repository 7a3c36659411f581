from __future__ import annotations

import pytest
import torch

from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors

HEADS, D_HEAD, NEURONS, D_OUT = 4, 6, 24, 10


@pytest.fixture
def factors() -> Factors:
    generator = torch.Generator().manual_seed(1)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Factors(
        value=random(HEADS, D_HEAD, NEURONS),
        output=random(HEADS, D_OUT, D_HEAD),
        value_bias=random(HEADS, D_HEAD),
        output_bias=random(D_OUT),
    )


@pytest.fixture
def query_key() -> QueryKey:
    generator = torch.Generator().manual_seed(2)

    def random(*shape: int) -> torch.Tensor:
        return 0.3 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    return QueryKey(
        query=random(HEADS, D_HEAD, NEURONS),
        query_bias=random(HEADS, D_HEAD),
        key=random(HEADS, D_HEAD, NEURONS),
        key_bias=random(HEADS, D_HEAD),
    )
