"""Segmentations of visitors' pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
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

Segmentation = Annotated[str, PathParameter(description="id of a segmentation")]

Method = Annotated[
    str | None, Query(description="one of its methods, the first by default", max_length=20)
]

segmentations = APIRouter(tags=["uploads"])

_asked = Body(schemas.SegmentationRequest)


@segmentations.post(
    "/models/{model}/segmentations",
    summary="Segment a picture by words",
    response_model=schemas.Segmentation,
    responses=errors(400, 404, 413, 422, 429, 503, 507),
    openapi_extra=_asked.openapi(),
)
async def post_segmentation(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    work = services.segmentations.create(model, asked, upload)
    return private_json(*await while_connected(request, work))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}",
    summary="A segmentation that was made before",
    response_model=schemas.Segmentation,
    responses=errors(404, 422),
)
def get_segmentation(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return private_json(_segmentation(services, model, segmentation))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/image.webp",
    summary="The uploaded picture, upright, without metadata, at most 2,048 pixels a side",
    response_class=Response,
    responses=picture("image/webp", 404, 422),
)
def get_segmentation_image(services: Served, model: Model, segmentation: Segmentation) -> Response:
    _segmentation(services, model, segmentation)
    return private_picture(services.segmentations.image(segmentation))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/mask.png",
    summary="8-bit mask of the picture's own size: place of the prompt, 255 = background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_segmentation_mask(
    services: Served, model: Model, segmentation: Segmentation, method: Method = None
) -> Response:
    _segmentation(services, model, segmentation)
    return private_picture(services.segmentations.mask(segmentation, method))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_segmentation_overlay(
    services: Served, model: Model, segmentation: Segmentation, method: Method = None
) -> Response:
    _segmentation(services, model, segmentation)
    return private_picture(services.segmentations.overlay(segmentation, method))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/heatmaps/{place}.png",
    summary="Logits of one prompt: signed overlay",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_segmentation_heatmap(
    services: Served,
    model: Model,
    segmentation: Segmentation,
    place: Annotated[int, PathParameter(description="place of the prompt, from 0")],
    method: Method = None,
) -> Response:
    _segmentation(services, model, segmentation)
    return private_picture(services.segmentations.heatmap(segmentation, place, method))


def _segmentation(services: Services, model: str, segmentation: str) -> schemas.Segmentation:
    return of_model(model, services.segmentations.get(segmentation), "segmentation")
