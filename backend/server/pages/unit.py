"""What the pages of a neuron and of a head have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend.server import charts, schemas
from backend.server.charts import WordBars
from backend.server.pages.base import Page
from backend.server.pages.steps import Step, steps_along
from backend.server.services import Services

WORDS_SHOWN = 12
"""Words of an explanation before the reader asks for all."""


@dataclass(frozen=True, kw_only=True)
class UnitPage(Page):
    """A unit's words, and its neighbours by number."""

    bars: WordBars
    """All words, on one scale."""
    words_shown: int
    """How many words stand before "all words"."""
    steps: list[Step]
    """Previous and next unit of the kind."""


def unit_page_fields(
    services: Services,
    unit: schemas.Unit,
    *,
    kind: str,
    number: int,
    count: int,
    address: Callable[[int], str],
) -> dict[str, Any]:
    """The fields of :class:`UnitPage` and of :class:`~backend.server.pages.base.Page` that depend
    on the unit alone.

    ``number`` is the unit's own of ``count`` of its ``kind``; ``address`` makes a number's page.
    """
    return {
        "view_url": unit.url,
        "model": services.catalog.summary(unit.model),
        "bars": charts.word_bars(unit.explanation),
        "words_shown": WORDS_SHOWN,
        "steps": steps_along(kind, number, count, address, prefixes=("", "Shift+")),
    }
