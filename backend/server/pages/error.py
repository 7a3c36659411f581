"""What went wrong, and ways on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.base import Page

ERROR_HEADINGS = {
    404: "Nothing lives here",
    413: "That is too large",
    422: "That cannot be read",
    429: "Too many requests",
    503: "Not ready yet",
    507: "No room for more",
}


@dataclass(frozen=True, kw_only=True)
class ErrorPage(Page):
    """What went wrong, and ways on."""

    template: ClassVar[str] = "error.html"

    detail: schemas.ErrorDetail
    """The error, as its JSON body gives it."""
    heading: str
    """The error in three words."""


def error_page(detail: schemas.ErrorDetail) -> ErrorPage:
    heading = ERROR_HEADINGS.get(detail.status, "Something went wrong")
    return ErrorPage(title=heading, description=detail.message, detail=detail, heading=heading)
