"""The JSON addresses and the pictures that they name."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Depends, File, Form, Header, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from backend.server import schemas
from backend.server.errors import ApiError
from backend.server.middleware import PICTURE_POLICY
from backend.server.segmentations import IMAGE, MASK, OVERLAY, Picture
from backend.server.services import Services
from backend.server.urls import API

Result = TypeVar("Result")

REVALIDATE = "no-cache"
"""Kept by browsers but asked for again each time: a store may be replaced under the same name."""

PRIVATE = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": PICTURE_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of what comes from a visitor's picture."""

DEFAULT_RESULTS = 20


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    meaning = {
        304: "Not changed since the ETag that was sent",
        400: "The request is not well-formed",
        401: "No delete token was given",
        403: "The delete token is wrong",
        404: "No such thing here; the text gives the allowed range",
        413: "The request is larger than the server accepts",
        422: "The request cannot be used; the text says why",
        503: "The model cannot answer now; Retry-After says when to ask again",
        507: "The server's room for uploads or shares is full",
    }
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        described[status] = {"description": meaning[status]}
        if status >= 400:
            described[status]["model"] = schemas.ErrorBody
    return described


def _picture(kind: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The picture", "content": content}, **_errors(*statuses)}


def services_of(request: Request) -> Services:
    """The server's services, for routes."""
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(services_of)]
Model = Annotated[str, PathParameter(description="name of a store", examples=["demo"])]
Neuron = Annotated[
    int, PathParameter(description="channel of the last block, from 0", examples=[3])
]
Head = Annotated[int, PathParameter(description="head of the attention pool, from 0", examples=[4])]
Image = Annotated[int, PathParameter(description="number of the image in the data set")]
Segmentation = Annotated[str, PathParameter(description="id of a segmentation")]
Share = Annotated[str, PathParameter(description="id of a share")]

router = APIRouter(prefix=API)
stored = APIRouter(tags=["stored data"])
uploaded = APIRouter(tags=["uploads"])
shared = APIRouter(tags=["shares"])


# Stored data


@stored.get(
    "/models",
    summary="All models that are served",
    response_model=schemas.Models,
    responses=_errors(304),
)
def get_models(request: Request, services: Served) -> Response:
    models = services.catalog.models()
    live = "".join(model.live[0] for model in models.models)
    version = f"{services.catalog.data_version(None)}-{live}"
    return _unchanged(request, version) or _json(models, version)


@stored.get(
    "/models/{model}",
    summary="One model: provenance, strongest and clearest pairs",
    response_model=schemas.ModelDetail,
    responses=_errors(304, 404, 422),
)
def get_model(request: Request, services: Served, model: Model) -> Response:
    opened = services.catalog.open_store(model)
    live = services.engine.status(opened.model_key).state
    version = f"{opened.store.data_version}-{live[0]}"
    return _unchanged(request, version) or _json(services.catalog.model(model), version)


@stored.get(
    "/models/{model}/search",
    summary="Pairs most similar to a text, most similar first",
    response_model=schemas.SearchResults,
    responses=_errors(304, 404, 422, 503),
)
def get_search(
    request: Request,
    services: Served,
    model: Model,
    q: Annotated[
        str,
        Query(
            description="a word or phrase; a vocabulary word needs no live model",
            min_length=1,
            max_length=schemas.MAX_QUERY_CHARACTERS,
            examples=["butterfly"],
        ),
    ],
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_RESULTS)] = DEFAULT_RESULTS,
) -> Response:
    version = services.catalog.open_store(model).store.data_version
    unchanged = _unchanged(request, version)
    return unchanged or _json(services.catalog.search(model, q, limit), version)


@stored.get(
    "/models/{model}/pairs/{neuron}/{head}",
    summary="Everything stored about one pair",
    response_model=schemas.Pair,
    responses=_errors(304, 404, 422),
)
def get_pair(
    request: Request, services: Served, model: Model, neuron: Neuron, head: Head
) -> Response:
    version = services.catalog.check_pair(model, neuron, head).store.data_version
    unchanged = _unchanged(request, version)
    return unchanged or _json(services.catalog.pair(model, neuron, head), version)


@stored.get(
    "/models/{model}/images/{image}.webp",
    summary="Thumbnail of an image of the data set",
    response_class=Response,
    responses=_picture("image/webp", 304, 404, 422),
)
def get_exemplar(request: Request, services: Served, model: Model, image: Image) -> Response:
    content = services.catalog.exemplar(model, image)
    version = services.catalog.open_store(model).store.data_version
    return _unchanged(request, version) or Response(
        content, media_type="image/webp", headers=_stored_headers(version)
    )


@stored.get(
    "/models/{model}/pairs/{neuron}/{head}/heatmaps/{image}.png",
    summary="Where in an exemplar a pair's value comes from: signed overlay",
    response_class=Response,
    responses=_picture("image/png", 304, 404, 422),
)
def get_pair_heatmap(
    request: Request, services: Served, model: Model, neuron: Neuron, head: Head, image: Image
) -> Response:
    content = services.catalog.heatmap_png(model, neuron, head, image)
    version = services.catalog.open_store(model).store.data_version
    return _unchanged(request, version) or Response(
        content, media_type="image/png", headers=_stored_headers(version)
    )


# Uploads


@uploaded.post(
    "/models/{model}/segmentations",
    summary="Segment a picture by words",
    response_model=schemas.Segmentation,
    responses=_errors(400, 404, 413, 422, 503, 507),
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
    return _private(await _while_connected(request, work))


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}",
    summary="A segmentation that was made before",
    response_model=schemas.Segmentation,
    responses=_errors(404, 422),
)
def get_segmentation(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return _private(_segmentation(services, model, segmentation))


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/image.webp",
    summary="The uploaded picture, upright, without metadata, at most 2,048 pixels a side",
    response_class=Response,
    responses=_picture("image/webp", 404, 422),
)
def get_segmentation_image(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return _private_file(services, model, segmentation, IMAGE)


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/mask.png",
    summary="8-bit mask of the picture's own size: place of the prompt, 255 = background",
    response_class=Response,
    responses=_picture("image/png", 404, 422),
)
def get_segmentation_mask(services: Served, model: Model, segmentation: Segmentation) -> Response:
    return _private_file(services, model, segmentation, MASK)


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/overlay.png",
    summary="The mask in the classes' colours, transparent on background",
    response_class=Response,
    responses=_picture("image/png", 404, 422),
)
def get_segmentation_overlay(
    services: Served, model: Model, segmentation: Segmentation
) -> Response:
    return _private_file(services, model, segmentation, OVERLAY)


@uploaded.get(
    "/models/{model}/segmentations/{segmentation}/heatmaps/{place}.png",
    summary="Logits of one prompt: signed overlay",
    response_class=Response,
    responses=_picture("image/png", 404, 422),
)
def get_segmentation_heatmap(
    services: Served,
    model: Model,
    segmentation: Segmentation,
    place: Annotated[int, PathParameter(description="place of the prompt, from 0")],
) -> Response:
    _segmentation(services, model, segmentation)
    return _private_picture(services.segmentations.heatmap(segmentation, place))


# Shares

_bearer = HTTPBearer(auto_error=False, description="The share's delete token")


@shared.post(
    "/shares",
    summary="Publish a view of this server, or a segmentation with its picture",
    response_model=schemas.ShareCreated,
    responses=_errors(400, 404, 413, 422, 507),
)
def post_share(
    services: Served,
    share: Annotated[
        schemas.ShareRequest,
        Body(examples=[{"view": "/demo/pairs/3/4", "title": "A butterfly's wings"}]),
    ],
) -> Response:
    return _private(services.shares.create(share))


@shared.get(
    "/shares/{share}",
    summary="What was shared",
    response_model=schemas.Share,
    responses=_errors(404, 422),
)
def get_share(services: Served, share: Share) -> Response:
    answer = _private(services.shares.get(share))
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
    responses=_errors(400, 401, 403, 404, 422),
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


router.include_router(stored)
router.include_router(uploaded)
router.include_router(shared)


def _json(body: schemas.Wire, version: str) -> Response:
    """Stored data.  Serialised here, so that the framework does not validate it a second time."""
    return Response(
        body.model_dump_json(), media_type="application/json", headers=_stored_headers(version)
    )


def _private(body: schemas.Wire) -> Response:
    """Data of one visitor's, or of those whom they gave the id."""
    return Response(
        body.model_dump_json(),
        media_type="application/json",
        headers={"Cache-Control": PRIVATE["Cache-Control"]},
    )


def _stored_headers(version: str) -> dict[str, str]:
    return {"ETag": _etag(version), "Cache-Control": REVALIDATE}


def _etag(version: str) -> str:
    # Weak: compression changes the bytes, not what they say.
    return f'W/"{version}"'


def _unchanged(request: Request, version: str) -> Response | None:
    """304 when the client already has this version."""
    sent = request.headers.get("if-none-match", "")
    known = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    if f'"{version}"' in known or "*" in known:
        return Response(status_code=304, headers=_stored_headers(version))
    return None


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


async def _while_connected(request: Request, work: Awaitable[Result]) -> Result:
    """Await ``work``, and give it up when the client goes away."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ApiError(499, "client_gone", "The client went away.")
    finally:
        gone.cancel()
        task.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
