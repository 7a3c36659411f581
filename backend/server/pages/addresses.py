"""Which addresses are pages that can be shared, and how each is built.

A share keeps the address of a view.  It is checked here when the share is made, and built here
when the share is opened, so that a page that can be shown can be shared and the other way round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ValidationError

from backend.server import schemas
from backend.server.collected import wanted_list
from backend.server.errors import invalid, reason
from backend.server.pages.base import Page
from backend.server.pages.collection import collection_page
from backend.server.pages.compare import compare_page
from backend.server.pages.docs import docs_page
from backend.server.pages.finder import finder_page
from backend.server.pages.head import head_page
from backend.server.pages.home import home_page
from backend.server.pages.lab import lab_page
from backend.server.pages.model import AtlasQuery, model_page
from backend.server.pages.neuron import neuron_page
from backend.server.pages.pair import pair_page
from backend.server.pages.picture_search import PictureQuery, picture_search_page
from backend.server.pages.provenance import provenance_page
from backend.server.pages.query import Query
from backend.server.pages.search import SearchPageQuery, search_page
from backend.server.pages.splits import splits_page
from backend.server.services import Services

Asked = TypeVar("Asked", bound=BaseModel)


def _asked_of(kind: type[Asked], query: Query) -> Asked:
    """What an address asks for; 422 for what it cannot."""
    try:
        return kind.model_validate(query.firsts())
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid("view", f"{first['loc'][0]}: {reason(first)}.") from error


Build = Callable[[Services, dict[str, str], Query], Page]


@dataclass(frozen=True)
class Address:
    """A page's path, without the server's prefix, and how the page is made from it.

    ``path`` names its variable segments like a route: ``{name}`` is any segment, ``{name:int}`` a
    whole number of up to nine digits.
    """

    path: str
    build: Build

    def match(self, path: str) -> dict[str, str] | None:
        """Its variable segments, where ``path`` is such an address."""
        pattern = re.sub(r"{(\w+):int}", r"(?P<\1>[0-9]{1,9})", self.path)
        found = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern), path)
        return None if found is None else found.groupdict()


ADDRESSES = (
    Address("/", lambda services, at, query: home_page(services)),
    Address("/docs", lambda services, at, query: docs_page(services)),
    Address(
        "/{model}",
        lambda services, at, query: model_page(services, at["model"], _asked_of(AtlasQuery, query)),
    ),
    Address(
        "/{model}/provenance", lambda services, at, query: provenance_page(services, at["model"])
    ),
    Address(
        "/{model}/search",
        lambda services, at, query: search_page(
            services, at["model"], _asked_of(SearchPageQuery, query)
        )[0],
    ),
    Address(
        "/{model}/search/picture",
        lambda services, at, query: picture_search_page(
            services, at["model"], _asked_of(PictureQuery, query)
        ),
    ),
    Address(
        "/{model}/pairs",
        lambda services, at, query: finder_page(
            services, at["model"], _asked_of(schemas.FinderQuery, query)
        ),
    ),
    Address(
        "/{model}/collection",
        lambda services, at, query: collection_page(
            services,
            at["model"],
            wanted_list(
                query.texts("pairs"), query.texts("note"), query.text("title"), query.text("about")
            ),
        ),
    ),
    Address("/{model}/lab", lambda services, at, query: lab_page(services, at["model"], query)),
    Address(
        "/{model}/splits",
        lambda services, at, query: splits_page(services, at["model"], query.number("offset", 0)),
    ),
    Address(
        "/{model}/compare",
        lambda services, at, query: compare_page(services, at["model"], query.text("pairs"))[0],
    ),
    Address(
        "/{model}/heads/{head:int}",
        lambda services, at, query: head_page(services, at["model"], int(at["head"])),
    ),
    Address(
        "/{model}/neurons/{neuron:int}",
        lambda services, at, query: neuron_page(services, at["model"], int(at["neuron"])),
    ),
    Address(
        "/{model}/pairs/{neuron:int}/{head:int}",
        lambda services, at, query: pair_page(
            services, at["model"], int(at["neuron"]), int(at["head"])
        ),
    ),
)


def view_of(services: Services, view: str) -> Page:
    """The page at a root-relative address without the server's prefix.

    Raises 422 for an address that is no page which can be shared, and what building the page
    raises: 404 for a model, neuron or pair that does not exist.
    """
    address, at, query = _find(view)
    return address.build(services, at, query)


def model_of(services: Services, view: str) -> str | None:
    """The model that a page shows, ``None`` for all of them; raises what :func:`view_of` does."""
    address, at, query = _find(view)
    address.build(services, at, query)
    return at.get("model")


def _find(view: str) -> tuple[Address, dict[str, str], Query]:
    parts = urlsplit(view)
    path = unquote(parts.path) or "/"
    for address in ADDRESSES:
        if (at := address.match(path)) is not None:
            return address, at, Query(parts.query)
    raise invalid("view", "The view is not a page of this server that can be shared.")
