"""Words that a picture is like, grouped by what they name."""

from __future__ import annotations

import torch

from backend.server.first_prompts import grouped


def test_a_word_joins_the_first_group_that_it_is_like() -> None:
    cosines = torch.eye(4)
    for one, other, cosine in ((0, 2, 0.9), (1, 2, 0.95), (1, 3, 0.8), (2, 3, 0.99)):
        cosines[one, other] = cosines[other, one] = cosine
    assert grouped(cosines, 0.8) == [[0, 2], [1, 3]]
    assert grouped(cosines, 0.98) == [[0], [1], [2, 3]]
    assert grouped(torch.zeros(0, 0), 0.8) == []
