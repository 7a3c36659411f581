"""The table of all pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from backend.server import schemas
from backend.server.finder import conditions, find_pairs
from backend.server.pages.base import Page
from backend.server.pages.pager import PagerLink, pager_links
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.schemas.finder import SortColumn
from backend.server.services import Services
from backend.server.urls import Urls


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A column that the table can be sorted by."""

    name: SortColumn
    label: str
    about: str
    """What the figure is, in one sentence."""
    anchor: str
    """Where the method page says more."""
    url: str
    """The table sorted by this column; the other way round where it is already."""
    sorted: Literal["ascending", "descending"] | None


@dataclass(frozen=True, kw_only=True)
class Range:
    """A figure with a least and a most."""

    name: str
    label: str
    least: float
    """Smallest value that makes sense."""
    most: float | None
    low: float | None
    """What is asked for; ``None`` for no bound."""
    high: float | None


@dataclass(frozen=True, kw_only=True)
class FinderPage(Page):
    """All pairs of a model, or those that fulfil conditions."""

    template: ClassVar[str] = "finder.html"

    asked: schemas.FinderQuery
    """What the address asks for."""
    found: schemas.FoundPairs
    """One page of the table."""
    headings: list[Heading]
    """The columns of figures."""
    ranges: list[Range]
    """Conditions on figures."""
    narrowed: bool
    """Whether there is any condition."""
    pager: list[PagerLink]
    """Ways to the other pages of the table."""


COLUMNS: tuple[tuple[SortColumn, str, str, str], ...] = (
    ("norm", "Norm", "How far the pair moves the embedding on the images that drive it", "norm"),
    (
        "monosemanticity",
        "Monosemanticity",
        "How much its ten top images mean the same, 0 to 1",
        "monosemanticity",
    ),
    ("cosine", "Cosine", "How well its words explain its direction, all of them together", "words"),
    (
        "held_out",
        "Held-out",
        "Correlation over images of the pair's value with their likeness to its words",
        "words",
    ),
)

RANGES = (
    ("norm", "Norm", 0.0, None),
    ("percentile", "Norm percentile", 0.0, 100.0),
    ("monosemanticity", "Monosemanticity", 0.0, 1.0),
    ("cosine", "Cosine", -1.0, 1.0),
    ("held_out", "Held-out score", -1.0, 1.0),
)


def finder_page(services: Services, name: str, asked: schemas.FinderQuery) -> FinderPage:
    opened = services.catalog.check_pair(name, asked.neuron or 0, asked.head or 0)
    found = find_pairs(opened, services.urls, asked)
    return FinderPage(
        title=f"{found.matching:,} pairs of {name}",
        description=f"The neuron-head pairs of {name} as a table that can be sorted and filtered.",
        json_url=services.urls.api_pairs(name, asked.asked()),
        tiles=tiles_of_pairs(name, found.results),
        view_url=services.urls.pairs(name, asked.asked()),
        model=services.catalog.summary(name),
        asked=asked,
        found=found,
        headings=headings_of(services.urls, name, asked),
        ranges=[
            Range(
                name=column,
                label=label,
                least=least,
                most=most,
                low=getattr(asked, f"{column}_min"),
                high=getattr(asked, f"{column}_max"),
            )
            for column, label, least, most in RANGES
        ],
        narrowed=bool(conditions(asked).keys() - {"sort", "order"}),
        pager=pager_links(
            lambda offset: services.urls.pairs(
                name, asked.model_copy(update={"offset": offset}).asked()
            ),
            offset=asked.offset,
            limit=asked.limit,
            total=found.matching,
        ),
    )


def headings_of(urls: Urls, name: str, asked: schemas.FinderQuery) -> list[Heading]:
    """The columns of figures, each with the address that sorts by it."""
    made = []
    for column, label, about, anchor in COLUMNS:
        here = column == asked.sort
        order = "asc" if here and asked.order == "desc" else "desc"
        changed = asked.model_copy(update={"sort": column, "order": order, "offset": 0})
        direction: Literal["ascending", "descending"]
        direction = "ascending" if asked.order == "asc" else "descending"
        made.append(
            Heading(
                name=column,
                label=label,
                about=about,
                anchor=anchor,
                url=urls.pairs(name, changed.asked()),
                sorted=direction if here else None,
            )
        )
    return made
