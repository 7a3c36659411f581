"""Shares: made, shown, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Header, Query, Response
from fastapi import Path as PathParameter
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from backend.server import schemas
from backend.server.pages.addresses import model_of
from backend.server.routes.api.answers import (
    Served,
    errors,
    private_json,
)

Share = Annotated[str, PathParameter(description="id of a share")]

shared = APIRouter(tags=["shares"])

_bearer = HTTPBearer(auto_error=False, description="The share's delete token")


@shared.post(
    "/shares",
    summary="Publish a view of this server, or a segmentation with its picture",
    response_model=schemas.ShareCreated,
    responses=errors(400, 404, 413, 422, 507),
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
    description=(
        "Give the delete token as `Authorization: Bearer …` (preferred, since addresses end up in "
        "logs), as `X-Delete-Token`, as the query parameter `delete_token` or `token`, or in a "
        'JSON body `{"delete_token": …}`.'
    ),
    status_code=204,
    response_class=Response,
    responses=errors(400, 401, 403, 404, 422),
)
def delete_share(
    services: Served,
    share: Share,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    x_delete_token: Annotated[str | None, Header()] = None,
    delete_token: Annotated[str | None, Query()] = None,
    token: Annotated[str | None, Query()] = None,
    body: Annotated[schemas.ShareDelete | None, Body()] = None,
) -> Response:
    given = (
        bearer.credentials if bearer else None,
        x_delete_token,
        delete_token,
        token,
        body.delete_token if body else None,
    )
    services.shares.delete(share, next((candidate for candidate in given if candidate), None))
    return Response(status_code=204)
