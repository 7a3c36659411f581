"""One neuron, and the sub-concepts that its heads make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import formats, schemas
from backend.server.pages.tiles import tiles_of_pairs
from backend.server.pages.unit import UnitPage, unit_page_fields
from backend.server.services import Services
from backend.server.units import neuron_unit


@dataclass(frozen=True, kw_only=True)
class NeuronPage(UnitPage):
    """A neuron's own concept, and its sub-concepts as a tree."""

    template: ClassVar[str] = "neuron.html"
    parts: ClassVar[tuple[str, ...]] = (
        "top",
        "figures",
        "words",
        "subconcepts",
        "heads",
        "bottom",
    )

    neuron: schemas.Neuron
    """The neuron itself, as its JSON twin gives it."""
    by_head: dict[int, schemas.NeuronHead]
    """What each head makes of it, by the head's number."""


def neuron_page(services: Services, name: str, number: int) -> NeuronPage:
    opened = services.catalog.check_neuron(name, number)
    neuron = neuron_unit(opened, services.urls, number)
    words = formats.first_words(neuron.explanation)
    return NeuronPage(
        title=f"{words or 'Neuron'} (neuron {number})",
        description=f"Neuron {number} of {name}: {words}. Its {len(neuron.heads)} heads make "
        f"{len(neuron.subconcepts)} sub-concepts of it.",
        json_url=services.urls.api_neuron(name, number),
        tiles=tiles_of_pairs(name, neuron.heads),
        neuron=neuron,
        by_head={each.head: each for each in neuron.heads},
        **unit_page_fields(
            services,
            neuron,
            kind="neuron",
            number=number,
            count=opened.n_neurons,
            address=lambda n: services.urls.neuron(name, n),
        ),
    )
