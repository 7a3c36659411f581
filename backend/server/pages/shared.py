"""A share: the page or result itself, under a banner with its title and note."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar
from urllib.parse import urlencode

from backend.server import schemas
from backend.server.engine import EngineError
from backend.server.errors import ApiError
from backend.server.pages.addresses import view_of
from backend.server.pages.base import Page, listed
from backend.server.pages.lab import lab_page
from backend.server.pages.query import Query
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
    try:
        page = _page_of(services, share)
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


def _page_of(services: Services, share: schemas.Share) -> Page:
    if share.view is not None:
        return view_of(services, share.view.removeprefix(services.urls.prefix))
    if share.segmentation is not None:
        return _shared_segmentation(services, share.segmentation)
    made = share.attribution or share.ablation or share.image
    assert made is not None, "a share has a view or an id"
    return lab_page(services, made.model, Query(urlencode(_lab_state(share))))


def _lab_state(share: schemas.Share) -> dict[str, str]:
    """What the lab's address says of a shared picture or answer.

    The lab tells answers beside the segmentation that they were asked about; of one that was asked
    about a picture alone it shows the picture.
    """
    if share.attribution is not None:
        made: schemas.Attribution | schemas.Ablation = share.attribution
        of_score = share.attribution.cell is None
        name, panel = ("attribution", "score") if of_score else ("place", "why")
    elif share.ablation is not None:
        made, name, panel = share.ablation, "ablation", "what-if"
    else:
        return {} if share.image is None else {"image": share.image.id}
    state = {"image": made.image}
    if made.segmentation is not None:
        state |= {"segmentation": made.segmentation, name: made.id, "panel": panel}
    return state


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
