"""What the routes work with, handed to them as ``request.app.state.services``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.server.engine import Engine
from backend.server.live import LiveModels
from backend.server.previews import Previews
from backend.server.queries import Catalog
from backend.server.segmentations import Segmentations
from backend.server.settings import Settings
from backend.server.shares import ShareDatabase, Shares
from backend.server.urls import Urls
from backend.store import Store

if TYPE_CHECKING:
    from backend.clip import ClipResNet


@dataclass(frozen=True)
class Services:
    """Everything that one server process keeps, made once when it starts."""

    settings: Settings
    urls: Urls
    catalog: Catalog
    engine: Engine[ClipResNet]
    segmentations: Segmentations
    shares: Shares
    previews: Previews
    openapi: Callable[[], dict[str, Any]]
    """The application's own OpenAPI description."""


def make_services(
    settings: Settings,
    stores: list[Store],
    engine: Engine[ClipResNet],
    openapi: Callable[[], dict[str, Any]],
) -> Services:
    """Wire the services together; nothing runs yet."""
    urls = Urls(settings.public_url)
    catalog = Catalog(stores, urls, LiveModels(engine))
    database = ShareDatabase(settings.data / "shares.sqlite")
    segmentations = Segmentations(settings, urls, catalog, engine, is_shared=database.keeps)
    shares = Shares(settings, urls, catalog, database, segmentations)
    previews = Previews(catalog, segmentations)
    return Services(settings, urls, catalog, engine, segmentations, shares, previews, openapi)
