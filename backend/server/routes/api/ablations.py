"""Ablations: what would be of a picture without some pairs, neurons or heads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.ablations import State
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

Ablation = Annotated[str, PathParameter(description="id of an ablation")]

ablations = APIRouter(tags=["uploads"])

_asked = Body(schemas.AblationRequest)


@ablations.post(
    "/models/{model}/ablations",
    summary="Switch pairs, neurons or heads off and see scores, ranking and mask change",
    response_model=schemas.Ablation,
    responses=errors(400, 404, 413, 422, 429, 503, 507),
    openapi_extra=_asked.openapi(),
)
async def post_ablation(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    work = services.ablations.create(model, asked, upload)
    return private_json(*await while_connected(request, work))


@ablations.get(
    "/models/{model}/ablations/{ablation}",
    summary="An ablation that was made before",
    response_model=schemas.Ablation,
    responses=errors(404, 422),
)
def get_ablation(services: Served, model: Model, ablation: Ablation) -> Response:
    return private_json(_ablation(services, model, ablation))


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/mask.png",
    summary="8-bit mask of the picture's own size: place of the prompt, 255 = background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_ablation_mask(services: Served, model: Model, ablation: Ablation, state: State) -> Response:
    _ablation(services, model, ablation)
    return private_picture(services.ablations.mask(ablation, state))


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_ablation_overlay(
    services: Served, model: Model, ablation: Ablation, state: State
) -> Response:
    _ablation(services, model, ablation)
    return private_picture(services.ablations.overlay(ablation, state))


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/heatmaps/{place}.png",
    summary="Logits of one prompt: signed overlay",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_ablation_heatmap(
    services: Served,
    model: Model,
    ablation: Ablation,
    state: State,
    place: Annotated[int, PathParameter(description="place of the prompt, from 0")],
) -> Response:
    _ablation(services, model, ablation)
    return private_picture(services.ablations.heatmap(ablation, state, place))


def _ablation(services: Services, model: str, ablation: str) -> schemas.Ablation:
    return of_model(model, services.ablations.get(ablation), "ablation")
