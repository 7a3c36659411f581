"""What went wrong, and ways on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.base import Page
from backend.server.services import Services

ERROR_HEADINGS = {
    404: "Nothing lives here",
    413: "That is too large",
    422: "That cannot be read",
    429: "Too many requests",
    503: "Not ready yet",
    507: "No room for more",
}


@dataclass(frozen=True, kw_only=True)
class WayBack:
    """The form that the visitor came from."""

    label: str
    url: str


@dataclass(frozen=True, kw_only=True)
class ErrorPage(Page):
    """What went wrong, and ways on."""

    template: ClassVar[str] = "error.html"

    detail: schemas.ErrorDetail
    """The error, as its JSON body gives it."""
    heading: str
    """The error in three words."""
    back: WayBack | None
    """Where to try again; ``None`` where the address is no form's."""


def error_page(detail: schemas.ErrorDetail, services: Services | None, place: str) -> ErrorPage:
    """The page of an error at ``place``, an address without the server's prefix.

    ``services`` is ``None`` while the server starts: then no model is known.
    """
    heading = ERROR_HEADINGS.get(detail.status, "Something went wrong")
    name, _, rest = place.removeprefix("/").partition("/")
    known = services is not None and services.catalog.data_version(name) is not None
    return ErrorPage(
        title=heading,
        description=detail.message,
        model=services.catalog.summary(name) if services is not None and known else None,
        detail=detail,
        heading=heading,
        back=_way_back(services, name, rest) if services is not None and known else None,
    )


def _way_back(services: Services, name: str, rest: str) -> WayBack | None:
    """The form at the beginning of ``rest``, what follows a model's name in an address."""
    urls = services.urls
    if rest.startswith("lab"):
        return WayBack(label="Back to the lab", url=urls.lab(name))
    if rest.startswith("search/picture"):
        return WayBack(label="Back to the search by a picture", url=urls.picture_search(name))
    if rest.startswith("collection"):
        return WayBack(label="Back to the collection", url=urls.collection(name))
    return None
