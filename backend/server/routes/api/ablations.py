"""Ablations: what would be of a picture without some pairs, neurons or heads."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.ablations import State
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    of_model,
    private_json,
    private_picture,
)
from backend.server.routes.api.asked import PICTURE_OF_RESULT, Body, Place, answered

Ablation = Annotated[str, PathParameter(description="id of an ablation")]

ablations = APIRouter(tags=["uploads"])

_asked = Body(schemas.AblationRequest)


def _found(services: Served, model: Model, ablation: Ablation) -> schemas.Ablation:
    return of_model(model, services.ablations.get(ablation), "ablation")


Found = Annotated[schemas.Ablation, Depends(_found)]


@ablations.post(
    "/models/{model}/ablations",
    summary="Switch pairs, neurons or heads off and see scores, ranking and mask change",
    response_model=schemas.Ablation,
    **_asked.declared(),
)
async def post_ablation(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    return await answered(request, services.ablations.create(model, asked, upload))


@ablations.get(
    "/models/{model}/ablations/{ablation}",
    summary="An ablation that was made before",
    response_model=schemas.Ablation,
    responses=errors(404, 422),
)
def get_ablation(found: Found) -> Response:
    return private_json(found)


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/mask.png",
    summary="Indexed PNG of the picture's own size: index = place of the prompt, 255 = background",
    **PICTURE_OF_RESULT,
)
def get_ablation_mask(services: Served, found: Found, state: State) -> Response:
    return private_picture(services.ablations.mask(found.id, state))


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    **PICTURE_OF_RESULT,
)
def get_ablation_overlay(services: Served, found: Found, state: State) -> Response:
    return private_picture(services.ablations.overlay(found.id, state))


@ablations.get(
    "/models/{model}/ablations/{ablation}/{state}/heatmaps/{place}.png",
    summary="Logits of one prompt: signed overlay",
    **PICTURE_OF_RESULT,
)
def get_ablation_heatmap(
    services: Served,
    found: Found,
    state: State,
    place: Place,
) -> Response:
    return private_picture(services.ablations.heatmap(found.id, state, place))
