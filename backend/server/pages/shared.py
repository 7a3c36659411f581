"""A share: the page or result itself, under a banner with its title and note."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from backend.server import schemas
from backend.server.engine import EngineError
from backend.server.errors import ApiError
from backend.server.pages.addresses import view_of
from backend.server.pages.base import Page, listed
from backend.server.pages.tiles import ResultTile
from backend.server.services import Services


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


def shared_page(services: Services, share: schemas.Share) -> Page:
    """The shared page under its banner; a plain link where the page is no longer to be had."""
    page: Page | None
    if share.view is None and share.segmentation is not None:
        page = _shared_segmentation(services, share.segmentation)
    else:
        try:
            page = view_of(services, (share.view or "/").removeprefix(services.urls.prefix))
        except (ApiError, EngineError):
            page = None
    title = share.title or (page.title if page else "Shared link")
    description = share.note or (page.description if page else "A shared page of PairScope.")
    json_url = services.urls.api_share(share.id)
    if page is None:
        return SharedLinkPage(
            title=title,
            description=description,
            json_url=json_url,
            share=share,
            link=share.view or services.urls.home(),
        )
    return replace(
        page, title=title, description=description, json_url=json_url, view_url=None, share=share
    )


def _shared_segmentation(services: Services, result: schemas.Segmentation) -> Page:
    served = {each.name: each for each in services.catalog.models().models}
    heading = listed([each.prompt for each in result.classes])
    return SharedSegmentationPage(
        title=f"{heading} in a picture",
        heading=heading,
        description=f"A picture segmented by words with the neuron-head pairs of {result.model}.",
        tiles=(ResultTile(result.id),),
        model=served.get(result.model),
        segmentation=result,
    )
