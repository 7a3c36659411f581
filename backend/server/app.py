"""Puts the server together: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware

from backend.server import assets, errors, uploads
from backend.server.live import Load, engine_for
from backend.server.metrics import Metrics, Timed
from backend.server.middleware import Front
from backend.server.queries import check_name
from backend.server.rate_limits import RateLimit
from backend.server.routes import api, health, pages
from backend.server.services import Services, make_services
from backend.server.settings import Settings
from backend.server.urls import API, Urls
from backend.store import Store, open_store

log = logging.getLogger(__name__)

DESCRIPTION = """\
Neuron-head pairs of CLIP-ResNets: look-ups, search by text, segmentation of uploaded images, links.

All numbers of a pair are oriented: `value` is sign times coefficient. Addresses are root-relative.
Every answer that is not a success has the same body, `{"error": {status, code, message,
request_id}}`.
"""

API_VERSION = "1"
"""Of the wire, not of the program: no version of what runs here leaves the server.  The version
that made a store's data does, with its provenance: it is a fact about the data."""

GZIP_BYTES = 1024
GZIP_LEVEL = 5
"""Level 9 costs four times the time for 2 % less."""


def create_app(settings: Settings, *, load: Load | None = None) -> FastAPI:
    """The application for ``settings``; nothing runs until its lifespan begins.

    ``load`` gives the model of every store in place of its weights, for measurements.

    Raises :class:`~backend.store.StoreError` when a store cannot be opened or two share a name.
    """
    stores = _open_stores(settings)
    metrics, rate = Metrics(), settings.rate()
    app = FastAPI(
        title="PairScope",
        version=API_VERSION,
        description=DESCRIPTION,
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # the redirect would be absolute, made from the Host header
        lifespan=lambda app: _lifespan(app, settings, stores, load),
        middleware=[
            Middleware(Timed, metrics=metrics),
            Middleware(
                Front,
                prefix=Urls(settings.public_url).prefix,
                hosts=settings.hosts(),
                max_upload_bytes=settings.max_upload_bytes,
                limit=None if rate is None else RateLimit(rate),
            ),
            Middleware(GZipMiddleware, minimum_size=GZIP_BYTES, compresslevel=GZIP_LEVEL),
        ],
    )
    app.state.metrics = metrics
    errors.install(app)
    app.include_router(health.router)
    app.include_router(api.router)
    assets.mount(app)
    app.include_router(pages.router)
    return app


@asynccontextmanager
async def _lifespan(
    app: FastAPI, settings: Settings, stores: list[Store], load: Load | None
) -> AsyncIterator[None]:
    uploads.forbid_bombs()
    engine = engine_for(stores, settings, app.state.metrics, load)
    services = make_services(settings, stores, engine, app.openapi)
    services.shares.open()
    services.kept.open()
    app.state.services = services
    app.state.metrics.watch(services)
    engine.start()
    prepare = asyncio.create_task(asyncio.to_thread(_prepare, services))
    purge = asyncio.create_task(_purge_forever(services))
    try:
        yield
    finally:
        purge.cancel()
        services.file_checks.end()
        await prepare
        await asyncio.to_thread(engine.drain, settings.drain.total_seconds())


def _prepare(services: Services) -> None:
    """Compute what pages need of whole models before their first visitor asks; then check files.

    A failure is logged, and met again by the page that needs what failed.
    """
    for opened in services.catalog.stores():
        try:
            opened.prepare()
        except Exception:
            log.exception("%s could not be prepared", opened.store.name)
    services.file_checks.run()


async def _purge_forever(services: Services) -> None:
    """Delete expired uploads now and then; a failure is logged and the next round tries again."""
    while True:
        await asyncio.sleep(services.settings.purge_interval.total_seconds())
        try:
            await asyncio.to_thread(services.kept.purge)
        except Exception:
            log.exception("expired uploads could not be deleted")


def _open_stores(settings: Settings) -> list[Store]:
    """Open all stores and refuse names that cannot be addresses side by side."""
    stores: list[Store] = []
    urls = Urls(settings.public_url)
    for path in settings.stores:
        store = open_store(path)
        check_name(store.name, _names(stores), urls)
        stores.append(store)
    return stores


def _names(stores: Sequence[Store]) -> list[str]:
    return [store.name for store in stores]
