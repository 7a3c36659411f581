"""The map of all pairs."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from backend.server import schemas
from backend.server.assets import accepts_gzip
from backend.server.map_file import cluster_sizes
from backend.server.open_store import OpenStore
from backend.server.routes.api.answers import (
    Model,
    Served,
    errors,
    picture,
    stored_headers,
    stored_json,
    unchanged,
)
from backend.server.urls import Urls

BINARY = "application/octet-stream"

maps = APIRouter(tags=["stored data"])


@maps.get(
    "/models/{model}/map",
    summary="Clusters of the map of all pairs, and where its arrays are",
    response_model=schemas.PairMap,
    responses=errors(304, 404, 422),
)
def get_map(request: Request, services: Served, model: Model) -> Response:
    opened = services.catalog.open_store(model)
    version = opened.store.data_version
    return unchanged(request, version) or stored_json(_pair_map(opened, services.urls), version)


@maps.get(
    "/models/{model}/map.safetensors",
    summary="Where every pair lies on the map: 8 bytes a pair",
    response_class=Response,
    responses=picture(BINARY, 304, 404, 422),
)
def get_map_arrays(request: Request, services: Served, model: Model) -> Response:
    opened = services.catalog.open_store(model)
    version = opened.store.data_version
    if known := unchanged(request, version):
        return known
    headers = stored_headers(version) | {"Vary": "Accept-Encoding"}
    body = opened.map_file.body
    if accepts_gzip(request):
        body, headers["Content-Encoding"] = opened.map_file.compressed, "gzip"
    return Response(body, media_type=BINARY, headers=headers)


def _pair_map(opened: OpenStore, urls: Urls) -> schemas.PairMap:
    store = opened.store
    words = [store.vocabulary[word] for word in store.map["cluster_word"].tolist()]
    places = store.map["cluster_position"].tolist()
    return schemas.PairMap(
        model=store.name,
        pairs=opened.factors.n_pairs,
        neurons=opened.n_neurons,
        heads=opened.n_heads,
        clusters=[
            schemas.MapCluster(word=word, x=x, y=y, pairs=pairs)
            for word, (x, y), pairs in zip(words, places, cluster_sizes(store), strict=True)
        ],
        arrays_url=urls.api_map_arrays(store.name),
        data_version=store.data_version,
    )
