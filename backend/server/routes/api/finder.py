"""The table of all pairs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from backend.server import schemas
from backend.server.csv_files import csv_chunks
from backend.server.finder import CSV_HEADER, csv_rows, find_pairs
from backend.server.routes.api.answers import (
    Model,
    Served,
    attachment,
    errors,
    stored_headers,
    stored_json,
    table,
    unchanged,
)

finder = APIRouter(tags=["stored data"])

Asked = Annotated[schemas.FinderQuery, Query()]


@finder.get(
    "/models/{model}/pairs",
    summary="Pairs that fulfil conditions, sorted, a page at a time",
    response_model=schemas.FoundPairs,
    responses=errors(304, 404, 422),
)
def get_pairs(request: Request, services: Served, model: Model, asked: Asked) -> Response:
    opened = services.catalog.check_pair(model, asked.neuron or 0, asked.head or 0)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(
        find_pairs(opened, services.urls, asked), version
    )


@finder.get(
    "/models/{model}/pairs.csv",
    summary="All pairs that fulfil conditions, as a CSV file",
    description="`limit` and `offset` mean nothing here.  Text that a spreadsheet would take for a "
    "formula begins with an apostrophe.",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_pairs_csv(request: Request, services: Served, model: Model, asked: Asked) -> Response:
    opened = services.catalog.check_pair(model, asked.neuron or 0, asked.head or 0)
    version = opened.store.data_version
    headers = stored_headers(version) | attachment(f"{opened.store.name}-pairs.csv")
    return unchanged(request, version) or StreamingResponse(
        csv_chunks(CSV_HEADER, csv_rows(opened, asked)),
        media_type="text/csv; charset=utf-8",
        headers=headers,
    )
