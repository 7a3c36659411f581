"""Whether the process lives, and whether it can answer everything."""

from __future__ import annotations

import sqlite3

from fastapi import APIRouter, Request

from backend.server import schemas
from backend.server.errors import RETRY_SECONDS, ApiError
from backend.server.services import Services

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Alive as long as it answers")
def healthz() -> schemas.Health:
    return schemas.Health(status="alive")


@router.get(
    "/readyz",
    summary="Ready only when everything answers",
    responses={503: {"model": schemas.ErrorBody, "description": "What is missing, in words"}},
)
def readyz(request: Request) -> schemas.Health:
    services: Services = request.app.state.services
    missing = [*what_is_missing(services), *services.file_checks.damage]
    if missing:
        message = f"Not ready: {'; '.join(missing)}"
        raise ApiError(503, "not_ready", message, {"Retry-After": str(RETRY_SECONDS)})
    return schemas.Health(status="ready")


def what_is_missing(services: Services) -> list[str]:
    """One sentence for each thing that does not answer now; empty when all do."""
    missing = []
    if services.engine.draining:
        missing.append("the server is shutting down.")
    if services.settings.live:
        for opened in services.catalog.stores():
            status = services.engine.status(opened.model_key)
            if status.state != "ready":
                missing.append(f"{opened.store.name}: {status.message}")
    try:
        services.shares.check()
    except sqlite3.Error:
        missing.append("the database of shares does not answer.")
    return missing
