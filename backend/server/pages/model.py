"""The page of a model: its atlas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from backend.server import schemas
from backend.server.finder import find_pairs
from backend.server.pages.base import Page
from backend.server.pages.finder import Heading, headings_of
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.schemas.finder import Region, without_blanks
from backend.server.services import Services
from backend.server.splits import featured_splits

FEATURED_SPLITS = 6

ROWS = 8
"""Pairs that the table under the map begins with."""


class AtlasQuery(BaseModel):
    """What the atlas is asked for."""

    model_config = ConfigDict(frozen=True)

    region: Region = None
    colour: Literal["norm", "head", "concept"] = "norm"

    _given = model_validator(mode="before")(without_blanks)


@dataclass(frozen=True, kw_only=True)
class ModelPage(Page):
    """The map of a model's pairs, the pairs of a part of it, and where its numbers come from."""

    template: ClassVar[str] = "model.html"
    compiles: ClassVar[bool] = True
    parts: ClassVar[tuple[str, ...]] = ("map", "pairs", "splits", "clearest", "provenance")

    detail: schemas.ModelDetail
    """The model with its provenance and its clearest pairs."""
    asked: AtlasQuery
    """The chosen part of the map, and what its points are coloured by."""
    featured: list[schemas.Split]
    """Pairs that part most strongly from their neurons, each with another first word."""
    found: schemas.FoundPairs
    """The first pairs of that part, or of all."""
    headings: list[Heading]
    """The columns of figures."""
    table_url: str
    """The whole table of which these are the first."""


def model_page(services: Services, name: str, asked: AtlasQuery | None = None) -> ModelPage:
    detail = services.catalog.model(name)
    asked = asked or AtlasQuery()
    rows = schemas.FinderQuery(region=asked.region)
    opened = services.catalog.open_store(name)
    return ModelPage(
        title=detail.name,
        description=f"{detail.pairs:,} neuron-head pairs of {detail.architecture}, "
        f"seen on {detail.images:,} images of {detail.dataset}.",
        json_url=services.urls.api_model(name),
        tiles=tiles_of_pairs(detail.name, detail.clearest or detail.strongest),
        view_url=services.urls.model(name, asked.model_dump(exclude_defaults=True)),
        model=detail,
        detail=detail,
        asked=asked,
        featured=featured_splits(opened, services.urls, wanted=FEATURED_SPLITS),
        found=find_pairs(opened, services.urls, rows.model_copy(update={"limit": ROWS})),
        headings=headings_of(services.urls, name, rows),
        table_url=services.urls.pairs(name, rows.asked()),
    )
