"""The pages: each is one query of the services, put into one dataclass of ``pages``.

Every page has a JSON twin that answers the same query.  ``/{model}`` matches any first segment, so
this router goes behind all others.
"""

from __future__ import annotations

import re
import secrets
from typing import Annotated

from fastapi import APIRouter, File, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from backend.server import schemas
from backend.server.collected import collection as collection_of
from backend.server.collected import read_file, wanted_list
from backend.server.images import Given
from backend.server.pages.collection import collection_page
from backend.server.pages.compare import compare_page
from backend.server.pages.docs import docs_page
from backend.server.pages.finder import finder_page
from backend.server.pages.head import head_page
from backend.server.pages.home import home_page
from backend.server.pages.lab import lab_page
from backend.server.pages.model import AtlasQuery, model_page
from backend.server.pages.neuron import neuron_page
from backend.server.pages.pair import pair_page
from backend.server.pages.picture_search import PictureQuery, picture_search_page
from backend.server.pages.provenance import provenance_page
from backend.server.pages.query import Query as PageQuery
from backend.server.pages.search import SearchPageQuery, search_page
from backend.server.pages.shared import shared_page
from backend.server.pages.splits import splits_page
from backend.server.plain_uploads import remember_token, token_of
from backend.server.rendering import render
from backend.server.routes.api.answers import Served

router = APIRouter(include_in_schema=False, default_response_class=Response)


@router.get("/")
def home(
    request: Request, services: Served, q: str | None = None, model: str | None = None
) -> Response:
    """The first page; with ``q`` it passes the question on to a model's search page."""
    models = services.catalog.models().models
    if q is not None and models:
        asked = services.catalog.model(model or models[0].name)
        return RedirectResponse(services.urls.search(asked.name, q), status_code=303)
    return render(request, home_page(services))


@router.get("/docs")
def docs(request: Request, services: Served) -> Response:
    """The method, and the API's addresses."""
    return render(request, docs_page(services))


@router.get("/s/{share}")
def shared(request: Request, services: Served, share: str) -> Response:
    """A share: the page or result itself, under a banner with its title and note."""
    return render(request, shared_page(services, services.shares.get(share)))


@router.get("/{model}")
def model(
    request: Request, services: Served, model: str, asked: Annotated[AtlasQuery, Query()]
) -> Response:
    """The atlas of a model."""
    return render(request, model_page(services, model, asked))


@router.get("/{model}/provenance")
def provenance(request: Request, services: Served, model: str) -> Response:
    """What a model's numbers were made from."""
    return render(request, provenance_page(services, model))


@router.get("/{model}/search")
def search(
    request: Request,
    services: Served,
    model: str,
    asked: Annotated[SearchPageQuery, Query()],
) -> Response:
    """Pairs that answer to a text; a refused text is explained on the page itself."""
    page, status, headers = search_page(services, model, asked)
    response = render(request, page, status)
    response.headers.update(headers)
    return response


@router.get("/{model}/pairs")
def finder(
    request: Request, services: Served, model: str, asked: Annotated[schemas.FinderQuery, Query()]
) -> Response:
    """The table of all pairs, or of those that fulfil conditions."""
    return render(request, finder_page(services, model, asked))


@router.get("/{model}/random")
def random(services: Served, model: str) -> Response:
    """Any pair, another each time."""
    opened = services.catalog.open_store(model)
    head, neuron = divmod(secrets.randbelow(len(opened.pair_table)), opened.n_neurons)
    return RedirectResponse(
        services.urls.pair(model, neuron, head),
        status_code=303,
        headers={"Cache-Control": "no-store"},
    )


@router.get("/{model}/search/picture")
def picture_search(
    request: Request, services: Served, model: str, asked: Annotated[PictureQuery, Query()]
) -> Response:
    """The pairs that a picture drives."""
    return render(request, picture_search_page(services, model, asked))


@router.post("/{model}/search/picture")
async def take_picture(services: Served, model: str, image: Annotated[bytes, File()]) -> Response:
    """The plain form: takes a picture, and leads to the page of its pairs.

    With scripts the API is called instead.
    """
    opened = services.catalog.open_store(model)
    taken = await services.lab.take(opened, Given(upload=image))
    address = services.urls.picture_search(model, {"image": taken.id})
    response = RedirectResponse(address, status_code=303)
    remember_token(response, services.urls, model, taken.id, taken.delete_token)
    return response


@router.get("/{model}/pairs/{neuron}/{head}")
def pair(request: Request, services: Served, model: str, neuron: int, head: int) -> Response:
    """The sub-concept page."""
    return render(request, pair_page(services, model, neuron, head))


@router.get("/{model}/splits")
def splits(request: Request, services: Served, model: str, offset: int = 0) -> Response:
    """The pairs that part most strongly from their neuron."""
    return render(request, splits_page(services, model, offset))


@router.get("/{model}/compare")
def compare(request: Request, services: Served, model: str, pairs: str = "") -> Response:
    """Two to four pairs on the same images; what cannot be compared is explained on the page."""
    page, status = compare_page(services, model, pairs)
    return render(request, page, status)


@router.get("/{model}/heads/{head}")
def head(request: Request, services: Served, model: str, head: int) -> Response:
    """A head, its pairs and their words."""
    return render(request, head_page(services, model, head))


@router.get("/{model}/neurons/{neuron}")
def neuron(request: Request, services: Served, model: str, neuron: int) -> Response:
    """A neuron, and what its heads make of it."""
    return render(request, neuron_page(services, model, neuron))


@router.get("/{model}/collection")
def collection(
    request: Request,
    services: Served,
    model: str,
    pairs: Annotated[list[str] | None, Query()] = None,
    note: Annotated[list[str] | None, Query()] = None,
    title: str = "",
    about: str = "",
) -> Response:
    """The list of pairs that the address holds, and the form that changes it."""
    wanted = wanted_list(pairs or [], note or [], title, about)
    return render(request, collection_page(services, model, wanted))


@router.post("/{model}/collection")
def read_collection(services: Served, model: str, file: Annotated[bytes, File()]) -> Response:
    """Read in a collection that was saved as JSON, and lead to its address."""
    told = collection_of(services.catalog, services.urls, model, read_file(file))
    return RedirectResponse(told.url, status_code=303)


@router.get("/{model}/lab")
def lab(request: Request, services: Served, model: str) -> Response:
    """The lab, empty or with what its address names."""
    query = PageQuery(request.url.query)
    return render(request, lab_page(services, model, query, own=token_of(request)))


@router.post("/{model}/lab")
async def segment_without_scripts(
    services: Served,
    model: str,
    image: Annotated[bytes, File()],
    prompts: Annotated[str, Form()] = "",
    background: Annotated[bool, Form()] = False,
) -> Response:
    """The lab's plain form: segments, and leads to the result's address.

    ``prompts`` are separated by commas or lines.  With scripts the lab calls the API instead.
    """
    texts = [text for text in re.split(r"[,\n]", prompts) if text.strip()]
    asked = schemas.SegmentationRequest(prompts=texts, background=background)
    result, token = await services.segmentations.create(model, asked, image)
    response = RedirectResponse(result.url, status_code=303)
    if token is not None:
        remember_token(response, services.urls, model, result.image, token)
    return response


@router.post("/{model}/lab/delete")
def delete_without_scripts(
    services: Served,
    model: str,
    image: Annotated[str, Form()],
    token: Annotated[str, Form()],
) -> Response:
    """The plain form that deletes a picture, all that was made of it, and its shares."""
    services.images.delete(model, image, token)
    return RedirectResponse(services.urls.lab(model), status_code=303)
