"""What each page shows: one dataclass per template, and the one function that draws them.

A template sees exactly the fields of its dataclass, the address builder ``urls`` and ``asset``
(name of a static file to its address).  ``tests/server/test_pages.py`` checks both directions: no
template uses a name that is not documented here, and no field is left unused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import ClassVar

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from backend.server import schemas
from backend.server.assets import FRONTEND, Assets
from backend.server.charts import CurveChart, HistogramChart, WordBars
from backend.server.urls import Urls

MINUS = "\N{MINUS SIGN}"
WORDS_SHOWN = 12
"""Words of an explanation that a pair page shows before the reader asks for all."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What every page has."""

    template: ClassVar[str]

    title: str
    """Heading of the window and of link previews, without the application's name."""
    description: str
    """One sentence for search engines and link previews."""
    json_url: str | None = None
    """The page's JSON twin."""
    image_url: str | None = None
    """Root-relative picture for link previews."""
    view_url: str | None = None
    """The page's own address, which "share" shares; ``None`` where there is nothing to share."""
    model: schemas.ModelSummary | None = None
    """The model that the page is about; its name, search box and lab stand in the header."""
    share: schemas.Share | None = None
    """Set when the page is shown through a share link."""
    query: str = ""
    """What the search box holds."""

    @property
    def private(self) -> bool:
        """Whether the page shows something that only those with its address may see."""
        return self.share is not None


@dataclass(frozen=True, kw_only=True)
class HomePage(Page):
    """What this is, and where to begin."""

    template: ClassVar[str] = "home.html"

    models: list[schemas.ModelSummary]
    """All stores that the server has open; the first one is featured."""
    featured: list[schemas.PairSummary]
    """A few clear pairs of the first model."""
    example_words: list[str]
    """Words worth a first search in the first model."""


@dataclass(frozen=True, kw_only=True)
class ModelPage(Page):
    """Where a model's numbers come from, and its most telling pairs."""

    template: ClassVar[str] = "model.html"

    detail: schemas.ModelDetail
    """The model with its provenance and its strongest and clearest pairs."""


@dataclass(frozen=True, kw_only=True)
class SearchPage(Page):
    """Pairs whose direction is most similar to a text."""

    template: ClassVar[str] = "search.html"

    results: schemas.SearchResults | None
    """``None`` when nothing was asked or the query was refused."""
    problem: str | None
    """Why there are no results, in one sentence; ``None`` when there are, or nothing was asked."""
    more_url: str | None
    """The same search with a larger limit; ``None`` at the end."""
    example_words: list[str]
    """Words worth a search."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A link from a pair to a neighbour on the grid of neurons and heads."""

    axis: str
    """``head`` or ``neuron``: which of the two changes."""
    place: int
    """The neighbour's number on that axis."""
    back: bool
    """Whether it leads to a smaller number."""
    key: str
    """The keyboard's key, as ``KeyboardEvent.key`` calls it, with ``Shift+`` before it."""
    url: str | None
    """``None`` at the edge of the grid."""


@dataclass(frozen=True, kw_only=True)
class PairPage(Page):
    """The sub-concept page: everything known of one pair."""

    template: ClassVar[str] = "pair.html"

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
    try_url: str
    """The lab, with the pair's first words as prompts."""


@dataclass(frozen=True, kw_only=True)
class LabPage(Page):
    """Segment a picture by words."""

    template: ClassVar[str] = "lab.html"

    segmentation: schemas.Segmentation | None
    """A result to show; ``None`` for an empty lab."""
    prompts: list[str]
    """Prompts that are already there."""
    background: bool
    """Whether "background" is one of the answers."""
    samples: list[schemas.Thumbnail]
    """Pictures of the data set to begin with."""
    example_words: list[str]
    """Words that the model knows."""
    upload_limit: str | None
    """Largest file that is accepted, for people (``20 MB``)."""
    max_prompts: int
    """More are refused."""
    max_prompt_characters: int
    """Longer ones are refused."""

    @property
    def private(self) -> bool:
        return self.segmentation is not None or super().private


@dataclass(frozen=True, kw_only=True)
class SharedSegmentationPage(Page):
    """A segmentation that somebody shared."""

    template: ClassVar[str] = "shared_segmentation.html"

    segmentation: schemas.Segmentation
    """The result."""
    heading: str
    """The prompts, as a heading."""


@dataclass(frozen=True, kw_only=True)
class SharedLinkPage(Page):
    """A shared view that cannot be shown in place any more: its title, note and address."""

    template: ClassVar[str] = "shared_link.html"

    link: str
    """The shared page."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One address of the API."""

    method: str
    path: str
    summary: str
    parameters: list[str]
    """Names of the parameters that do not stand in the path."""


@dataclass(frozen=True, kw_only=True)
class DocsPage(Page):
    """The method in brief, and the API's addresses."""

    template: ClassVar[str] = "docs.html"

    operations: list[Operation]
    """All addresses of the API, read from the application's own OpenAPI description."""
    example: schemas.ModelSummary | None
    """A model to write the examples with."""


@dataclass(frozen=True, kw_only=True)
class ErrorPage(Page):
    """What went wrong, and ways on."""

    template: ClassVar[str] = "error.html"

    detail: schemas.ErrorDetail
    """The error, as its JSON body gives it."""
    heading: str
    """The error in three words."""


ERROR_HEADINGS = {
    404: "Nothing lives here",
    410: "This is gone",
    413: "That is too large",
    415: "That is not a picture",
    422: "That cannot be read",
    429: "Too many requests",
    503: "Not ready yet",
}


def render(request: Request, page: Page, status: int = 200) -> HTMLResponse:
    """Draw ``page`` with its template."""
    services = getattr(request.app.state, "services", None)
    urls: Urls = services.urls if services is not None else Urls()
    assets: Assets = request.app.state.assets
    context = {field.name: getattr(page, field.name) for field in fields(page)}
    html = (
        environment()
        .get_template(page.template)
        .render(context, urls=urls, asset=lambda name: urls.static(assets.digest, name))
    )
    headers = {"Cache-Control": "private, no-store" if page.private else "no-cache"}
    if page.share is not None:
        headers["X-Robots-Tag"] = "noindex"
    return HTMLResponse(html, status_code=status, headers=headers)


def render_error(request: Request, detail: schemas.ErrorDetail) -> HTMLResponse:
    """Draw the page of an error; needs nothing but the request to work."""
    page = ErrorPage(
        title=ERROR_HEADINGS.get(detail.status, "Something went wrong"),
        description=detail.message,
        detail=detail,
        heading=ERROR_HEADINGS.get(detail.status, "Something went wrong"),
    )
    return render(request, page, status=detail.status)


@cache
def environment() -> Environment:
    """The template engine: everything escaped, every unknown name an error."""
    made = Environment(
        loader=FileSystemLoader(FRONTEND / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(
        number=number,
        short=short,
        signed=signed,
        percent=percent,
        count=count,
        percentile=percentile,
        first_words=first_words,
    )
    made.globals["MINUS"] = MINUS
    return made


def number(value: float | None) -> str:
    """Three significant digits with a true minus sign, so that columns align; a dash for unknown.

    >>> number(0.012345), number(1234567), number(2.0)
    ('0.0123', '1,230,000', '2.00')
    """
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    if value == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    if abs(rounded) < 1e-4:
        mantissa, exponent = f"{rounded:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    # Rounding up to the next power of ten (9.999 to 10.0) leaves one digit less to show.
    places = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(places, 0)}f}".replace("-", MINUS)


def short(value: float) -> str:
    """Like :func:`number` without closing zeros, for the round numbers of an axis.

    >>> short(0.5), short(100.0), short(1.0)
    ('0.5', '100', '1')
    """
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None) -> str:
    """Like :func:`number`, with a plus sign before positive numbers."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and math.isfinite(value) else text


def percent(share: float) -> str:
    """A share in [0, 1] as percent with a unit; never rounded to 0 or 100 unless it is.

    >>> percent(0.1234), percent(1.0), percent(0.0004)
    ('12.3\\u202f%', '100\\u202f%', '< 0.1\\u202f%')
    """
    scaled = 100.0 * share
    if 0 < scaled < 0.1:
        text = "< 0.1"
    elif 99.9 < scaled < 100:
        text = "> 99.9"
    else:
        text = f"{scaled:.1f}".removesuffix(".0")
    return text + "\N{NARROW NO-BREAK SPACE}%"


def percentile(value: float) -> str:
    """A percentile in [0, 100] without rounding it to the ends.

    >>> percentile(98.76), percentile(99.97), percentile(100)
    ('98.8', '> 99.9', '100')
    """
    if 99.9 < value < 100:
        return "> 99.9"
    return f"{value:.1f}".removesuffix(".0")


def count(value: int) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,}"


def first_words(words: Sequence[schemas.Word], wanted: int = 3) -> str:
    """The first words as a title; words that the direction points away from get a minus.

    >>> first_words([schemas.Word(word="cat", weight=1), schemas.Word(word="wings", weight=0.5)])
    'cat · wings'
    """
    shown = [(MINUS if word.weight < 0 else "") + word.word for word in words[:wanted]]
    return " · ".join(shown)
