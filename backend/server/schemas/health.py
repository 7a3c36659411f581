"""Whether the server lives and answers."""

from __future__ import annotations

from typing import Literal

from backend.server.schemas.base import Wire


class Health(Wire):
    status: Literal["alive", "ready"]
