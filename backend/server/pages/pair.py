"""The sub-concept page: one pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from backend.server import charts, formats, schemas
from backend.server.charts import CurveChart, HistogramChart, WordBars
from backend.server.pages.base import Page
from backend.server.pages.steps import Step, steps_along
from backend.server.pages.tiles import tiles_of_images
from backend.server.pages.unit import WORDS_SHOWN
from backend.server.services import Services

PROMPTS_FROM_PAIR = 2
"""Words of a pair that the lab begins with."""


@dataclass(frozen=True, kw_only=True)
class PairPage(Page):
    """The sub-concept page: everything known of one pair."""

    template: ClassVar[str] = "pair.html"
    parts: ClassVar[tuple[str, ...]] = (
        "top",
        "figures",
        "words",
        "certainty",
        "neuron",
        "bottom",
        "siblings",
        "nearest",
        "coactive",
    )

    pair: schemas.Pair
    """The pair itself, as its JSON twin gives it."""
    bars: WordBars
    """All words, on one scale."""
    words_shown: int
    """How many words stand before "all words"."""
    histogram: HistogramChart
    """The value over the data set."""
    curve: CurveChart
    """Cosine reached against number of words."""
    steps: list[Step]
    """Previous and next head, previous and next neuron."""
    compare_urls: dict[str, str]
    """By list (siblings, nearest, coactive): this pair and the first of the list side by side."""
    try_url: str
    """The lab, with the pair to be tried on a picture, and its first words as prompts."""


def pair_page(services: Services, name: str, neuron: int, head: int) -> PairPage:
    pair = services.catalog.pair(name, neuron, head)
    detail = services.catalog.summary(name)
    words = formats.first_words(pair.explanation)
    wanted = [word.word for word in pair.explanation if word.weight > 0][:PROMPTS_FROM_PAIR]
    return PairPage(
        title=f"{words or 'Pair'} ({neuron}, {head})",
        description=f"Neuron {neuron}, head {head} of {name}: {words}. Norm "
        f"{formats.number(pair.norm)}, larger than {formats.percentile(pair.norm_percentile)} % "
        "of pairs.",
        json_url=services.urls.api_pair(name, neuron, head),
        tiles=tiles_of_images(detail.name, pair.top_images, (neuron, head)),
        view_url=pair.url,
        model=detail,
        pair=pair,
        bars=charts.word_bars(pair.explanation),
        words_shown=WORDS_SHOWN,
        histogram=charts.histogram_chart(
            pair.histogram,
            mean=pair.mean,
            top_values=[image.value for image in pair.top_images],
            bottom_values=[image.value for image in pair.bottom_images],
        ),
        curve=charts.curve_chart(pair.cosine_by_words),
        steps=_steps(services, detail, neuron, head),
        try_url=services.urls.lab(name, prompts=wanted or None, pairs=f"{neuron}.{head}"),
        compare_urls=_compare_urls(services, pair),
    )


def _compare_urls(services: Services, pair: schemas.Pair) -> dict[str, str]:
    here = (pair.neuron, pair.head)
    lists: dict[str, Sequence[schemas.PairSummary]] = {
        "siblings": pair.siblings,
        "nearest": pair.nearest,
        "coactive": pair.coactive,
    }
    return {
        name: services.urls.compare(
            pair.model,
            [here, *((n.neuron, n.head) for n in others[: schemas.MAX_COMPARED - 1])],
        )
        for name, others in lists.items()
    }


def _steps(services: Services, detail: schemas.ModelSummary, neuron: int, head: int) -> list[Step]:
    urls, name = services.urls, detail.name
    heads = steps_along(
        "head", head, detail.heads, lambda h: urls.pair(name, neuron, h), prefixes=("",)
    )
    neurons = steps_along(
        "neuron", neuron, detail.neurons, lambda n: urls.pair(name, n, head), prefixes=("Shift+",)
    )
    return heads + neurons
