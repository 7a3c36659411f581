"""Geometry of the figures that templates draw as inline SVG.

Pure arithmetic: numbers of the wire in, positions in an SVG's own units out.  Colours, fonts and
words belong to the templates and the stylesheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.server.schemas import CosineStep, Histogram, Word

CHART_WIDTH = 480.0
"""Width of a chart in SVG units: about one text column, so that labels keep their size."""

CHART_HEIGHT = 190.0
MARGIN_LEFT = 38.0
MARGIN_RIGHT = 14.0
MARGIN_TOP = 22.0
MARGIN_BOTTOM = 42.0


@dataclass(frozen=True)
class Tick:
    """A mark on an axis."""

    at: float
    """Position in SVG units."""
    value: float
    """The number to print there."""


@dataclass(frozen=True)
class WordBar:
    """One row of the signed bar chart of words."""

    word: str
    weight: float
    x: float
    """Left end in percent of the row's width."""
    width: float
    """Length in percent of the row's width."""


@dataclass(frozen=True)
class WordBars:
    """All rows, on one scale."""

    zero: float
    """Where weight 0 lies, in percent of the row's width."""
    bars: list[WordBar]


@dataclass(frozen=True)
class HistogramBar:
    """One bin."""

    x: float
    y: float
    width: float
    height: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Chart:
    """The frame that a chart's marks lie in."""

    width: float = CHART_WIDTH
    height: float = CHART_HEIGHT
    left: float = MARGIN_LEFT
    right: float = CHART_WIDTH - MARGIN_RIGHT
    base: float = CHART_HEIGHT - MARGIN_BOTTOM
    """y of the horizontal axis."""
    top: float = MARGIN_TOP


@dataclass(frozen=True, kw_only=True)
class HistogramChart(Chart):
    """Histogram of a pair's value over the data set, with its mean and its exemplars marked."""

    bars: list[HistogramBar]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    mean_x: float
    top_marks: list[float]
    """x of the top images' values."""
    bottom_marks: list[float]


@dataclass(frozen=True)
class CurvePoint:
    """One step of the curve."""

    x: float
    y: float
    words: int
    cosine: float


@dataclass(frozen=True)
class NullCurve:
    """What chance reaches, beside the curve."""

    name: str
    path: str
    """The line, as SVG path data."""
    y: float
    """Where the line ends."""


@dataclass(frozen=True, kw_only=True)
class CurveChart(Chart):
    """Cosine reached against the number of words, words on a logarithmic axis."""

    points: list[CurvePoint]
    path: str
    """The line through the points, as SVG path data."""
    y_ticks: list[Tick]
    nulls: list[NullCurve]
    """Random directions and shuffled words, on the same axes."""


def word_bars(words: Sequence[Word]) -> WordBars:
    """Place signed bars so that the longest on either side of zero just fits."""
    most = max((word.weight for word in words), default=0.0)
    least = min((word.weight for word in words), default=0.0)
    most, least = max(most, 0.0), min(least, 0.0)
    span = (most - least) or 1.0
    zero = -100.0 * least / span
    bars = [
        WordBar(
            word=word.word,
            weight=word.weight,
            x=round(zero + 100.0 * min(word.weight, 0.0) / span, 2),
            width=round(100.0 * abs(word.weight) / span, 2),
        )
        for word in words
    ]
    return WordBars(zero=round(zero, 2), bars=bars)


def histogram_chart(
    histogram: Histogram,
    mean: float,
    top_values: Sequence[float],
    bottom_values: Sequence[float],
) -> HistogramChart:
    """Place the bins that hold images; empty bins at both ends are left out of the view."""
    low, high = _occupied(histogram)
    edges = histogram.edges[low : high + 2]
    counts = histogram.counts[low : high + 1]
    x_of = _scale(edges[0], edges[-1], MARGIN_LEFT, CHART_WIDTH - MARGIN_RIGHT)
    base = CHART_HEIGHT - MARGIN_BOTTOM
    highest = max(counts, default=0) or 1
    y_of = _scale(0.0, float(highest), base, MARGIN_TOP)
    bars = [
        HistogramBar(
            x=round(x_of(left), 2),
            y=round(y_of(count), 2),
            width=round(max(x_of(right) - x_of(left) - 0.6, 0.4), 2),
            height=round(base - y_of(count), 2),
            low=left,
            high=right,
            count=count,
        )
        for left, right, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]

    def inside(value: float) -> float:
        return round(x_of(min(max(value, edges[0]), edges[-1])), 2)

    return HistogramChart(
        bars=bars,
        x_ticks=[Tick(round(x_of(v), 2), v) for v in nice_ticks(edges[0], edges[-1], 6)],
        y_ticks=[Tick(round(y_of(v), 2), v) for v in nice_ticks(0.0, highest, 3) if v == int(v)],
        mean_x=inside(mean),
        top_marks=[inside(value) for value in top_values],
        bottom_marks=[inside(value) for value in bottom_values],
    )


def curve_chart(steps: Sequence[CosineStep]) -> CurveChart:
    """Place the cosine reached after 1, 2, 4, … words."""
    base = CHART_HEIGHT - MARGIN_BOTTOM
    least = min((step.cosine for step in steps), default=0.0)
    y_low = min(0.0, math.floor(least * 4) / 4)
    y_of = _scale(y_low, 1.0, base, MARGIN_TOP)
    most_words = max((step.words for step in steps), default=2)
    x_of = _scale(0.0, math.log2(max(most_words, 2)), MARGIN_LEFT + 30, CHART_WIDTH - 34)
    points = [
        CurvePoint(
            x=round(x_of(math.log2(max(step.words, 1))), 2),
            y=round(y_of(step.cosine), 2),
            words=step.words,
            cosine=step.cosine,
        )
        for step in steps
    ]
    nulls = []
    for name, values in (
        ("random", [step.random for step in steps]),
        ("shuffled", [step.shuffled for step in steps]),
    ):
        places = [(p.x, round(y_of(v), 2)) for p, v in zip(points, values, strict=True)]
        if places:
            nulls.append(NullCurve(name=name, path=_line(places), y=places[-1][1]))
    return CurveChart(
        points=points,
        path=_line([(point.x, point.y) for point in points]),
        y_ticks=[Tick(round(y_of(v), 2), v) for v in nice_ticks(y_low, 1.0, 3)],
        nulls=nulls,
    )


def _line(places: Sequence[tuple[float, float]]) -> str:
    """A line through points, as SVG path data."""
    return " ".join(f"{'L' if i else 'M'}{x} {y}" for i, (x, y) in enumerate(places))


def nice_ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten apart) between ``low`` and ``high``."""
    if not high > low:
        return [low]
    rough = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((m * power for m in (1, 2, 2.5, 5) if m * power >= rough), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def _occupied(histogram: Histogram) -> tuple[int, int]:
    """First and last bin that hold an image (all bins when none does)."""
    held = [place for place, count in enumerate(histogram.counts) if count > 0]
    return (held[0], held[-1]) if held else (0, len(histogram.counts) - 1)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """Linear map from ``[low, high]`` to ``[start, end]``; a single point maps to the middle."""
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)
