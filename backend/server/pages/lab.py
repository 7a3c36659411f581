"""The lab, empty or with a picture, a question, and its result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args
from urllib.parse import urlencode

from pydantic import ValidationError

from backend.server import formats, schemas
from backend.server.cards import pair_summary
from backend.server.collected import pair_of
from backend.server.errors import ApiError, not_found
from backend.server.pages.base import Page, listed
from backend.server.pages.query import Query
from backend.server.pages.tiles import ResultTile
from backend.server.services import Services

MAX_TRIED = 4
"""Pairs that an address can bring along to be tried on a picture: a card each beside the result."""

USUAL_THRESHOLD = {"words": 0.95, "probability": 0.5}
"""What a place must reach where an address does not say it, by kind of background."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """How prompts are to be answered: what the controls of the lab show."""

    methods: Sequence[str]
    """The method that is looked at, and others that are wanted beside it."""
    options: schemas.SegmentationOptions
    """Everything else; of a kind of background that has a threshold, with that."""


@dataclass(frozen=True, kw_only=True)
class ShownSample:
    """An image of the data set that can be taken as the picture."""

    image: int
    url: str
    words: str
    """What it is most like, for those who do not see it."""


@dataclass(frozen=True, kw_only=True)
class LabPage(Page):
    """Segment a picture by words, and ask which pairs did it."""

    template: ClassVar[str] = "lab.html"

    image: schemas.UploadedImage | None
    """The visitor's picture; ``None`` for an empty lab."""
    segmentation: schemas.Segmentation | None
    """A result to show; ``None`` for a lab without one."""
    delete_token: str | None
    """What deletes the picture, for the browser that gave it through the plain form."""
    prompts: list[str]
    """Prompts that are already there; synonyms of one are set apart by slashes."""
    left_out: int
    """Prompts of the address beyond as many as are taken."""
    asked: Asked
    """How they are to be answered, or were."""
    trial: list[schemas.PairSummary]
    """Pairs to be tried on the picture."""
    state: str
    """The query string of the page's address, of which the scripts read what panels show."""
    samples: list[ShownSample]
    """Pictures of the data set to begin with."""
    example: tuple[int, int]
    """(neuron, head) of a pair, to show how parts are written."""
    example_words: list[str]
    """Words that the model knows."""
    upload_limit: str
    """Largest file that is accepted, for people (``20 MB``)."""
    max_prompts: int
    """More are refused."""
    max_prompt_characters: int
    """Longer ones are refused."""

    @property
    def private(self) -> bool:
        return self.image is not None or super().private


def lab_page(
    services: Services, name: str, query: Query, *, own: tuple[str, str] | None = None
) -> LabPage:
    """The lab as an address describes it; ``own`` is a picture of the visitor's, with its token.

    Raises 404 for a model, picture or result that is not there; what else cannot be used is left
    out.
    """
    detail = services.catalog.model(name)
    result = _result(services, name, query.text("segmentation"))
    image = result.image if result else query.text("image")
    prompts = [each.prompt.replace(", ", " / ") for each in result.classes] if result else []
    usable = _usable(query.texts("prompts"))
    state = urlencode(query.pairs())
    return LabPage(
        title=f"{listed(prompts)} in a picture, by {name}" if result else f"Lab of {name}",
        description="Segment a picture by words with the neuron-head pairs of a CLIP-ResNet.",
        json_url=services.urls.api_segmentation(name, result.id) if result else None,
        tiles=(ResultTile(result.id),) if result else (),
        view_url=services.urls.lab(name) + (f"?{state}" if state else ""),
        model=detail,
        image=services.images.get(name, image) if image else None,
        segmentation=result,
        delete_token=own[1] if own is not None and own[0] == image else None,
        prompts=prompts or usable[: schemas.MAX_PROMPTS],
        left_out=0 if prompts else len(usable[schemas.MAX_PROMPTS :]),
        asked=_asked(result, query),
        trial=_trial(services, name, query.texts("pairs")),
        state=state,
        samples=samples_of(services, name),
        example=services.catalog.open_store(name).examples[0],
        example_words=detail.example_words,
        upload_limit=formats.limit(services.settings.max_upload_bytes),
        max_prompts=schemas.MAX_PROMPTS,
        max_prompt_characters=schemas.MAX_PROMPT_CHARACTERS,
    )


def _result(services: Services, name: str, segmentation: str) -> schemas.Segmentation | None:
    result = services.segmentations.get(segmentation) if segmentation else None
    if result is not None and result.model != name:
        raise not_found("segmentation", f"This segmentation was not made by {name}.")
    return result


def _asked(result: schemas.Segmentation | None, query: Query) -> Asked:
    if result is not None:
        options = schemas.SegmentationOptions.model_validate(
            result.settings.model_dump(exclude={"pairs_per_class"})
        )
        return Asked(methods=[each.method for each in result.results], options=options)
    known = get_args(schemas.Method)
    methods = [method for method in query.texts("method") if method in known]
    options = _options(query)
    if options.threshold is None:
        usual = USUAL_THRESHOLD.get(str(options.background))
        options = options.model_copy(update={"threshold": usual})
    return Asked(methods=list(dict.fromkeys(methods)) or ["pairs"], options=options)


def _options(query: Query) -> schemas.SegmentationOptions:
    """The options of an address, without those that are none."""
    given: dict[str, object] = {"background": "words"}
    for name in schemas.SegmentationOptions.model_fields:
        texts = query.texts(name)
        if not texts:
            continue
        value: object = texts if name == "background_prompts" else texts[0]
        if name == "background":
            value = {"true": "words", "false": "none"}.get(texts[0], value)
        try:
            schemas.SegmentationOptions.model_validate({name: value})
        except ValidationError:
            continue
        given[name] = value
    return schemas.SegmentationOptions.model_validate(given)


def _trial(services: Services, name: str, texts: list[str]) -> list[schemas.PairSummary]:
    """Pairs of an address, each once; those that are none are left out."""
    pairs: dict[tuple[int, int], schemas.PairSummary] = {}
    for text in (place for each in texts for place in each.split(",")):
        found = pair_of(text.strip())
        if found is None or len(pairs) == MAX_TRIED:
            continue
        try:
            opened = services.catalog.check_pair(name, *found)
        except ApiError:
            continue
        pairs[found] = pair_summary(opened, services.urls, *found)
    return list(pairs.values())


def samples_of(services: Services, name: str) -> list[ShownSample]:
    """Pictures of a model's data set to begin with."""
    return [
        ShownSample(
            image=sample.image,
            url=services.urls.exemplar(name, sample.image),
            words=listed(list(sample.words)),
        )
        for sample in services.catalog.open_store(name).samples
    ]


def _usable(prompts: list[str]) -> list[str]:
    """Prompts of an address as the lab takes them: folded, each once."""
    folded = [" ".join(prompt.split())[: schemas.MAX_PROMPT_CHARACTERS] for prompt in prompts]
    distinct = {prompt.casefold(): prompt for prompt in folded if prompt}
    return list(distinct.values())
