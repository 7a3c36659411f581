"""Pictures for link previews."""

from __future__ import annotations

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.server import schemas
from backend.server.images import Picture
from backend.server.pages.addresses import view_of
from backend.server.pages.shared import shared_page
from backend.server.routes.api.answers import (
    Served,
    picture,
    private_picture,
    stored_picture,
    unchanged,
)
from backend.server.routes.api.shared import Share
from backend.server.shares import own_view

previews = APIRouter()


@previews.get(
    "/preview.png",
    tags=["stored data"],
    summary="What other sites show for a link to a page: its own pictures under their heatmaps",
    response_class=Response,
    responses=picture("image/png", 304, 404, 422),
)
def get_preview(
    request: Request,
    services: Served,
    view: Annotated[
        str,
        Query(
            description="root-relative page that can be shared",
            max_length=schemas.MAX_VIEW_CHARACTERS,
            examples=["/demo/pairs/3/4"],
        ),
    ],
) -> Response:
    page = view_of(services, own_view(view, services.urls.prefix))
    content = services.previews.of(page)
    if page.private:
        return _private_preview(content)
    version = hashlib.sha256(content).hexdigest()[:16]
    return unchanged(request, version) or stored_picture(content, "image/png", version)


@previews.get(
    "/shares/{share}/preview.png",
    tags=["shares"],
    summary="What other sites show for the link of a share",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_share_preview(services: Served, share: Share) -> Response:
    page = shared_page(services, services.shares.get(share))
    return _private_preview(services.previews.of(page))


def _private_preview(content: bytes) -> Response:
    """Of what only those may see who have its address, so that no cache on the way keeps it."""
    answer = private_picture(Picture(content, "image/png"))
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer
