"""Several pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.server import schemas
from backend.server.collected import pair_places
from backend.server.comparison import pair_batch, words_table
from backend.server.errors import invalid
from backend.server.open_store import OpenStore
from backend.server.routes.api.answers import (
    Model,
    Served,
    csv_file,
    errors,
    stored_json,
    table,
    unchanged,
)
from backend.server.services import Services

comparison = APIRouter(tags=["stored data"])

Pairs = Annotated[
    str,
    Query(
        description=f"neuron.head, separated by commas; at most {schemas.MAX_BATCH}",
        examples=["3.1,7.4"],
    ),
]


@comparison.get(
    "/models/{model}/pairs:batch",
    summary="Several pairs, and how they compare",
    response_model=schemas.PairBatch,
    responses=errors(304, 404, 422),
)
def get_batch(request: Request, services: Served, model: Model, pairs: Pairs) -> Response:
    return _batch(request, services, model, pair_places(pairs))


@comparison.post(
    "/models/{model}/pairs:batch",
    summary="The same for pairs in a body",
    response_model=schemas.PairBatch,
    responses=errors(304, 400, 404, 413, 422),
)
def post_batch(
    request: Request, services: Served, model: Model, wanted: schemas.PairBatchRequest
) -> Response:
    places = dict.fromkeys((each.neuron, each.head) for each in wanted.pairs)
    return _batch(request, services, model, list(places))


@comparison.get(
    "/models/{model}/pairs:words.csv",
    summary=f"The words of 1 to {schemas.MAX_COMPARED} pairs side by side, as a table",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_words(request: Request, services: Served, model: Model, pairs: Pairs) -> Response:
    places = pair_places(pairs)
    if len(places) > schemas.MAX_COMPARED:
        raise invalid("pairs", f"At most {schemas.MAX_COMPARED} pairs can be compared.")
    opened = _opened(services, model, places)
    version = opened.store.data_version
    return unchanged(request, version) or csv_file(
        f"{model}-words", *words_table(pair_batch(opened, services.urls, places)), version
    )


def _batch(
    request: Request, services: Services, model: str, places: Sequence[tuple[int, int]]
) -> Response:
    opened = _opened(services, model, places)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(
        pair_batch(opened, services.urls, places), version
    )


def _opened(services: Services, model: str, places: Sequence[tuple[int, int]]) -> OpenStore:
    """The store of pairs that exist; 404 for others, 422 for none."""
    opened = services.catalog.open_store(model)
    if not places:
        raise invalid("pairs", "pairs must name at least one pair, as neuron.head.")
    for neuron, head in places:
        services.catalog.check_pair(model, neuron, head)
    return opened
