"""The JSON addresses and the pictures that they name."""

from __future__ import annotations

from fastapi import APIRouter

from backend.server.routes.api.ablations import ablations
from backend.server.routes.api.attributions import attributions
from backend.server.routes.api.collected import collected
from backend.server.routes.api.comparison import comparison
from backend.server.routes.api.driven import driven
from backend.server.routes.api.finder import finder
from backend.server.routes.api.images import images
from backend.server.routes.api.maps import maps
from backend.server.routes.api.previews import previews
from backend.server.routes.api.search import search
from backend.server.routes.api.segmentations import segmentations
from backend.server.routes.api.shared import shared
from backend.server.routes.api.stored import stored
from backend.server.routes.api.units import units
from backend.server.urls import API

PARTS = (
    finder,
    maps,
    search,
    stored,
    units,
    comparison,
    images,
    driven,
    segmentations,
    attributions,
    ablations,
    collected,
    shared,
    previews,
)

router = APIRouter(prefix=API)
for part in PARTS:
    router.include_router(part)
