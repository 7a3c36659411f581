"""The word chosen with bfloat16's help is float32's, also where bfloat16 could not tell."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backend.pairs import best_word as module
from backend.pairs.best_word import ByBfloat16, ByFloat32, best_word, has_native_bfloat16


def problem(signals: int = 60, words: int = 700, width: int = 48) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    dictionary = F.normalize(torch.randn(words, width, generator=generator), dim=1)
    residual = torch.randn(signals, width, generator=generator)
    return residual * torch.logspace(-4, 0, signals)[:, None], dictionary


def rough_chooser(dictionary: Tensor) -> ByBfloat16:
    return ByBfloat16(dictionary, ByFloat32(dictionary))


def all_active(residual: Tensor) -> Tensor:
    return torch.ones(len(residual), dtype=torch.bool)


def largest_score(residual: Tensor, dictionary: Tensor) -> Tensor:
    """The reference: every score in float64."""
    return (residual.double() @ dictionary.double().T).abs().argmax(dim=1)


def test_both_ways_find_the_word_with_the_largest_score() -> None:
    residual, dictionary = problem()
    expected = largest_score(residual, dictionary)
    for choose in (ByFloat32(dictionary), rough_chooser(dictionary)):
        assert torch.equal(choose(residual, active=all_active(residual)), expected)


def test_words_that_are_the_same_in_bfloat16_are_told_apart() -> None:
    residual, dictionary = problem()
    best = largest_score(residual, dictionary)
    generator = torch.Generator().manual_seed(1)
    # Hundreds of near copies of each signal's best word, some a little nearer and most further off.
    near = dictionary[best][:, None] + 2e-4 * torch.randn(60, 200, 48, generator=generator)
    dictionary = F.normalize(torch.cat([dictionary, near.flatten(0, 1)]), dim=1)
    expected = largest_score(residual, dictionary)
    rough = (residual.bfloat16() @ dictionary.bfloat16().T).abs().argmax(dim=1)
    assert (rough != expected).sum() > 30
    found = rough_chooser(dictionary)(residual, active=all_active(residual))
    assert torch.equal(found, expected)


def test_equal_scores_go_to_the_lower_word() -> None:
    residual, dictionary = problem()
    twice = torch.cat([dictionary, -dictionary])
    found = rough_chooser(twice)(residual, active=all_active(residual))
    assert torch.equal(found, largest_score(residual, dictionary))


def test_signals_with_too_many_candidates_are_scored_in_float32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    residual, dictionary = problem()
    monkeypatch.setattr(module, "FEWEST_CANDIDATES", 2)
    monkeypatch.setattr(module, "WORDS_PER_CANDIDATE", 1000)
    asked = []

    def exact(residual: Tensor, *, active: Tensor) -> Tensor:
        asked.append(len(residual))
        return ByFloat32(dictionary)(residual, active=active)

    found = ByBfloat16(dictionary, exact)(residual, active=all_active(residual))
    assert asked
    assert 0 < asked[0] < len(residual)
    assert torch.equal(found, largest_score(residual, dictionary))


def test_explained_signals_get_some_word_and_cost_nothing() -> None:
    residual, dictionary = problem()
    residual[7] = 0
    active = all_active(residual)
    active[[7, 9]] = False

    def exact(residual: Tensor, *, active: Tensor) -> Tensor:
        raise AssertionError("an explained signal was scored in float32")

    found = ByBfloat16(dictionary, exact)(residual, active=active)
    assert ((found >= 0) & (found < len(dictionary))).all()
    assert torch.equal(found[active], largest_score(residual, dictionary)[active])


@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_rough_scores_keep_their_bound(scale: float) -> None:
    """Numbers half way between two of bfloat16's, which are rounded as far as can be."""
    generator = torch.Generator().manual_seed(2)
    halfway = 1 + 2.0**-8
    signs = torch.randint(0, 2, (80, 64), generator=generator) * 2.0 - 1
    words = halfway * signs[:40] / 8
    residual = halfway * scale * signs[40:]
    chooser = rough_chooser(words)
    rounded = residual.bfloat16()
    rough = (rounded.float() @ words.bfloat16().float().T).bfloat16().float().abs()
    exact = (residual.double() @ words.double().T).abs()
    allowed = chooser._bound(residual, rounded)[:, None] + rough * module.BFLOAT16_ROUNDING
    assert ((exact - rough).abs() <= allowed).all()
    # And it is no idle bound: the error comes near it where a word is the residual itself.
    own = ByBfloat16(F.normalize(residual, dim=1), ByFloat32(residual))
    error = residual.norm(dim=1) - rounded.float().norm(dim=1)
    assert (error.abs() > 0.1 * own._bound(residual, rounded)).all()


def test_float64_and_other_devices_are_scored_as_they_are() -> None:
    _, dictionary = problem()
    assert not has_native_bfloat16(dictionary.double())
    assert isinstance(best_word(dictionary.double()), ByFloat32)
    kind = ByBfloat16 if has_native_bfloat16(dictionary) else ByFloat32
    assert isinstance(best_word(dictionary), kind)
