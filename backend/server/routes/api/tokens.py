"""The token with which its owner deletes something."""

from __future__ import annotations

from typing import Annotated

from fastapi import Body, Depends, Header, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from backend.server import schemas

DELETING = (
    "Give the delete token as `Authorization: Bearer …` (preferred, since addresses end up in "
    "logs), as `X-Delete-Token`, as the query parameter `delete_token` or `token`, or in a "
    'JSON body `{"delete_token": …}`.'
)

_bearer = HTTPBearer(auto_error=False, description="The delete token")


def _given(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    x_delete_token: Annotated[str | None, Header()] = None,
    delete_token: Annotated[str | None, Query()] = None,
    token: Annotated[str | None, Query()] = None,
    body: Annotated[schemas.DeleteToken | None, Body()] = None,
) -> str | None:
    candidates = (
        bearer.credentials if bearer else None,
        x_delete_token,
        delete_token,
        token,
        body.delete_token if body else None,
    )
    return next((candidate for candidate in candidates if candidate), None)


Token = Annotated[str | None, Depends(_given)]
"""However it was given; ``None`` without."""
