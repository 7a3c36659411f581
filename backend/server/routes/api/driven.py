"""Search by a picture."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.server import schemas
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    private_json,
    while_connected,
)
from backend.server.routes.api.images import Image

driven = APIRouter(tags=["uploads"])


@driven.get(
    "/models/{model}/images/{image}/pairs",
    summary="Pairs that an uploaded picture drives, beside the images of the data set",
    response_model=schemas.DrivenPairs,
    responses=errors(404, 422, 503),
)
async def get_driven_pairs(
    request: Request,
    services: Served,
    model: Model,
    image: Image,
    asked: Annotated[schemas.DrivenQuery, Query()],
) -> Response:
    work = services.driven.find(model, image, asked)
    return private_json(await while_connected(request, work))
