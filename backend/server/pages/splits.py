"""The gallery of splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.errors import invalid
from backend.server.pages.base import Page
from backend.server.pages.pager import PagerLink, pager_links
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services
from backend.server.splits import SPLITS_KEPT, gallery


@dataclass(frozen=True, kw_only=True)
class SplitsPage(Page):
    """The pairs that part most strongly from their neuron."""

    template: ClassVar[str] = "splits.html"

    gallery: schemas.Splits
    """One page of the gallery."""
    pager: list[PagerLink]
    """Ways to the other pages of the gallery."""


def splits_page(services: Services, name: str, offset: int) -> SplitsPage:
    if not 0 <= offset <= SPLITS_KEPT:
        raise invalid("offset", f"offset must be 0 to {SPLITS_KEPT}.")
    opened, limit = services.catalog.open_store(name), schemas.DEFAULT_SPLITS
    found = gallery(opened, services.urls, offset=offset, limit=limit)
    return SplitsPage(
        title=f"Where neurons of {name} split",
        description=f"Pairs of {name} that part most strongly from their neuron: sub-concepts "
        "that one head makes of it.",
        json_url=services.urls.api_splits(name, offset=offset or None),
        tiles=tiles_of_pairs(name, found.splits),
        view_url=services.urls.splits(name, offset or None),
        model=services.catalog.summary(name),
        gallery=found,
        pager=pager_links(
            lambda to: services.urls.splits(name, to or None),
            offset=offset,
            limit=limit,
            total=found.total,
        ),
    )
