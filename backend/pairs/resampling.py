"""How far figures of a pair would move if other images had been drawn: a bootstrap over images.

As many images are drawn as there are, with replacement; of a large set each a Poisson(1) number of
times, which comes to the same.  Only the most extreme values of a pair are stored; they are nearly
all that its norm and its top images rest on.  Further ones are needed where extreme images are
drawn too seldom, and are read off the histogram; all others count through the variance of the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.statistics import NO_IMAGE, RANKS

RESAMPLES = 1000
"""A percentile of the norm then repeats within a twentieth of the interval; a pair costs 3 ms."""

SEED = 0
"""The same draws for every pair and in every process."""

LOOKED_AT = 4 * RANKS
"""Images of which it matters how often they are drawn: the stored ones, and as many beyond."""

LEVEL = 0.95
"""Of the intervals, which leave out equally much at both ends."""


@dataclass(frozen=True)
class PairSample:
    """What is stored of one pair's values; all oriented alike.

    Attributes:
        high, high_images: the largest values, NaN and NO_IMAGE where there are fewer.
        low, low_images: the smallest.
        counts, edges: histogram over all images, edges ascending.
        count, mean, m2: over all images; m2 the sum of squared deviations.
    """

    high: Float[Tensor, " rank"]
    high_images: Int[Tensor, " rank"]
    low: Float[Tensor, " rank"]
    low_images: Int[Tensor, " rank"]
    counts: Int[Tensor, " bin"]
    edges: Float[Tensor, " edge"]
    count: int
    mean: float
    m2: float


@dataclass(frozen=True)
class Resampled:
    """Figures of one pair in every resample.

    Attributes:
        spread: mean |value - mean| of the RANKS most deviating draws; times |D| it is the norm.
        retained: mean of (value - mean) over the highest distinct images drawn, over the same for
            the highest of all; NaN where that is not positive.
    """

    spread: Float[Tensor, " resample"]
    retained: Float[Tensor, " resample"]


def resample(sample: PairSample, *, top: int) -> Resampled:
    """Draws the images of a pair RESAMPLES times; ``top`` images are looked at for ``retained``."""
    known, beyond = _known(sample), _beyond(sample)
    values = torch.cat([known, beyond])
    draws, normals = _draws(sample.count)
    drawn = draws[:, : len(values)]
    deviation = known - sample.mean
    rest = max(sample.m2 - float(deviation.square().sum()), 0.0)
    moved = (drawn[:, : len(known)] - 1) @ deviation + normals * rest**0.5
    means = sample.mean + moved / max(sample.count, 1)
    return Resampled(
        spread=_spread(values, drawn, sample.mean, means, kept=min(RANKS, sample.count)),
        retained=_retained(values, drawn, sample.mean, top=top),
    )


def interval(values: Float[Tensor, " resample"]) -> tuple[float, float]:
    """The percentiles between which LEVEL of the values lie."""
    tail = (1 - LEVEL) / 2
    low, high = torch.quantile(values, torch.tensor([tail, 1 - tail], dtype=values.dtype)).tolist()
    return low, high


def _known(sample: PairSample) -> Float[Tensor, " image"]:
    """Stored values, each image once."""
    images = torch.cat([sample.high_images, sample.low_images])
    values = torch.cat([sample.high, sample.low])[images != NO_IMAGE]
    images = images[images != NO_IMAGE]
    distinct, places = torch.unique(images, return_inverse=True)
    # An image that stands in both lists has the same value in both.
    return values.new_empty(len(distinct)).scatter_(0, places, values)


def _beyond(sample: PairSample) -> Float[Tensor, " image"]:
    """Values next to the stored ones, at most RANKS at either end, evenly within their bins."""
    missing = sample.count - len(_known(sample))
    if missing <= 0:
        return sample.high.new_empty(0)
    above = sample.high[sample.high_images != NO_IMAGE]
    below = sample.low[sample.low_images != NO_IMAGE]
    from_top = _ranked(
        sample.counts.flip(0), sample.edges.flip(0), len(above), min(RANKS, (missing + 1) // 2)
    )
    from_bottom = _ranked(sample.counts, sample.edges, len(below), min(RANKS, missing // 2))
    return torch.cat([from_top, from_bottom]).clamp(below.max(), above.min())


def _ranked(
    counts: Int[Tensor, " bin"], edges: Float[Tensor, " edge"], after: int, wanted: int
) -> Float[Tensor, " rank"]:
    """Values of the ranks behind ``after`` from the end at which the bins begin."""
    ends = counts.cumsum(0)
    ranks = after + torch.arange(wanted) + 0.5
    bins = torch.searchsorted(ends.to(ranks.dtype), ranks).clamp_max(len(counts) - 1)
    inside = (ranks - (ends - counts)[bins]) / counts[bins].clamp_min(1)
    return edges[bins] + inside.clamp(0, 1) * (edges[bins + 1] - edges[bins])


@lru_cache(maxsize=16)
def _draws(images: int) -> tuple[Float[Tensor, "resample image"], Float[Tensor, " resample"]]:
    """How often each of the looked-at images is drawn, and the others' part in the mean.

    The part is in units of their root summed squared deviation.  Of a set so small that all its
    images are looked at, exactly as many are drawn as there are.
    """
    generator = torch.Generator().manual_seed(SEED)
    if images <= LOOKED_AT:
        chosen = torch.randint(images, (RESAMPLES, images), generator=generator)
        draws = torch.zeros(RESAMPLES, images, dtype=torch.float32)
        draws.scatter_add_(1, chosen, torch.ones_like(draws))
    else:
        rates = torch.ones(RESAMPLES, LOOKED_AT, dtype=torch.float32)
        draws = torch.poisson(rates, generator=generator)
    return draws, torch.randn(RESAMPLES, generator=generator, dtype=torch.float32)


def _spread(
    values: Float[Tensor, " image"],
    drawn: Float[Tensor, "resample image"],
    mean: float,
    means: Float[Tensor, " resample"],
    *,
    kept: int,
) -> Float[Tensor, " resample"]:
    """Mean |value - mean| of the ``kept`` most deviating draws.

    They are taken in the order of the deviation from the mean of all images, which differs from
    that of a resample's own mean only for values that deviate equally far but for its shift.
    """
    order = (values - mean).abs().argsort(descending=True, stable=True)
    values, drawn = values[order], drawn[:, order]
    before = drawn.cumsum(dim=1) - drawn
    taken = torch.minimum(drawn, (kept - before).clamp_min(0))
    deviation = (values - means[:, None]).abs()
    return (taken * deviation).sum(dim=1) / taken.sum(dim=1).clamp_min(1)


def _retained(
    values: Float[Tensor, " image"],
    drawn: Float[Tensor, "resample image"],
    mean: float,
    *,
    top: int,
) -> Float[Tensor, " resample"]:
    """How high the highest distinct images drawn lie beside the highest of all."""
    order = values.argsort(descending=True, stable=True)[: 2 * RANKS]
    values, present = values[order] - mean, (drawn[:, order] > 0).to(values.dtype)
    first = present * (present.cumsum(dim=1) <= top)
    height = (first @ values) / first.sum(dim=1).clamp_min(1)
    whole = values[:top].mean()
    return torch.where(whole > 0, height / whole, torch.nan)
