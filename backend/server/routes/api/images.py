"""Visitors' pictures: uploaded, shown, deleted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.images import Given
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    picture,
    private_json,
    private_picture,
    while_connected,
)
from backend.server.routes.api.asked import Body
from backend.server.routes.api.tokens import DELETING, Token

Image = Annotated[str, PathParameter(description="id of an uploaded picture")]

images = APIRouter(tags=["uploads"])

_new = Body(schemas.ImageRequest)


@images.post(
    "/models/{model}/images",
    summary="Upload a picture, to be asked about by its id",
    response_model=schemas.ImageCreated,
    **_new.declared(),
)
async def post_image(request: Request, services: Served, model: Model) -> Response:
    asked, upload = await _new.read(request)
    opened = services.catalog.open_store(model)
    work = services.lab.take(opened, Given(upload=upload, sample=asked.sample))
    return private_json(await while_connected(request, work))


@images.get(
    "/models/{model}/images/{image}",
    summary="A picture that was uploaded before",
    response_model=schemas.UploadedImage,
    responses=errors(404, 422),
)
def get_image(services: Served, model: Model, image: Image) -> Response:
    return private_json(services.images.get(model, image))


@images.get(
    "/models/{model}/images/{image}/image.webp",
    summary="The uploaded picture, upright, without metadata, at most 2,048 pixels a side",
    response_class=Response,
    responses=picture("image/webp", 404, 422),
)
def get_uploaded_image(services: Served, model: Model, image: Image) -> Response:
    return private_picture(services.images.show(model, image))


@images.delete(
    "/models/{model}/images/{image}",
    summary="Delete a picture, all that was made of it, and the shares that show it",
    description=DELETING,
    status_code=204,
    response_class=Response,
    responses=errors(400, 401, 403, 404, 422, 429),
)
def delete_image(services: Served, model: Model, image: Image, token: Token) -> Response:
    services.images.delete(model, image, token)
    return Response(status_code=204)
