"""Search by text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from backend.server import schemas
from backend.server.engine import EngineError
from backend.server.errors import ApiError
from backend.server.pages.base import Page
from backend.server.pages.tiles import Tile, tiles_of_pairs
from backend.server.services import Services

SEARCH_LIMIT = 12
"""Results of either kind on a first page: whole rows of two, three and four cards."""


class SearchPageQuery(schemas.SearchQuery):
    """The page's own: nothing need be asked yet."""

    q: str = ""
    limit: int = Field(default=SEARCH_LIMIT, ge=1, le=schemas.MAX_RESULTS)


@dataclass(frozen=True, kw_only=True)
class SearchPage(Page):
    """Pairs that answer to a text."""

    template: ClassVar[str] = "search.html"

    asked: schemas.SearchQuery
    """What the address asks for."""
    results: schemas.SearchResults | None
    """``None`` when nothing was asked or the query was refused."""
    problem: str | None
    """Why there are no results, in one sentence; ``None`` when there are, or nothing was asked."""
    more_url: str | None
    """The same search with a larger limit; ``None`` at the end."""
    example_words: list[str]
    """Words worth a search."""


def search_page(
    services: Services, name: str, asked: SearchPageQuery
) -> tuple[SearchPage, int, dict[str, str]]:
    """The page, its status and its further headers."""
    model = services.catalog.check_pair(name, asked.neuron or 0, asked.head or 0)
    results, problem, status, headers = None, None, 200, {}
    if asked.q.strip():
        try:
            results = services.catalog.search(name, asked)
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
    query = results.query if results else asked.q[: schemas.MAX_QUERY_CHARACTERS]
    page = SearchPage(
        title=f"“{query}” in {name}" if query else f"Search {name}",
        description=f"Neuron-head pairs of {name} that answer to a text.",
        json_url=_twin(services, name, asked, query) if results else None,
        tiles=_tiles(name, results),
        view_url=_address(services, name, asked, query, asked.limit if results else None),
        model=services.catalog.summary(name),
        query=query,
        asked=asked,
        results=results,
        problem=problem,
        more_url=_more(services, name, asked, results),
        example_words=model.example_words,
    )
    return page, status, headers


def _address(
    services: Services, name: str, asked: SearchPageQuery, query: str, limit: int | None
) -> str:
    others = {key: value for key, value in asked.asked().items() if key not in {"q", "limit"}}
    shown = None if limit == SEARCH_LIMIT else limit
    return services.urls.search(name, query or None, **others, limit=shown)


def _twin(services: Services, name: str, asked: SearchPageQuery, query: str) -> str:
    others = {key: value for key, value in asked.asked().items() if key not in {"q", "limit"}}
    return services.urls.api_search(name, query, **others, limit=asked.limit)


def _more(
    services: Services,
    name: str,
    asked: SearchPageQuery,
    results: schemas.SearchResults | None,
) -> str | None:
    if results is None or results.next_limit is None:
        return None
    return _address(services, name, asked, results.query, results.next_limit)


def _tiles(name: str, results: schemas.SearchResults | None) -> tuple[Tile, ...]:
    if results is None:
        return ()
    by_words = results.by_words.results if results.by_words else []
    return tiles_of_pairs(name, results.results or by_words)
