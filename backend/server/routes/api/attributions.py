"""Attributions: why a picture has its score, and a cell of it its class."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    of_model,
    private_json,
    private_picture,
)
from backend.server.routes.api.asked import PICTURE_OF_RESULT, Body, answered

Attribution = Annotated[str, PathParameter(description="id of an attribution")]

attributions = APIRouter(tags=["uploads"])

_asked = Body(schemas.AttributionRequest)


def _found(services: Served, model: Model, attribution: Attribution) -> schemas.Attribution:
    return of_model(model, services.attributions.get(attribution), "attribution")


Found = Annotated[schemas.Attribution, Depends(_found)]


@attributions.post(
    "/models/{model}/attributions",
    summary="Explain the score of a picture and a text, or the class of a cell, by pairs",
    response_model=schemas.Attribution,
    **_asked.declared(),
)
async def post_attribution(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    return await answered(request, services.attributions.create(model, asked, upload))


@attributions.get(
    "/models/{model}/attributions/{attribution}",
    summary="An attribution that was made before",
    response_model=schemas.Attribution,
    responses=errors(404, 422),
)
def get_attribution(found: Found) -> Response:
    return private_json(found)


@attributions.get(
    "/models/{model}/attributions/{attribution}/heatmap.png",
    summary="Where the score comes from: signed overlay",
    **PICTURE_OF_RESULT,
)
def get_attribution_heatmap(services: Served, found: Found) -> Response:
    return private_picture(services.attributions.heatmap(found.id))


@attributions.get(
    "/models/{model}/attributions/{attribution}/maps/{place}.png",
    summary="Where a pair's value comes from: signed overlay",
    **PICTURE_OF_RESULT,
)
def get_attribution_map(
    services: Served,
    found: Found,
    place: Annotated[int, PathParameter(description="place of the map, from 0")],
) -> Response:
    return private_picture(services.attributions.heatmap(found.id, place))
