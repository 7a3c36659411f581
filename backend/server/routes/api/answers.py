"""What the JSON addresses share: parameters, headers and descriptions of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi import Path as PathParameter

from backend.server import schemas
from backend.server.csv_files import Cell, csv_chunks
from backend.server.errors import ApiError, not_found
from backend.server.images import Picture
from backend.server.middleware import PICTURE_POLICY
from backend.server.services import Services

Result = TypeVar("Result")
Made = TypeVar("Made", bound=schemas.Result)

DELETE_TOKEN_HEADER = "X-Delete-Token"  # noqa: S105 (its name)

REVALIDATE = "no-cache"
"""Kept by browsers but asked for again each time: a store may be replaced under the same name."""

PRIVATE = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": PICTURE_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""Headers of what comes from a visitor's picture."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    meaning = {
        304: "Not changed since the ETag that was sent",
        400: "The request is not well-formed",
        401: "No delete token was given",
        403: "The delete token is wrong",
        404: "No such thing here; the text gives the allowed range",
        413: "The request is larger than the server accepts",
        422: "The request cannot be used; the text says why",
        429: "Too many requests from this address; Retry-After says when to ask again",
        503: "The model cannot answer now; Retry-After says when to ask again",
        507: "The server's room for uploads or shares is full",
    }
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        described[status] = {"description": meaning[status]}
        if status >= 400:
            described[status]["model"] = schemas.ErrorBody
    return described


def picture(kind: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {kind: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"description": "The picture", "content": content}, **errors(*statuses)}


def table(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {"text/csv": {"schema": {"type": "string"}}}
    return {200: {"description": "The table", "content": content}, **errors(*statuses)}


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

Image = Annotated[
    int, PathParameter(description="number of the image in the data set", examples=[0])
]


def stored_json(body: schemas.Wire, version: str) -> Response:
    """Stored data.  Serialised here, so that the framework does not validate it a second time."""
    return Response(
        body.model_dump_json(), media_type="application/json", headers=stored_headers(version)
    )


def csv_file(
    name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]], version: str
) -> Response:
    """A stored table as an attachment called ``name``.csv."""
    return Response(
        "".join(csv_chunks(header, rows)),
        media_type="text/csv; charset=utf-8",
        headers={
            **stored_headers(version),
            **attachment(f"{name}.csv"),
        },
    )


def stored_picture(content: bytes, kind: str, version: str) -> Response:
    """A picture that is part of the stored data, or is drawn of them alone."""
    return Response(content, media_type=kind, headers=stored_headers(version))


def private_json(body: schemas.Wire, delete_token: str | None = None) -> Response:
    """Data of one visitor's, or of those whom they gave the id.

    ``delete_token`` is that of a picture that came with the request.
    """
    headers = {"Cache-Control": PRIVATE["Cache-Control"]}
    if delete_token is not None:
        headers[DELETE_TOKEN_HEADER] = delete_token
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def private_picture(shown: Picture) -> Response:
    """A visitor's picture, or one that was made of it."""
    return Response(shown.content, media_type=shown.content_type, headers=PRIVATE)


def of_model(model: str, made: Made, kind: str) -> Made:
    """A result under the model that made it; under another there is none."""
    if made.model != model:
        raise not_found(kind, f"This model has no such {kind}.")
    return made


def stored_headers(version: str) -> dict[str, str]:
    return {"ETag": _etag(version), "Cache-Control": REVALIDATE}


def attachment(name: str) -> dict[str, str]:
    """Headers of a file that is saved and not shown; ``name`` needs no quoting."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _etag(version: str) -> str:
    # Weak: compression changes the bytes, not what they say.
    return f'W/"{version}"'


def unchanged(request: Request, version: str) -> Response | None:
    """304 when the client already has this version."""
    sent = request.headers.get("if-none-match", "")
    known = {tag.strip().removeprefix("W/") for tag in sent.split(",")}
    if f'"{version}"' in known or "*" in known:
        return Response(status_code=304, headers=stored_headers(version))
    return None


async def while_connected(request: Request, work: Awaitable[Result]) -> Result:
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
