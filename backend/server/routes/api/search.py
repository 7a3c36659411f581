"""Search of pairs by text, and what may be searched for."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.server import schemas
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    private_json,
    stored_json,
    unchanged,
)
from backend.server.search import suggest

DEFAULT_SUGGESTIONS = 8

search = APIRouter(tags=["stored data"])


@search.get(
    "/models/{model}/search",
    summary="Pairs that answer to a text: by meaning, and by the words of their explanations",
    response_model=schemas.SearchResults,
    responses=errors(304, 404, 422, 503),
)
def get_search(
    request: Request, services: Served, model: Model, asked: Annotated[schemas.SearchQuery, Query()]
) -> Response:
    version = services.catalog.open_store(model).store.data_version
    if known := unchanged(request, version):
        return known
    found = services.catalog.search(model, asked)
    # An answer without the model's part is not to be kept.
    return private_json(found) if found.unavailable else stored_json(found, version)


@search.get(
    "/models/{model}/suggestions",
    summary="Words of the vocabulary for a text that is being typed",
    response_model=schemas.Suggestions,
    responses=errors(304, 404, 422),
)
def get_suggestions(
    request: Request,
    services: Served,
    model: Model,
    q: Annotated[
        str,
        Query(
            description="the text so far",
            min_length=1,
            max_length=schemas.MAX_QUERY_CHARACTERS,
            examples=["butte"],
        ),
    ],
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_SUGGESTIONS)] = DEFAULT_SUGGESTIONS,
) -> Response:
    opened = services.catalog.open_store(model)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(suggest(opened, q, limit), version)
