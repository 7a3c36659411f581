"""Neurons and heads as units."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from backend.server import schemas
from backend.server.head_words import WORDS_HEADER, word_rows
from backend.server.routes.api.answers import (
    Head,
    Model,
    Neuron,
    Served,
    csv_file,
    errors,
    stored_json,
    table,
    unchanged,
)
from backend.server.splits import SPLITS_HEADER, SPLITS_KEPT, gallery, split_rows
from backend.server.units import HEADS_HEADER, head_rows, head_unit, neuron_unit

units = APIRouter(tags=["stored data"])


@units.get(
    "/models/{model}/neurons/{neuron}",
    summary="One neuron: its concept, and the sub-concepts that its heads make of it",
    response_model=schemas.Neuron,
    responses=errors(304, 404, 422),
)
def get_neuron(request: Request, services: Served, model: Model, neuron: Neuron) -> Response:
    opened = services.catalog.check_neuron(model, neuron)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(
        neuron_unit(opened, services.urls, neuron), version
    )


@units.get(
    "/models/{model}/neurons/{neuron}/heads.csv",
    summary="What every head makes of a neuron, as a table",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_neuron_csv(request: Request, services: Served, model: Model, neuron: Neuron) -> Response:
    opened = services.catalog.check_neuron(model, neuron)
    version = opened.store.data_version
    return unchanged(request, version) or csv_file(
        f"{model}-neuron-{neuron}",
        HEADS_HEADER,
        head_rows(neuron_unit(opened, services.urls, neuron)),
        version,
    )


@units.get(
    "/models/{model}/heads/{head}",
    summary="One head: its concept, its pairs, and the words that they share",
    response_model=schemas.Head,
    responses=errors(304, 404, 422),
)
def get_head(request: Request, services: Served, model: Model, head: Head) -> Response:
    opened = services.catalog.check_head(model, head)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(
        head_unit(opened, services.urls, head), version
    )


@units.get(
    "/models/{model}/heads/{head}/words.csv",
    summary="The words that the pairs of a head point towards, as a table",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_head_csv(request: Request, services: Served, model: Model, head: Head) -> Response:
    opened = services.catalog.check_head(model, head)
    version = opened.store.data_version
    return unchanged(request, version) or csv_file(
        f"{model}-head-{head}",
        WORDS_HEADER,
        word_rows(opened.store, opened.word_counts, head),
        version,
    )


@units.get(
    "/models/{model}/splits",
    summary="The pairs that part most strongly from their neuron, a page at a time",
    response_model=schemas.Splits,
    responses=errors(304, 404, 422),
)
def get_splits(
    request: Request,
    services: Served,
    model: Model,
    offset: Annotated[int, Query(ge=0, le=SPLITS_KEPT, description="splits to pass over")] = 0,
    limit: Annotated[int, Query(ge=1, le=schemas.MAX_SPLITS)] = schemas.DEFAULT_SPLITS,
) -> Response:
    opened = services.catalog.open_store(model)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(
        gallery(opened, services.urls, offset=offset, limit=limit), version
    )


@units.get(
    "/models/{model}/splits.csv",
    summary="All splits of the gallery, as a table",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_splits_csv(request: Request, services: Served, model: Model) -> Response:
    opened = services.catalog.open_store(model)
    version = opened.store.data_version
    return unchanged(request, version) or csv_file(
        f"{model}-splits", SPLITS_HEADER, split_rows(opened), version
    )
