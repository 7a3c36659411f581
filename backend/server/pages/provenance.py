"""Where a model's numbers come from, in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.base import Page
from backend.server.provenance import provenance
from backend.server.services import Services

UNREADABLE_SHOWN = 100
"""Names of images that could not be read; the JSON twin has them all."""


@dataclass(frozen=True, kw_only=True)
class ProvenancePage(Page):
    """Weights, data, vocabulary, parameters, files, and how exact they were found to be."""

    template: ClassVar[str] = "provenance.html"
    parts: ClassVar[tuple[str, ...]] = ("made", "exactness", "files")

    provenance: schemas.Provenance
    """The record, as the JSON twin gives it."""
    unreadable_shown: int
    """How many unreadable images are named on the page."""


def provenance_page(services: Services, name: str) -> ProvenancePage:
    told = provenance(services.catalog.open_store(name), services.urls)
    return ProvenancePage(
        title=f"Provenance of {name}",
        description=f"What the numbers of {name} were made from, with which parameters, and how "
        "exact they were found to be.",
        json_url=services.urls.api_provenance(name),
        view_url=told.url,
        model=services.catalog.summary(name),
        provenance=told,
        unreadable_shown=UNREADABLE_SHOWN,
    )
