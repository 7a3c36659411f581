"""One head of the attention pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import charts, formats, schemas
from backend.server.charts import WordBars
from backend.server.pages.base import Page
from backend.server.pages.neuron import WORDS_SHOWN
from backend.server.pages.steps import Step, steps_along
from backend.server.pages.tiles import tiles_of_images
from backend.server.services import Services
from backend.server.units import head_unit


@dataclass(frozen=True, kw_only=True)
class HeadPage(Page):
    """A head as a unit, its pairs, and what sets it apart from other heads."""

    template: ClassVar[str] = "head.html"
    parts: ClassVar[tuple[str, ...]] = (
        "top",
        "figures",
        "words",
        "shared",
        "strongest",
        "clearest",
        "bottom",
    )

    head: schemas.Head
    """The head itself, as its JSON twin gives it."""
    neurons: int
    """Neurons of the model: as many pairs has the head."""
    bars: WordBars
    """All words, on one scale."""
    words_shown: int
    """How many words stand before "all words"."""
    steps: list[Step]
    """Previous and next head."""


def head_page(services: Services, name: str, number: int) -> HeadPage:
    opened = services.catalog.check_head(name, number)
    head = head_unit(opened, services.urls, number)
    own = ", ".join(word.word for word in head.own_words[:3])
    return HeadPage(
        title=f"{formats.first_words(head.explanation) or 'Head'} (head {number})",
        description=f"Head {number} of {name}"
        + (f": its pairs speak of {own} more than those of other heads do." if own else "."),
        json_url=services.urls.api_head(name, number),
        tiles=tiles_of_images(name, head.top_images),
        view_url=head.url,
        model=services.catalog.summary(name),
        head=head,
        neurons=opened.n_neurons,
        bars=charts.word_bars(head.explanation),
        words_shown=WORDS_SHOWN,
        steps=steps_along(
            "head",
            number,
            opened.n_heads,
            lambda h: services.urls.head(name, h),
            prefixes=("", "Shift+"),
        ),
    )
