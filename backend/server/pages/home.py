"""The first page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.base import Page
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services

FEATURED_ON_HOME = 8


@dataclass(frozen=True, kw_only=True)
class HomePage(Page):
    """What this is, and where to begin."""

    template: ClassVar[str] = "home.html"

    models: list[schemas.ModelSummary]
    """All stores that the server has open; the first one is featured."""
    featured: list[schemas.PairSummary]
    """A few clear pairs of the first model."""
    example_words: list[str]
    """Words worth a first search in the first model."""


def home_page(services: Services) -> HomePage:
    models = services.catalog.models().models
    first = services.catalog.model(models[0].name) if models else None
    return HomePage(
        title="Neuron-head pairs of CLIP-ResNets",
        description="Explore what the neuron-head pairs inside CLIP-ResNet models respond to: "
        "exact directions, words, images and live segmentation.",
        json_url=services.urls.api_models(),
        view_url=services.urls.home(),
        tiles=tiles_of_pairs(first.name, first.clearest or first.strongest) if first else (),
        model=models[0] if len(models) == 1 else None,
        models=models,
        featured=(first.clearest or first.strongest)[:FEATURED_ON_HOME] if first else [],
        example_words=first.example_words if first else [],
    )
