"""Pictures given through a plain form: their delete token comes back in a cookie.

A form's answer is a redirect to an address that may be passed on, so the token cannot be in it.  Of
several pictures the newest one's is remembered; scripts, which remember more, need none of this.
"""

from __future__ import annotations

from fastapi import Request, Response

from backend.server.urls import Urls

COOKIE = "pairscope-upload"

SECONDS = 24 * 3600
"""As long as a picture lives that nobody shares."""


def remember_token(response: Response, urls: Urls, model: str, image: str, token: str) -> None:
    """Let the browser that gave a picture, and no script in it, keep what deletes it."""
    response.set_cookie(
        COOKIE,
        f"{image}.{token}",
        max_age=SECONDS,
        path=urls.lab(model),
        secure=(urls.absolute(urls.lab(model)) or "").startswith("https:"),
        httponly=True,
        samesite="strict",
    )


def token_of(request: Request) -> tuple[str, str] | None:
    """Id and delete token of the picture that this browser gave last."""
    image, dot, token = request.cookies.get(COOKIE, "").partition(".")
    return (image, token) if dot else None
