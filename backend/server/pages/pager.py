"""Ways from one page of a long list to the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PagerLink:
    """A way to another page of a list."""

    label: str
    rel: str
    """The link's relation to this page, as HTML names it; may be empty."""
    url: str | None
    """``None`` where there is no such page."""


def pager_links(
    address: Callable[[int], str], *, offset: int, limit: int, total: int
) -> list[PagerLink]:
    """First, previous, next and last page; ``address`` makes that of an offset."""
    before, after = offset > 0, offset + limit < total

    def link(label: str, rel: str, to: int, there: bool) -> PagerLink:
        return PagerLink(label=label, rel=rel, url=address(to) if there else None)

    return [
        link("First", "", 0, before),
        link("Previous", "prev", max(offset - limit, 0), before),
        link("Next", "next", offset + limit, after),
        link("Last", "", (total - 1) // limit * limit, after),
    ]
