"""Search by a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from anyio import from_thread

from backend.server import formats, schemas
from backend.server.engine import EngineError
from backend.server.pages.base import Page
from backend.server.pages.lab import ShownSample, samples_of
from backend.server.services import Services


class PictureQuery(schemas.DrivenQuery):
    """The page's own: no picture need be there yet."""

    image: str | None = None


@dataclass(frozen=True, kw_only=True)
class PictureSearchPage(Page):
    """The pairs that a picture drives."""

    template: ClassVar[str] = "picture_search.html"

    asked: PictureQuery
    """What the address asks for."""
    picture: schemas.UploadedImage | None
    """The picture; ``None`` where none was given yet."""
    found: schemas.DrivenPairs | None
    """The pairs; ``None`` where there is no picture, or the model cannot answer."""
    problem: str | None
    """Why the model cannot answer, in one sentence."""
    more_url: str | None
    """The same search with a larger limit; ``None`` at the end."""
    samples: list[ShownSample]
    """Images of the data set to begin with."""
    upload_limit: str
    """Largest file that is accepted, for people (``20 MB``)."""

    @property
    def private(self) -> bool:
        return self.picture is not None or super().private


def picture_search_page(services: Services, name: str, asked: PictureQuery) -> PictureSearchPage:
    """The page; call it from a worker thread of the server's, since it waits for the device.

    Raises 404 for a picture that is not there.
    """
    services.catalog.check_pair(name, asked.neuron or 0, asked.head or 0)
    picture = services.images.get(name, asked.image) if asked.image else None
    found, problem = None, None
    if picture is not None:
        try:
            found = from_thread.run(services.driven.find, name, picture.id, asked)
        except EngineError as error:
            problem = str(error)
    query = asked.model_dump(exclude_defaults=True)
    more = found.next_limit if found else None
    model = services.catalog.summary(name)
    conditions = {key: value for key, value in query.items() if key != "image"}
    return PictureSearchPage(
        title=f"Pairs that a picture drives in {name}",
        description=f"Which neuron-head pairs of {name} a picture drives, beside the data set.",
        json_url=services.urls.api_driven(name, picture.id, conditions) if picture else None,
        view_url=services.urls.picture_search(name, query),
        model=model,
        asked=asked,
        picture=picture,
        found=found,
        problem=problem,
        more_url=services.urls.picture_search(name, query | {"limit": more}) if more else None,
        samples=samples_of(services, name),
        upload_limit=formats.limit(services.settings.max_upload_bytes),
    )
