"""Search by text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.engine import EngineError
from backend.server.errors import ApiError
from backend.server.pages.base import Page
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services

SEARCH_LIMIT = 24
"""Results on a first page: whole rows of two, three and four cards."""


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


def search_page(
    services: Services, name: str, q: str, limit: int
) -> tuple[SearchPage, int, dict[str, str]]:
    """The page, its status and its further headers."""
    detail = services.catalog.model(name)
    results, problem, status, headers = None, None, 200, {}
    if q.strip():
        try:
            results = services.catalog.search(name, q, limit)
        except ApiError as error:
            problem, status, headers = error.message, error.status, error.headers
        except EngineError as error:
            wait = error.retry_after
            headers = {} if wait is None else {"Retry-After": str(wait)}
            status = 503
            problem = (
                f"This text is not a word of the model's vocabulary, so the model itself is "
                f"needed to read it. {error}"
            )
    asked = results.query if results else q[: schemas.MAX_QUERY_CHARACTERS]
    more = None
    if results is not None and results.next_limit is not None:
        more = services.urls.search(name, results.query, results.next_limit)
    page = SearchPage(
        title=f"“{asked}” in {name}" if asked else f"Search {name}",
        description=f"Neuron-head pairs of {name} whose direction is most similar to a text.",
        json_url=services.urls.api_search(name, results.query, limit) if results else None,
        tiles=tiles_of_pairs(detail.name, results.results) if results else (),
        view_url=services.urls.search(name, asked or None, limit if results else None),
        model=detail,
        query=asked,
        results=results,
        problem=problem,
        more_url=more,
        example_words=detail.example_words,
    )
    return page, status, headers
