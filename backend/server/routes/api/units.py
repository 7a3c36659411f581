"""Neurons and heads as units."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from backend.server import schemas
from backend.server.formats import first_words
from backend.server.routes.api.answers import (
    Model,
    Neuron,
    Served,
    csv_file,
    errors,
    stored_json,
    table,
    unchanged,
)
from backend.server.units import neuron_unit

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
    known = unchanged(request, version)
    return known or stored_json(neuron_unit(opened, services.urls, neuron), version)


@units.get(
    "/models/{model}/neurons/{neuron}/heads.csv",
    summary="What every head makes of a neuron, as a table",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_neuron_csv(request: Request, services: Served, model: Model, neuron: Neuron) -> Response:
    opened = services.catalog.check_neuron(model, neuron)
    version = opened.store.data_version
    if (known := unchanged(request, version)) is not None:
        return known
    heads = neuron_unit(opened, services.urls, neuron).heads
    columns = ("share", "cosine", "norm", "norm_percentile", "monosemanticity", "held_out")
    return csv_file(
        f"{model}-neuron-{neuron}",
        ["neuron", "head", "subconcept", *columns, "strength", "words"],
        [
            [
                neuron,
                each.head,
                each.subconcept,
                *(getattr(each, column) for column in columns),
                each.strength,
                first_words(each.words),
            ]
            for each in heads
        ],
        version,
    )
