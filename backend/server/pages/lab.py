"""The lab, empty or with a result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.errors import not_found
from backend.server.pages.base import Page, listed
from backend.server.services import Services

SAMPLES_IN_LAB = 8


@dataclass(frozen=True, kw_only=True)
class LabPage(Page):
    """Segment a picture by words."""

    template: ClassVar[str] = "lab.html"

    segmentation: schemas.Segmentation | None
    """A result to show; ``None`` for an empty lab."""
    prompts: list[str]
    """Prompts that are already there."""
    background: bool
    """Whether "background" is one of the answers."""
    samples: list[schemas.Thumbnail]
    """Pictures of the data set to begin with."""
    example_words: list[str]
    """Words that the model knows."""
    upload_limit: str | None
    """Largest file that is accepted, for people (``20 MB``)."""
    max_prompts: int
    """More are refused."""
    max_prompt_characters: int
    """Longer ones are refused."""

    @property
    def private(self) -> bool:
        return self.segmentation is not None or super().private


def lab_page(
    services: Services,
    name: str,
    segmentation: str | None,
    prompts: list[str],
    background: bool,
) -> LabPage:
    detail = services.catalog.model(name)
    result = services.segmentations.get(segmentation) if segmentation else None
    if result is not None and result.model != name:
        raise not_found("segmentation", f"This segmentation was not made by {name}.")
    if result is not None:
        prompts, background = [each.prompt for each in result.classes], result.background
    return LabPage(
        title=f"{listed(prompts)} in a picture, by {name}" if result else f"Lab of {name}",
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
