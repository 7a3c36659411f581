"""Segmentations of visitors' pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
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
)
from backend.server.routes.api.asked import PICTURE_OF_RESULT, Body, Place, answered

Segmentation = Annotated[str, PathParameter(description="id of a segmentation")]

Method = Annotated[
    str | None, Query(description="one of its methods, the first by default", max_length=20)
]

segmentations = APIRouter(tags=["uploads"])

_asked = Body(schemas.SegmentationRequest)


def _found(services: Served, model: Model, segmentation: Segmentation) -> schemas.Segmentation:
    return of_model(model, services.segmentations.get(segmentation), "segmentation")


Found = Annotated[schemas.Segmentation, Depends(_found)]


@segmentations.post(
    "/models/{model}/segmentations",
    summary="Segment a picture by words",
    response_model=schemas.Segmentation,
    **_asked.declared(),
)
async def post_segmentation(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _asked.read(request)
    return await answered(request, services.segmentations.create(model, asked, upload))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}",
    summary="A segmentation that was made before",
    response_model=schemas.Segmentation,
    responses=errors(404, 422),
)
def get_segmentation(found: Found) -> Response:
    return private_json(found)


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/image.webp",
    summary="The uploaded picture, upright, without metadata, at most 2,048 pixels a side",
    response_class=Response,
    responses=picture("image/webp", 404, 422),
)
def get_segmentation_image(services: Served, found: Found) -> Response:
    return private_picture(services.segmentations.image(found.id))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/mask.png",
    summary="Indexed PNG of the picture's own size: index = place of the prompt, 255 = background",
    **PICTURE_OF_RESULT,
)
def get_segmentation_mask(services: Served, found: Found, method: Method = None) -> Response:
    return private_picture(services.segmentations.mask(found.id, method))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    **PICTURE_OF_RESULT,
)
def get_segmentation_overlay(services: Served, found: Found, method: Method = None) -> Response:
    return private_picture(services.segmentations.overlay(found.id, method))


@segmentations.get(
    "/models/{model}/segmentations/{segmentation}/heatmaps/{place}.png",
    summary="Logits of one prompt: signed overlay",
    **PICTURE_OF_RESULT,
)
def get_segmentation_heatmap(
    services: Served,
    found: Found,
    place: Place,
    method: Method = None,
) -> Response:
    return private_picture(services.segmentations.heatmap(found.id, method, place))
