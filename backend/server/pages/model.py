"""The page of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.base import Page
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.services import Services


@dataclass(frozen=True, kw_only=True)
class ModelPage(Page):
    """Where a model's numbers come from, and its most telling pairs."""

    template: ClassVar[str] = "model.html"

    detail: schemas.ModelDetail
    """The model with its provenance and its strongest and clearest pairs."""


def model_page(services: Services, name: str) -> ModelPage:
    detail = services.catalog.model(name)
    return ModelPage(
        title=detail.name,
        description=f"{detail.pairs:,} neuron-head pairs of {detail.architecture}, "
        f"seen on {detail.images:,} images of {detail.dataset}.",
        json_url=services.urls.api_model(name),
        tiles=tiles_of_pairs(detail.name, detail.clearest or detail.strongest),
        view_url=detail.url,
        model=detail,
        detail=detail,
    )
