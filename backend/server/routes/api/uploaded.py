"""Uploaded pictures and what is made of them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, File, Form, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.errors import ApiError
from backend.server.routes.api.answers import (
    PRIVATE,
    Model,
    Served,
    errors,
    picture,
    private_json,
    while_connected,
)
from backend.server.segmentations import IMAGE, MASK, OVERLAY, Picture
from backend.server.services import Services

Segmentation = Annotated[str, PathParameter(description="id of a segmentation")]

uploaded = APIRouter(tags=["uploads"])


@uploaded.post(
    "/models/{model}/segmentations",
    summary="Segment a picture by words",
    response_model=schemas.Segmentation,
    responses=errors(400, 404, 413, 422, 503, 507),
)
async def post_segmentation(
    request: Request,
    services: Served,
    model: Model,
    image: Annotated[
        bytes, File(description="PNG, JPEG, WebP, GIF, BMP or AVIF; kept for a day unless shared")
    ],
    prompts: Annotated[
        list[str] | None,
        Form(description=f"1 to {schemas.MAX_PROMPTS} texts, one field each", examples=[["cat"]]),
    ] = None,
    background: Annotated[
        bool, Form(description="whether a pixel may belong to none of the prompts")
    ] = True,
) -> Response:
    work = services.segmentations.create(model, image, prompts or [], background=background)
    return private_json(await while_connected(request, work))


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}",
    summary="A segmentation that was made before",
    response_model=schemas.Segmentation,
    responses=errors(404, 422),
)
def get_segmentation(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return private_json(_segmentation(services, model, segmentation))


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/image.webp",
    summary="The uploaded picture, upright, without metadata, at most 2,048 pixels a side",
    response_class=Response,
    responses=picture("image/webp", 404, 422),
)
def get_segmentation_image(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return _private_file(services, model, segmentation, IMAGE)


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/mask.png",
    summary="8-bit mask of the picture's own size: place of the prompt, 255 = background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_segmentation_mask(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return _private_file(services, model, segmentation, MASK)


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    response_class=Response,
    responses=picture("image/png", 404, 422),
)
def get_segmentation_overlay(
    services: Served, model: Model, segmentation: Segmentation
) -> Response:
    return _private_file(services, model, segmentation, OVERLAY)


@uploaded.get(
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
) -> Response:
    _segmentation(services, model, segmentation)
    return _private_picture(services.segmentations.heatmap(segmentation, place))


def _segmentation(services: Services, model: str, segmentation: str) -> schemas.Segmentation:
    """A segmentation under the model that made it; under another there is none."""
    found = services.segmentations.get(segmentation)
    if found.model != model:
        raise ApiError(404, "unknown_segmentation", "This model has no such segmentation.")
    return found


def _private_file(services: Services, model: str, segmentation: str, name: str) -> Response:
    _segmentation(services, model, segmentation)
    return _private_picture(services.segmentations.picture(segmentation, name))


def _private_picture(picture: Picture) -> Response:
    return Response(picture.content, media_type=picture.content_type, headers=PRIVATE)
