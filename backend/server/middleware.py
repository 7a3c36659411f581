"""What every request passes first: an id, the mount prefix, refusals, headers on the way out."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.server.errors import ApiError, error_response
from backend.server.rate_limits import RateLimit
from backend.server.urls import API

log = logging.getLogger(__name__)

MAX_JSON_BYTES = 64 * 1024
"""Bodies other than uploads: the longest title and note take 15 KB, parsed on the event loop."""

PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Everything from this server and nothing inline; front-end code is written for it."""

EMBED_POLICY = PAGE_POLICY.replace("frame-ancestors 'none'", "frame-ancestors *").replace(
    "form-action 'self'", "form-action 'none'"
)
"""For embeds, which other sites frame: they hold no form, so nothing can be clicked by stealth."""


def compiling(policy: str) -> str:
    """``policy`` for a page whose scripts make code at run time: Plotly's WebGL does."""
    return policy.replace("script-src 'self'", "script-src 'self' 'unsafe-eval'")


PICTURE_POLICY = "default-src 'none'"
"""For bytes that came from a visitor: whatever a browser takes them for, nothing may run."""

HEADERS = {
    "Content-Security-Policy": PAGE_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # addresses of uploads and shares are secrets
    "Cross-Origin-Opener-Policy": "same-origin",
}

PROBES = {"/healthz", "/readyz"}
"""Asked by load balancers under the machine's own address, whatever that is; they echo nothing."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


@dataclass(frozen=True)
class Front:
    """Outermost but for the clock of the metrics: what every request passes before the application.

    ``prefix`` is the path that the server is mounted under (it works whether or not a proxy strips
    it), ``hosts`` the names it answers to (``*`` and ``*.example.org`` allowed),
    ``max_upload_bytes`` the largest multipart body, ``limit`` how often a client may ask for
    something that is made or changed; ``None`` for no limit.
    """

    app: ASGIApp
    prefix: str
    hosts: Sequence[str]
    max_upload_bytes: int
    limit: RateLimit | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        _identify(scope)
        self._mount(scope)
        out = _Outgoing(send, scope)
        request = Request(scope, receive)
        try:
            self._check(request)
            app = self._redirect(scope) or self.app
            limited = _limited(receive, self._body_limit(request.headers))
            await app(scope, limited, out.send)
        except Exception as exc:
            if out.started:
                raise
            await error_response(request, exc)(scope, receive, out.send)

    def _mount(self, scope: Scope) -> None:
        """Make the path begin with the prefix, as the protocol wants it, whatever the proxy did."""
        if not self.prefix:
            return
        path = scope["path"]
        if path != self.prefix and not path.startswith(self.prefix + "/"):
            path = self.prefix + path
        scope["path"] = path if path != self.prefix else self.prefix + "/"
        scope["root_path"] = self.prefix

    def _check(self, request: Request) -> None:
        """Raise for requests that no route should see."""
        path = request.scope["path"].removeprefix(self.prefix)
        if path not in PROBES and not self._answers_to(request.headers.get("host", "")):
            raise ApiError(
                400,
                "unknown_host",
                "This server does not answer to that host name; its operator can list it.",
            )
        safe = request.scope["method"] in {"GET", "HEAD", "OPTIONS"}
        if not safe and request.headers.get("sec-fetch-site") == "cross-site":
            raise ApiError(403, "cross_site", "Other sites may not change anything here.")
        if not safe and self.limit is not None:
            self.limit.count(request.client.host if request.client else "")
        declared = request.headers.get("content-length", "0")
        limit = self._body_limit(request.headers)
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise _too_large(limit)

    def _redirect(self, scope: Scope) -> ASGIApp | None:
        """A page's address with a slash behind it leads to the page; the API is strict."""
        path = scope["path"].removeprefix(self.prefix)
        wanted = "/" + path.strip("/")
        if not path.endswith("/") or path == "/" or path.startswith(API) or path[:2] == "//":
            return None
        if scope["method"] != "GET":
            return None
        query = scope["query_string"].decode("latin-1")
        # Root-relative and quoted, so that it cannot lead to another host.
        address = self.prefix + quote(wanted) + (f"?{query}" if query else "")
        return Response(status_code=308, headers={"Location": address})

    def _answers_to(self, header: str) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        host = match[1].lower()
        return any(
            pattern in {"*", host} or (pattern.startswith("*.") and host.endswith(pattern[1:]))
            for pattern in (p.lower() for p in self.hosts)
        )

    def _body_limit(self, headers: Headers) -> int:
        upload = headers.get("content-type", "").lower().startswith("multipart/form-data")
        return self.max_upload_bytes if upload else MAX_JSON_BYTES


class _Outgoing:
    """Adds headers to an answer, and drops its body for HEAD, which routes see as GET."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self._send = send
        self._id = scope["state"]["request_id"]
        self._bodiless = scope["method"] == "HEAD"
        if self._bodiless:
            scope["method"] = "GET"
        self.started = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-Id"] = self._id
        elif self._bodiless and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


def _identify(scope: Scope) -> None:
    scope.setdefault("state", {})["request_id"] = secrets.token_hex(8)


def _limited(receive: Receive, limit: int) -> Receive:
    """Counts a body as it arrives, since a chunked one declares no length.

    Starlette's own ``max_body_size`` does the same but answers in plain text, past the error body
    that everything else has.  An HTTPException, because form parsing turns others into a 400.
    """
    seen = 0

    async def receive_some() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            error = _too_large(limit)
            raise HTTPException(error.status, error.message)
        return message

    return receive_some


def _too_large(limit: int) -> ApiError:
    size = f"{limit / 2**20:g} MB" if limit >= 2**20 else f"{limit // 1024} KB"
    return ApiError(413, "content_too_large", f"The request is too large; the limit is {size}.")
