"""What the routes work with, handed to them as ``request.app.state.services``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backend.server.ablations import Ablations
from backend.server.attributions import Attributions
from backend.server.driven import DrivenPairs
from backend.server.encoded import EncodedImages
from backend.server.engine import Engine
from backend.server.file_checks import FileChecks
from backend.server.images import Images
from backend.server.kept import KeptUploads
from backend.server.lab import Lab
from backend.server.live import LiveModels
from backend.server.previews import Previews
from backend.server.queries import Catalog
from backend.server.segmentations import Segmentations
from backend.server.settings import Settings
from backend.server.share_database import ShareDatabase
from backend.server.shares import Find, Shares
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
    kept: KeptUploads
    images: Images
    lab: Lab
    driven: DrivenPairs
    segmentations: Segmentations
    attributions: Attributions
    ablations: Ablations
    shares: Shares
    previews: Previews
    file_checks: FileChecks
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
    live = LiveModels(engine)
    catalog = Catalog(stores, urls, live)
    database = ShareDatabase(settings.data / "shares.sqlite")
    kept = KeptUploads(
        settings.data,
        lifetime=settings.upload_lifetime,
        max_bytes=settings.max_stored_bytes,
        is_shared=database.keeps,
    )
    encoded = EncodedImages(settings.max_encoded_bytes)
    images = Images(settings, urls, catalog, database, kept, encoded)
    lab = Lab(settings, engine, live, images, encoded)
    driven = DrivenPairs(urls, catalog, images, lab)
    segmentations = Segmentations(urls, catalog, images, lab, kept)
    attributions = Attributions(urls, catalog, images, lab, kept)
    ablations = Ablations(urls, catalog, images, lab, kept)
    shown: dict[str, Find] = {
        "image": images.find,
        "segmentation": segmentations.get,
        "attribution": attributions.get,
        "ablation": ablations.get,
    }
    shares = Shares(settings, urls, catalog, database, kept, shown)
    previews = Previews(catalog, segmentations)
    return Services(
        settings=settings,
        urls=urls,
        catalog=catalog,
        engine=engine,
        kept=kept,
        images=images,
        lab=lab,
        driven=driven,
        segmentations=segmentations,
        attributions=attributions,
        ablations=ablations,
        shares=shares,
        previews=previews,
        file_checks=FileChecks(stores),
        openapi=openapi,
    )
