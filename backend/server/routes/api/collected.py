"""Collections: the list that an address holds, as JSON and as files."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from backend.server import schemas
from backend.server.collected import ENTRIES_HEADER, Wanted, collection, entry_rows, wanted_list
from backend.server.routes.api.answers import (
    Model,
    Served,
    attachment,
    csv_file,
    errors,
    stored_json,
    table,
    unchanged,
)

collected = APIRouter(tags=["collections"])


def _wanted(
    pairs: Annotated[
        list[str] | None,
        Query(
            description=f"neuron.head, separated by commas; at most {schemas.MAX_COLLECTED}",
            examples=[["3.1,7.4"]],
        ),
    ] = None,
    note: Annotated[
        list[str] | None,
        Query(
            description="one for each pair, in their order, each at most "
            f"{schemas.MAX_ENTRY_NOTE_CHARACTERS} characters; may end early"
        ),
    ] = None,
    title: Annotated[str, Query(max_length=schemas.MAX_TITLE_CHARACTERS)] = "",
    about: Annotated[str, Query(max_length=schemas.MAX_NOTE_CHARACTERS)] = "",
) -> Wanted:
    return wanted_list(pairs or [], note or [], title, about)


WantedList = Annotated[Wanted, Depends(_wanted)]


@collected.get(
    "/models/{model}/collection",
    summary="The list of pairs that the address holds",
    response_model=schemas.Collection,
    responses=errors(304, 404, 422),
)
def get_collection(
    request: Request, services: Served, model: Model, wanted: WantedList
) -> Response:
    told = collection(services.catalog, services.urls, model, wanted)
    return unchanged(request, told.data_version) or stored_json(told, told.data_version)


@collected.get(
    "/models/{model}/collection.json",
    summary="The same as a file, which the collection's page reads in again",
    response_model=schemas.Collection,
    responses=errors(304, 404, 422),
)
def get_collection_file(
    request: Request, services: Served, model: Model, wanted: WantedList
) -> Response:
    told = collection(services.catalog, services.urls, model, wanted)
    if known := unchanged(request, told.data_version):
        return known
    answer = stored_json(told, told.data_version)
    answer.headers.update(attachment(f"{told.model}-collection.json"))
    return answer


@collected.get(
    "/models/{model}/collection.csv",
    summary="The same as a table for spreadsheets",
    response_class=Response,
    responses=table(304, 404, 422),
)
def get_collection_table(
    request: Request, services: Served, model: Model, wanted: WantedList
) -> Response:
    told = collection(services.catalog, services.urls, model, wanted)
    return unchanged(request, told.data_version) or csv_file(
        f"{told.model}-collection", ENTRIES_HEADER, entry_rows(told), told.data_version
    )
