"""Attributions: why a picture has its score, and a cell of it its class."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    of_model,
    picture,
    private_json,
    private_picture,
    while_connected,
)
from backend.server.routes.api.asked import Body
from backend.server.services import Services

Attribution = Annotated[str, PathParameter(description="id of an attribution")]

attributions = APIRouter(tags=["uploads"])

_asked = Body(schemas.AttributionRequest)


@attributions.post(
    "/models/{model}/attributions",
    summary="Explain the score of a picture and a text, or the class of a cell, by pairs",
    response_model=schemas.Attribution,
    responses=errors(400, 404, 413, 422, 429, 503, 507),
    openapi_extra=_asked.openapi(),
)
async def post_attribution(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    work = services.attributions.create(model, asked, upload)
    return private_json(*await while_connected(request, work))


@attributions.get(
    "/models/{model}/attributions/{attribution}",
    summary="An attribution that was made before",
    response_model=schemas.Attribution,
    responses=errors(404, 422),
)
def get_attribution(services: Served, model: Model, attribution: Attribution) -> Response:
    return private_json(_attribution(services, model, attribution))


@attributions.get(
    "/models/{model}/attributions/{attribution}/heatmap.png",
    summary="Where the score comes from: signed overlay",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_attribution_heatmap(services: Served, model: Model, attribution: Attribution) -> Response:
    _attribution(services, model, attribution)
    return private_picture(services.attributions.heatmap(attribution))


@attributions.get(
    "/models/{model}/attributions/{attribution}/maps/{place}.png",
    summary="Where a pair's value comes from: signed overlay",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_attribution_map(
    services: Served,
    model: Model,
    attribution: Attribution,
    place: Annotated[int, PathParameter(description="place of the map, from 0")],
) -> Response:
    _attribution(services, model, attribution)
    return private_picture(services.attributions.heatmap(attribution, place))


def _attribution(services: Services, model: str, attribution: str) -> schemas.Attribution:
    return of_model(model, services.attributions.get(attribution), "attribution")
