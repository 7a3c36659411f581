"""One error body, one place that makes it.

Code that cannot answer raises :class:`ApiError`; whatever else goes wrong becomes one here.
Programs get :class:`~backend.server.schemas.ErrorBody`, people get a page with the same words.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from backend.server.engine import EngineError
from backend.server.schemas import ErrorBody, ErrorDetail
from backend.server.urls import API

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
"""Suggested wait when the server is busy: a few requests' worth of device time."""

MESSAGES = {
    400: "The request could not be understood.",
    404: "There is nothing at this address.",
    405: "This address does not answer to this method.",
    413: "The request is larger than the server accepts.",
    500: "The server could not answer this request; the log has the reason under the request id.",
}
"""Sentences that replace a framework's bare status phrase."""

CODES = {413: "content_too_large"}
"""Where HTTP's own phrase for a status differs between versions of Python."""


class ApiError(Exception):
    """An answer that is not a success.

    ``message`` is one sentence for people and is shown to the client; ``code`` is its
    machine-readable name.
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def not_found(what: str, message: str) -> ApiError:
    """404 with the code ``unknown_{what}``."""
    return ApiError(404, f"unknown_{what}", message)


def invalid(what: str, message: str) -> ApiError:
    """422 with the code ``invalid_{what}``."""
    return ApiError(422, f"invalid_{what}", message)


def request_id(request: Request) -> str:
    """The id that the log lines of this request carry."""
    return str(request.scope.get("state", {}).get("request_id", "-"))


def as_api_error(exc: Exception) -> ApiError:
    """What a client is told about ``exc``; unexpected ones say nothing of what went wrong."""
    match exc:
        case ApiError():
            return exc
        case EngineError():
            wait = exc.retry_after
            headers = {} if wait is None else {"Retry-After": str(wait)}
            return ApiError(503, exc.code, str(exc), headers)
        case RequestValidationError():
            return ApiError(422, "invalid_request", _validation_message(exc))
        case HTTPException():
            return _from_http(exc)
        case _:
            return ApiError(500, "internal_error", MESSAGES[500])


def error_response(request: Request, exc: Exception) -> Response:
    """The one answer to any failure: JSON for programs, a page for people."""
    error = as_api_error(exc)
    detail = ErrorDetail(
        status=error.status,
        code=error.code,
        message=error.message,
        request_id=request_id(request),
    )
    if error.status >= 500 and error.code == "internal_error":
        log.error("request %s failed", detail.request_id, exc_info=exc)
    response = _page(request, detail) if _wants_page(request) else None
    if response is None:
        response = JSONResponse(ErrorBody(error=detail).model_dump(), status_code=error.status)
    response.headers.update(error.headers)
    response.headers["Cache-Control"] = "no-store"
    return response


def install(app: FastAPI) -> None:
    """Route every kind of failure that the framework knows to :func:`error_response`."""

    async def handle(request: Request, exc: Exception) -> Response:
        return error_response(request, exc)

    for kind in (ApiError, EngineError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)


def _wants_page(request: Request) -> bool:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    accept = request.headers.get("accept", "")
    return not path.startswith(API) and "text/html" in accept


def _page(request: Request, detail: ErrorDetail) -> Response | None:
    """The error as a page; ``None`` when drawing it fails too, so that JSON stands in."""
    try:
        # late: the pages import this module
        from backend.server.rendering import render_error

        return render_error(request, detail)
    except Exception:
        log.exception("request %s: the error page could not be drawn", detail.request_id)
        return None


def _from_http(exc: HTTPException) -> ApiError:
    status = exc.status_code
    phrase = HTTPStatus(status).phrase
    bare = exc.detail in {phrase, "Content Too Large", ""}
    message = MESSAGES.get(status, f"{phrase}.") if bare else str(exc.detail)
    code = phrase.lower().replace(" ", "_").replace("-", "_")
    return ApiError(status, CODES.get(status, code), message, exc.headers)


def reason(problem: Mapping[str, Any]) -> str:
    """Why one value was refused, of pydantic's account: a validator's own words as they are."""
    return str(problem["msg"]).removeprefix("Value error, ")


def _validation_message(exc: RequestValidationError) -> str:
    """First thing wrong, by the name the client used, without echoing what was sent."""
    errors: list[dict[str, Any]] = list(exc.errors())
    if not errors:
        return "The request is not valid."
    first = errors[0]
    if first["type"] == "json_invalid":
        return "The body is not valid JSON."
    if first["type"] == "model_attributes_type":
        return "The body must be a JSON object, sent with Content-Type: application/json."
    place = [str(part) for part in first["loc"][1:]]
    name = ".".join(place) or str(first["loc"][0])
    more = f" ({len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{name}: {reason(first)}{more}."
