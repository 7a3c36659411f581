"""One head of the attention pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import formats, schemas
from backend.server.pages.tiles import tiles_of_images
from backend.server.pages.unit import UnitPage, unit_page_fields
from backend.server.services import Services
from backend.server.units import head_unit


@dataclass(frozen=True, kw_only=True)
class HeadPage(UnitPage):
    """A head as a unit, its pairs, and what sets it apart from other heads."""

    template: ClassVar[str] = "head.html"
    parts: ClassVar[tuple[str, ...]] = (
        "top",
        "figures",
        "words",
        "shared",
        "strongest",
        "clearest",
        "bottom",
    )

    head: schemas.Head
    """The head itself, as its JSON twin gives it."""
    neurons: int
    """Neurons of the model: as many pairs has the head."""


def head_page(services: Services, name: str, number: int) -> HeadPage:
    opened = services.catalog.check_head(name, number)
    head = head_unit(opened, services.urls, number)
    own = ", ".join(word.word for word in head.own_words[:3])
    return HeadPage(
        title=f"{formats.first_words(head.explanation) or 'Head'} (head {number})",
        description=f"Head {number} of {name}"
        + (f": its pairs speak of {own} more than those of other heads do." if own else "."),
        json_url=services.urls.api_head(name, number),
        tiles=tiles_of_images(name, head.top_images),
        head=head,
        neurons=opened.n_neurons,
        **unit_page_fields(
            services,
            head,
            kind="head",
            number=number,
            count=opened.n_heads,
            address=lambda h: services.urls.head(name, h),
        ),
    )
