"""The pages: each is one query of the services, put into one dataclass of ``views``.

Every page has a JSON twin that answers the same query.  ``/{model}`` matches any first segment, so
this router goes behind all others.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote, urlsplit

from fastapi import APIRouter, Depends, FastAPI, File, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from backend.server import charts, schemas, views
from backend.server.engine import EngineError
from backend.server.errors import ApiError, not_found
from backend.server.services import Services
from backend.server.views import render

SEARCH_LIMIT = 24
"""Results on a first page: whole rows of two, three and four cards."""

FEATURED_ON_HOME = 8
SAMPLES_IN_LAB = 8
PROMPTS_FROM_PAIR = 2
"""Words of a pair that the lab begins with."""

router = APIRouter(include_in_schema=False, default_response_class=Response)


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Served = Annotated[Services, Depends(_services)]


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
    return render(request, docs_page(services, request.app))


@router.get("/s/{share}")
def shared(request: Request, services: Served, share: str) -> Response:
    """A share: the page or result itself, under a banner with its title and note."""
    return render(request, shared_page(services, services.shares.get(share), request.app))


@router.get("/{model}")
def model(request: Request, services: Served, model: str) -> Response:
    """A model: provenance and where to start."""
    return render(request, model_page(services, model))


@router.get("/{model}/search")
def search(
    request: Request,
    services: Served,
    model: str,
    q: str = "",
    limit: int = SEARCH_LIMIT,
) -> Response:
    """Pairs most similar to a text; a refused text is explained on the page itself."""
    page, status, headers = search_page(services, model, q, limit)
    response = render(request, page, status)
    response.headers.update(headers)
    return response


@router.get("/{model}/pairs/{neuron}/{head}")
def pair(request: Request, services: Served, model: str, neuron: int, head: int) -> Response:
    """The sub-concept page."""
    return render(request, pair_page(services, model, neuron, head))


@router.get("/{model}/lab")
def lab(
    request: Request,
    services: Served,
    model: str,
    segmentation: str | None = None,
    prompts: Annotated[list[str] | None, Query()] = None,
    background: bool = True,
) -> Response:
    """The lab, empty or with a result."""
    return render(request, lab_page(services, model, segmentation, prompts or [], background))


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
    result = await services.segmentations.create(model, image, texts, background=background)
    return RedirectResponse(result.url, status_code=303)


def home_page(services: Services) -> views.HomePage:
    models = services.catalog.models().models
    first = services.catalog.model(models[0].name) if models else None
    return views.HomePage(
        title="Neuron-head pairs of CLIP-ResNets",
        description="Explore what the neuron-head pairs inside CLIP-ResNet models respond to: "
        "exact directions, words, images and live segmentation.",
        json_url=services.urls.api_models(),
        view_url=services.urls.home(),
        model=models[0] if len(models) == 1 else None,
        models=models,
        featured=(first.clearest or first.strongest)[:FEATURED_ON_HOME] if first else [],
        example_words=first.example_words if first else [],
    )


def docs_page(services: Services, app: FastAPI) -> views.DocsPage:
    models = services.catalog.models().models
    return views.DocsPage(
        title="Method and API",
        description="How PairScope computes directions, words, norms, searches and segmentations, "
        "and the addresses of its API.",
        json_url=services.urls.openapi(),
        view_url=services.urls.docs(),
        model=models[0] if len(models) == 1 else None,
        operations=_operations(app.openapi(), services.urls.prefix),
        example=models[0] if models else None,
    )


def model_page(services: Services, name: str) -> views.ModelPage:
    detail = services.catalog.model(name)
    return views.ModelPage(
        title=detail.name,
        description=f"{detail.pairs:,} neuron-head pairs of {detail.architecture}, "
        f"seen on {detail.images:,} images of {detail.dataset}.",
        json_url=services.urls.api_model(name),
        image_url=_picture(detail.clearest or detail.strongest),
        view_url=detail.url,
        model=detail,
        detail=detail,
    )


def search_page(
    services: Services, name: str, q: str, limit: int
) -> tuple[views.SearchPage, int, dict[str, str]]:
    """The page, its status and its further headers."""
    detail = services.catalog.model(name)
    results, problem, status, headers = None, None, 200, {}
    if q.strip():
        try:
            results = services.catalog.search(name, q, limit)
        except ApiError as error:
            problem, status, headers = error.message, error.status, error.headers
        except EngineError as error:
            wait = error.retry_after
            headers = {} if wait is None else {"Retry-After": str(wait)}
            status = 503
            problem = (
                f"This text is not a word of the model's vocabulary, so the model itself is "
                f"needed to read it. {error}"
            )
    asked = results.query if results else q[: schemas.MAX_QUERY_CHARACTERS]
    more = None
    if results is not None and results.next_limit is not None:
        more = services.urls.search(name, results.query, results.next_limit)
    page = views.SearchPage(
        title=f"“{asked}” in {name}" if asked else f"Search {name}",
        description=f"Neuron-head pairs of {name} whose direction is most similar to a text.",
        json_url=services.urls.api_search(name, results.query, limit) if results else None,
        image_url=_picture(results.results) if results else None,
        view_url=services.urls.search(name, asked or None, limit if results else None),
        model=detail,
        query=asked,
        results=results,
        problem=problem,
        more_url=more,
        example_words=detail.example_words,
    )
    return page, status, headers


def pair_page(services: Services, name: str, neuron: int, head: int) -> views.PairPage:
    pair = services.catalog.pair(name, neuron, head)
    detail = services.catalog.model(name)
    words = views.first_words(pair.explanation)
    wanted = [word.word for word in pair.explanation if word.weight > 0][:PROMPTS_FROM_PAIR]
    return views.PairPage(
        title=f"{words or 'Pair'} ({neuron}, {head})",
        description=f"Neuron {neuron}, head {head} of {name}: {words}. Norm "
        f"{views.number(pair.norm)}, larger than {views.percentile(pair.norm_percentile)} % "
        "of pairs.",
        json_url=services.urls.api_pair(name, neuron, head),
        image_url=pair.top_images[0].url if pair.top_images else None,
        view_url=pair.url,
        model=detail,
        pair=pair,
        bars=charts.word_bars(pair.explanation),
        words_shown=views.WORDS_SHOWN,
        histogram=charts.histogram_chart(
            pair.histogram,
            mean=pair.mean,
            top_values=[image.value for image in pair.top_images],
            bottom_values=[image.value for image in pair.bottom_images],
        ),
        curve=charts.curve_chart(pair.cosine_by_words),
        steps=_steps(services, detail, neuron, head),
        try_url=services.urls.lab(name, prompts=wanted or None),
    )


def lab_page(
    services: Services,
    name: str,
    segmentation: str | None,
    prompts: list[str],
    background: bool,
) -> views.LabPage:
    detail = services.catalog.model(name)
    result = services.segmentations.get(segmentation) if segmentation else None
    if result is not None and result.model != name:
        raise not_found("segmentation", f"This segmentation was not made by {name}.")
    if result is not None:
        prompts, background = [each.prompt for each in result.classes], result.background
    return views.LabPage(
        title=f"{_listed(prompts)} in a picture, by {name}" if result else f"Lab of {name}",
        description="Segment a picture by words with the neuron-head pairs of a CLIP-ResNet.",
        json_url=services.urls.api_segmentation(name, result.id) if result else None,
        view_url=services.urls.lab(name, segmentation),
        model=detail,
        segmentation=result,
        prompts=_usable(prompts),
        background=background,
        samples=_samples(detail),
        example_words=detail.example_words,
        upload_limit=f"{services.settings.max_upload_bytes / 2**20:.3g} MB",
        max_prompts=schemas.MAX_PROMPTS,
        max_prompt_characters=schemas.MAX_PROMPT_CHARACTERS,
    )


def shared_page(services: Services, share: schemas.Share, app: FastAPI) -> views.Page:
    """The shared page under its banner; a plain link where the page is no longer to be had."""
    page: views.Page | None
    if share.segmentation is not None:
        page = _shared_segmentation(services, share.segmentation)
    else:
        try:
            page = _viewed(services, share.view or "/", app)
        except (ApiError, EngineError):
            page = None
    title = share.title or (page.title if page else "Shared link")
    description = share.note or (page.description if page else "A shared page of PairScope.")
    json_url = services.urls.api_share(share.id)
    if page is None:
        return views.SharedLinkPage(
            title=title,
            description=description,
            json_url=json_url,
            share=share,
            link=share.view or services.urls.home(),
        )
    return replace(
        page, title=title, description=description, json_url=json_url, view_url=None, share=share
    )


def _shared_segmentation(services: Services, result: schemas.Segmentation) -> views.Page:
    served = {each.name: each for each in services.catalog.models().models}
    heading = _listed([each.prompt for each in result.classes])
    return views.SharedSegmentationPage(
        title=f"{heading} in a picture",
        heading=heading,
        description=f"A picture segmented by words with the neuron-head pairs of {result.model}.",
        image_url=result.image_url,
        model=served.get(result.model),
        segmentation=result,
    )


_PAIR = re.compile(r"/([^/]+)/pairs/([0-9]+)/([0-9]+)")
_MODEL = re.compile(r"/([^/]+)(/search|/lab)?")


def _viewed(services: Services, view: str, app: FastAPI) -> views.Page | None:
    """The page at a root-relative address of this server; ``None`` for any other address."""
    parts = urlsplit(view.removeprefix(services.urls.prefix))
    path, query = unquote(parts.path), parse_qs(parts.query)
    if path in {"", "/"}:
        return home_page(services)
    if path == "/docs":
        return docs_page(services, app)
    if found := _PAIR.fullmatch(path):
        return pair_page(services, found[1], int(found[2]), int(found[3]))
    if not (found := _MODEL.fullmatch(path)):
        return None
    if found[2] is None:
        return model_page(services, found[1])
    if found[2] == "/lab":
        return lab_page(services, found[1], None, query.get("prompts", []), background=True)
    limit = query.get("limit", [""])[0]
    asked = query.get("q", [""])[0]
    return search_page(services, found[1], asked, int(limit) if limit.isdigit() else SEARCH_LIMIT)[
        0
    ]


def _steps(
    services: Services, detail: schemas.ModelDetail, neuron: int, head: int
) -> list[views.Step]:
    """Neighbours of a pair; no address beyond the edges of the grid."""

    def step(axis: str, by: int) -> views.Step:
        n, h = (neuron + by, head) if axis == "neuron" else (neuron, head + by)
        inside = 0 <= n < detail.neurons and 0 <= h < detail.heads
        return views.Step(
            axis=axis,
            place=n if axis == "neuron" else h,
            back=by < 0,
            key=("Shift+" if axis == "neuron" else "") + ("ArrowLeft" if by < 0 else "ArrowRight"),
            url=services.urls.pair(detail.name, n, h) if inside else None,
        )

    return [step(axis, by) for axis in ("head", "neuron") for by in (-1, 1)]


def _samples(detail: schemas.ModelDetail) -> list[schemas.Thumbnail]:
    """Pictures to begin with: the top image of each featured pair, each once."""
    by_image = {
        pair.thumbnails[0].image: pair.thumbnails[0]
        for pair in [*detail.clearest, *detail.strongest]
        if pair.thumbnails
    }
    return list(by_image.values())[:SAMPLES_IN_LAB]


def _usable(prompts: list[str]) -> list[str]:
    """Prompts of an address that the lab can take: bounded, folded, each once."""
    folded = [" ".join(prompt.split())[: schemas.MAX_PROMPT_CHARACTERS] for prompt in prompts]
    distinct = {prompt.casefold(): prompt for prompt in folded if prompt}
    return list(distinct.values())[: schemas.MAX_PROMPTS]


def _listed(words: list[str]) -> str:
    """``a, b and 2 more``."""
    if len(words) <= 3:
        return ", ".join(words)
    return f"{', '.join(words[:2])} and {len(words) - 2} more"


def _picture(pairs: list[Any]) -> str | None:
    """A picture for link previews: the top image of the first pair."""
    return pairs[0].thumbnails[0].url if pairs and pairs[0].thumbnails else None


def _operations(openapi: dict[str, Any], prefix: str) -> list[views.Operation]:
    """All operations of an OpenAPI description, in its order."""
    return [
        views.Operation(
            method=method.upper(),
            path=path if path.startswith(prefix) else prefix + path,
            summary=operation.get("summary", ""),
            parameters=[
                each["name"] for each in operation.get("parameters", []) if each["in"] != "path"
            ],
        )
        for path, methods in openapi.get("paths", {}).items()
        for method, operation in methods.items()
        if method in {"get", "post", "put", "delete"}
    ]
