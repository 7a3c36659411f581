"""Stored data: models, pairs, and the pictures of the data set."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from backend.server import schemas
from backend.server.provenance import provenance
from backend.server.routes.api.answers import (
    Head,
    Image,
    Model,
    Neuron,
    Served,
    errors,
    picture,
    stored_json,
    stored_picture,
    unchanged,
)

stored = APIRouter(tags=["stored data"])


@stored.get(
    "/models",
    summary="All models that are served",
    response_model=schemas.Models,
    responses=errors(304),
)
def get_models(request: Request, services: Served) -> Response:
    models = services.catalog.models()
    live = "".join(model.live[0] for model in models.models)
    version = f"{services.catalog.data_version(None)}-{live}"
    return unchanged(request, version) or stored_json(models, version)


@stored.get(
    "/models/{model}",
    summary="One model: provenance, strongest and clearest pairs",
    response_model=schemas.ModelDetail,
    responses=errors(304, 404, 422),
)
def get_model(request: Request, services: Served, model: Model) -> Response:
    opened = services.catalog.open_store(model)
    live = services.engine.status(opened.model_key).state
    version = f"{opened.store.data_version}-{live[0]}"
    return unchanged(request, version) or stored_json(services.catalog.model(model), version)


@stored.get(
    "/models/{model}/provenance",
    summary="What a model's numbers were made from, and how exact they were found to be",
    response_model=schemas.Provenance,
    responses=errors(304, 404, 422),
)
def get_provenance(request: Request, services: Served, model: Model) -> Response:
    told = provenance(services.catalog.open_store(model), services.urls)
    made = told.exactness.made.timestamp() if told.exactness else 0
    version = f"{told.data_version}-{made:.0f}"
    return unchanged(request, version) or stored_json(told, version)


@stored.get(
    "/models/{model}/pairs/{neuron}/{head}",
    summary="Everything stored about one pair",
    response_model=schemas.Pair,
    responses=errors(304, 404, 422),
)
def get_pair(
    request: Request, services: Served, model: Model, neuron: Neuron, head: Head
) -> Response:
    version = services.catalog.check_pair(model, neuron, head).store.data_version
    return unchanged(request, version) or stored_json(
        services.catalog.pair(model, neuron, head), version
    )


@stored.get(
    "/models/{model}/images/{image}.webp",
    summary="Thumbnail of an image of the data set",
    response_class=Response,
    responses=picture("image/webp", 304, 404, 422),
)
def get_exemplar(request: Request, services: Served, model: Model, image: Image) -> Response:
    content = services.catalog.exemplar(model, image)
    version = services.catalog.open_store(model).store.data_version
    return unchanged(request, version) or stored_picture(content, "image/webp", version)


@stored.get(
    "/models/{model}/pairs/{neuron}/{head}/heatmaps/{image}.png",
    summary="Where in an exemplar a pair's value comes from: signed overlay",
    response_class=Response,
    responses=picture("image/png", 304, 404, 422),
)
def get_pair_heatmap(
    request: Request, services: Served, model: Model, neuron: Neuron, head: Head, image: Image
) -> Response:
    content = services.catalog.heatmap_png(model, neuron, head, image)
    version = services.catalog.open_store(model).store.data_version
    return unchanged(request, version) or stored_picture(content, "image/png", version)
