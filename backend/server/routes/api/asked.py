"""Requests about a picture: a form with the picture in it, or JSON that names it; their answers."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Annotated, Any, Generic, TypeVar, get_origin

from fastapi import Path as PathParameter
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from backend.server.errors import ApiError, invalid
from backend.server.routes.api.answers import errors, picture, private_json, while_connected
from backend.server.schemas import ImageRequest, Wire

MAX_FIELDS = 5000
"""Of a form: 1,000 parts to switch off, three ways, and room to spare."""

Place = Annotated[int, PathParameter(description="place of the prompt, from 0")]

PICTURE_OF_RESULT: dict[str, Any] = {
    "response_class": Response,
    "responses": picture("image/png", 404, 422),
}
"""How an address of a picture that was made of a visitor's is declared."""

Asked = TypeVar("Asked", bound=ImageRequest)


class Body(Generic[Asked]):
    """Reads a request of one kind, and describes it."""

    def __init__(self, kind: type[Asked]) -> None:
        self._kind = kind
        self._lists = {
            name
            for name, field in kind.model_fields.items()
            if get_origin(field.annotation) is list
        }

    def declared(self) -> dict[str, Any]:
        """How an address that takes such a request is declared."""
        return {
            "responses": errors(400, 404, 413, 422, 429, 503, 507),
            "openapi_extra": self.openapi(),
        }

    async def read(self, request: Request) -> tuple[Asked, bytes | None]:
        """What is asked, and the uploaded picture if there is one; 422 when it cannot be read."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            return self._checked(await _json(request)), None
        if kind not in {"multipart/form-data", "application/x-www-form-urlencoded"}:
            raise invalid("request", "Send a form (multipart/form-data) or JSON.")
        return await self._form(request)

    def openapi(self) -> dict[str, Any]:
        """The request body as OpenAPI has it."""
        schema = self._kind.model_json_schema()
        fields = schema["properties"]
        image = {
            "type": "string",
            "format": "binary",
            "description": "PNG, JPEG, WebP, GIF, BMP or AVIF; kept for a day unless shared",
        }
        form = {**schema, "properties": {"image": image, **fields}}
        return {
            "requestBody": {
                "required": True,
                "content": {
                    "multipart/form-data": {"schema": form},
                    "application/json": {"schema": schema},
                },
            }
        }

    async def _form(self, request: Request) -> tuple[Asked, bytes | None]:
        async with request.form(max_files=1, max_fields=MAX_FIELDS) as form:
            values: dict[str, Any] = {}
            upload: bytes | None = None
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    if name != "image":
                        raise invalid("request", "The picture's field is called image.")
                    upload = await value.read()
                elif name == "image":
                    raise invalid("image", "The image must be sent as a file.")
                elif name in self._lists:
                    values.setdefault(name, []).append(value)
                else:
                    values[name] = value
        return self._checked(values), upload

    def _checked(self, values: Any) -> Asked:
        try:
            return self._kind.model_validate(values)
        except ValidationError as exc:
            errors = [{**error, "loc": ("body", *error["loc"])} for error in exc.errors()]
            raise RequestValidationError(errors) from None


async def answered(request: Request, work: Awaitable[tuple[Wire, str | None]]) -> Response:
    """What ``work`` makes, with a new picture's delete token; given up when the client goes."""
    return private_json(*await while_connected(request, work))


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ApiError(422, "invalid_request", "The body is not valid JSON.") from None
