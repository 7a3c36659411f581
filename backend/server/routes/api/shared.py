"""Shares: made, shown, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.pages.addresses import model_of
from backend.server.routes.api.answers import (
    Served,
    errors,
    private_json,
)
from backend.server.routes.api.tokens import DELETING, Token

Share = Annotated[
    str, PathParameter(description="id of a share", examples=["Zk3vR0bqS2mXyT9eLwC1Ug"])
]

shared = APIRouter(tags=["shares"])


@shared.post(
    "/shares",
    summary="Publish a view of this server, or a picture with what was made of it",
    response_model=schemas.ShareCreated,
    responses=errors(400, 404, 413, 422, 429, 507),
)
def post_share(
    services: Served,
    share: Annotated[
        schemas.ShareRequest,
        Body(examples=[{"view": "/demo/pairs/3/4", "title": "A butterfly's wings"}]),
    ],
) -> Response:
    return private_json(services.shares.create(share, lambda view: model_of(services, view)))


@shared.get(
    "/shares/{share}",
    summary="What was shared",
    response_model=schemas.Share,
    responses=errors(404, 422),
)
def get_share(services: Served, share: Share) -> Response:
    answer = private_json(services.shares.get(share))
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


@shared.delete(
    "/shares/{share}",
    summary="Delete a share and, unless another keeps it, its picture",
    description=DELETING,
    status_code=204,
    response_class=Response,
    responses=errors(400, 401, 403, 404, 422, 429),
)
def delete_share(
    services: Served,
    share: Share,
    token: Token,
) -> Response:
    services.shares.delete(share, token)
    return Response(status_code=204)
