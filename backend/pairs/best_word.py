"""The word most alike to each residual: what a pursuit asks at every step, and most of its time.

Where the processor multiplies bfloat16 natively, the products of all residuals with all words are
taken in bfloat16, several times as fast as in float32.  They only rule words out: every word whose
float32 score could still be the largest, by a proved bound on the rounding, is scored again in
float32, and the largest of these is the word.  On any other processor all scores are float32.

The same processor so gives the same words each time.  Two kinds of processor, or the two ways, add
up the same float32 products in different orders, and may differ where two words' scores do by no
more than that: a few parts in ten million of the residual.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

GROUP = 128
"""Words whose extremes are taken together.  Largest and smallest of 128 neighbours are found at the
speed of memory, the place of the largest only in the winning group: on two cores 1 ms for 256
signals and 30,000 words where ``abs().argmax()`` takes 30, beside 97 for the product itself."""

WORDS_PER_CANDIDATE = 128
"""Scoring one word of one signal again takes as long as scoring so many in one float32 product."""

FEWEST_CANDIDATES = 8
"""Of one signal, that are scored again even of a small vocabulary."""

CANDIDATES_AT_ONCE = 1 << 14
"""Gathered words and residuals of as many take 100 MB at 768 wide."""

BFLOAT16_ROUNDING = 2.0**-8
"""Largest relative error of rounding to bfloat16's eight significant bits."""

FLOAT32_ROUNDING = 2.0**-24

SLACK = 1.01
"""Far more than the float32 error of the bound itself, and than what a residual may gain in length
by rounding."""

_ALL_BUT_SIGN = 0x7FFF


@runtime_checkable
class BestWord(Protocol):
    """The word with the largest |residual . word| for each residual, the lower where two are equal.

    A signal that is not ``active`` gets some word or other: it is explained, or empty.
    """

    def __call__(
        self, residual: Float[Tensor, "signal d_out"], *, active: Bool[Tensor, " signal"]
    ) -> Int[Tensor, " signal"]: ...


def best_word(dictionary: Float[Tensor, "word d_out"]) -> BestWord:
    """The fastest way on the dictionary's device that gives float32's words."""
    exact = ByFloat32(dictionary)
    return ByBfloat16(dictionary, exact) if has_native_bfloat16(dictionary) else exact


def has_native_bfloat16(array: Tensor) -> bool:
    """Whether products of bfloat16 are worth taking for a float32 array.

    On a processor with AMX or AVX-512 BF16, which add up in float32.  A GPU may add up in bfloat16,
    and is fast enough in float32.
    """
    if array.device.type != "cpu" or array.dtype != torch.float32:
        return False
    tell: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    known = tell()  # empty where torch is too old to know
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


class ByFloat32:
    """All scores in float32: one product, and one pass over it."""

    def __init__(self, dictionary: Float[Tensor, "word d_out"]) -> None:
        self._dictionary = dictionary
        self._scores: Tensor | None = None

    def __call__(
        self, residual: Float[Tensor, "signal d_out"], *, active: Bool[Tensor, " signal"]
    ) -> Int[Tensor, " signal"]:
        n_signals, n_words = len(residual), len(self._dictionary)
        if self._scores is None or len(self._scores) < n_signals:
            # Filled up with words that nothing is similar to, so that groups are whole.
            self._scores = residual.new_zeros(n_signals, _whole_groups(n_words))
        scores = self._scores[:n_signals]
        torch.mm(residual, self._dictionary.T, out=scores[:, :n_words])
        groups = scores.view(n_signals, -1, GROUP)
        best = torch.maximum(groups.amax(dim=2), -groups.amin(dim=2)).argmax(dim=1)
        within = groups[torch.arange(n_signals, device=scores.device), best].abs().argmax(dim=1)
        # All scores are equal, and the place arbitrary, only where nothing is left to explain.
        return (best * GROUP + within).clamp_max(n_words - 1)


class ByBfloat16:
    """Rough scores in bfloat16; those that may be the largest again in float32.

    With r a residual, w a word, r' and w' the same rounded to bfloat16, and s' the rough score,

        |r.w - r'.w'| <= |r - r'| |w'| + |r| |w - w'|               (Cauchy and Schwarz)
        |r'.w' - s'|  <= d_out u32 |r'| |w'| + u16 |s'|             (added up in float32, rounded)

    u32 and u16 being the largest relative errors of rounding; the float32 score that decides has
    itself an error of at most d_out u32 |r| |w|.  The word with the largest rough score leads; any
    other can only be the best if the upper bound of its score reaches the leader's.  For random
    words 768 wide that leaves three of 30,000 on average.

    Args:
        exact: asked for the signals that have too many left, where many words are nearly alike.
    """

    def __init__(self, dictionary: Float[Tensor, "word d_out"], exact: BestWord) -> None:
        self._dictionary, self._exact = dictionary, exact
        rounded = dictionary.bfloat16()
        self._word_error = float((dictionary - rounded.float()).norm(dim=1).max())
        self._word_length = float(torch.maximum(dictionary.norm(dim=1), rounded.norm(dim=1)).max())
        filled = F.pad(rounded, (0, 0, 0, _whole_groups(len(dictionary)) - len(dictionary)))
        self._rounded = filled.T.contiguous()
        self._scores = rounded.new_empty(0, len(filled))
        self._most = max(FEWEST_CANDIDATES, len(dictionary) // WORDS_PER_CANDIDATE)

    def __call__(
        self, residual: Float[Tensor, "signal d_out"], *, active: Bool[Tensor, " signal"]
    ) -> Int[Tensor, " signal"]:
        rounded = residual.bfloat16()
        rough = _magnitudes(torch.mm(rounded, self._rounded, out=self._room(len(residual))))
        largest = rough.view(len(residual), -1, GROUP).amax(dim=2)
        leader = _leader(rough, largest).clamp_max(len(self._dictionary) - 1)
        reached = self._scores_of(residual, torch.arange(len(residual)), leader)
        # The rough score from which the upper bound of a float32 score reaches the leader's.
        needed = (reached - self._bound(residual, rounded)) / (1 + BFLOAT16_ROUNDING)
        needed = needed.masked_fill(~active, torch.inf)
        signal, word, many = _reaching(rough, largest, needed, most=self._most)
        known = word < len(self._dictionary)
        best = self._best_of(residual, signal[known], word[known])
        if many.any():
            best[many] = self._exact(residual[many], active=active[many])
        return best

    def _room(self, n_signals: int) -> Float[Tensor, "signal word"]:
        """For all rough scores; kept, since claiming it anew takes as long as the product."""
        if len(self._scores) < n_signals:
            self._scores = self._scores.new_empty(n_signals, self._rounded.shape[1])
        return self._scores[:n_signals]

    def _bound(
        self,
        residual: Float[Tensor, "signal d_out"],
        rounded: Float[Tensor, "signal d_out"],
    ) -> Float[Tensor, " signal"]:
        """Of |float32 score - rough score|, but for the rounding of the rough score itself."""
        length = residual.norm(dim=1)
        rounding = (residual - rounded.float()).norm(dim=1) * self._word_length
        rounding += length * self._word_error
        summing = 2 * residual.shape[1] * FLOAT32_ROUNDING * length * self._word_length
        bound: Tensor = SLACK * (rounding + summing)
        return bound

    def _scores_of(
        self,
        residual: Float[Tensor, "signal d_out"],
        signal: Int[Tensor, " candidate"],
        word: Int[Tensor, " candidate"],
    ) -> Float[Tensor, " candidate"]:
        """|residual . word| in float32."""
        pairs = residual.index_select(0, signal) * self._dictionary.index_select(0, word)
        return pairs.sum(dim=1).abs()

    def _best_of(
        self,
        residual: Float[Tensor, "signal d_out"],
        signal: Int[Tensor, " candidate"],
        word: Int[Tensor, " candidate"],
    ) -> Int[Tensor, " signal"]:
        """The best of each signal's candidates; word 0 where there are none."""
        starts = range(0, max(1, len(word)), CANDIDATES_AT_ONCE)
        parts = [slice(start, start + CANDIDATES_AT_ONCE) for start in starts]
        scores = torch.cat([self._scores_of(residual, signal[part], word[part]) for part in parts])
        largest = scores.new_zeros(len(residual)).scatter_reduce(0, signal, scores, "amax")
        wins = scores == largest[signal]
        none = len(self._dictionary)
        best = torch.full((len(residual),), none)
        best = best.scatter_reduce(0, signal[wins], word[wins], "amin")
        return best.masked_fill(best == none, 0)


def _reaching(
    rough: Int[Tensor, "signal word"],
    largest: Int[Tensor, "signal group"],
    needed: Float[Tensor, " signal"],
    *,
    most: int,
) -> tuple[Int[Tensor, " candidate"], Int[Tensor, " candidate"], Bool[Tensor, " signal"]]:
    """Signals and words whose rough score is at least what the signal needs, both ascending.

    Signals with more than ``most`` are told instead (third), and left out.
    """
    signal, group = (_as_float(largest) >= needed[:, None]).nonzero(as_tuple=True)
    many = torch.bincount(signal, minlength=len(needed)) > most
    signal, group = signal[~many[signal]], group[~many[signal]]
    scores = rough.view(-1, GROUP).index_select(0, signal * largest.shape[1] + group)
    place, within = (_as_float(scores) >= needed[signal, None]).nonzero(as_tuple=True)
    signal, word = signal[place], group[place] * GROUP + within
    many |= torch.bincount(signal, minlength=len(needed)) > most
    return signal[~many[signal]], word[~many[signal]], many


def _leader(
    rough: Int[Tensor, "signal word"], largest: Int[Tensor, "signal group"]
) -> Int[Tensor, " signal"]:
    """A word with the largest rough score of each signal."""
    group = largest.argmax(dim=1)
    first = torch.arange(len(rough)) * largest.shape[1]
    within = rough.view(-1, GROUP).index_select(0, first + group).argmax(dim=1)
    place: Tensor = group * GROUP + within
    return place


def _whole_groups(n_words: int) -> int:
    return -(-n_words // GROUP) * GROUP


def _magnitudes(scores: Tensor) -> Tensor:
    """|scores| of bfloat16, in place, as integers in the same order, which are compared faster."""
    return scores.view(torch.int16).bitwise_and_(_ALL_BUT_SIGN)


def _as_float(magnitudes: Tensor) -> Tensor:
    return magnitudes.view(torch.bfloat16).float()
