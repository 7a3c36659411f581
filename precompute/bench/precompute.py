"""Every row of the table of speeds that concerns precompute and store, in one process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from backend.clip.models import resolve_device
from precompute.bench.decomposition import coefficient_rows
from precompute.bench.images import image_rows
from precompute.bench.models import SMALL
from precompute.bench.pursuit import Sizes, pursuit_rows, whole_model_row
from precompute.bench.report import Part, report
from precompute.bench.search import search_row
from precompute.bench.storage import storage_rows
from precompute.stages.explain import SIGNALS_AT_ONCE

BACKBONE = "RN50"
"""The smallest real model: the pass over images costs the largest share there."""

FULL = Sizes(words=30_000, atoms=64, signals=SIGNALS_AT_ONCE, gram_signals=256, compared=8)
QUICK = Sizes(words=600, atoms=8, signals=64, gram_signals=32, compared=4)


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        rounds: of work that takes milliseconds.
        long_rounds: of work that takes seconds.
        images: of the pass over images.
    """

    model: str
    backbone: str
    sizes: Sizes
    rounds: int
    long_rounds: int
    images: int
    quick: bool = False


def full_extent(model: str, *, rounds: int, images: int) -> Extent:
    """The sizes that the reaches are stated for: minutes on a CPU."""
    return Extent(model, BACKBONE, FULL, rounds=5 * rounds, long_rounds=rounds, images=images)


def quick_extent() -> Extent:
    """A small model and small sizes, seconds in all: shows that it runs, not how fast it is."""
    return Extent(SMALL, SMALL, QUICK, rounds=2, long_rounds=1, images=8, quick=True)


def bench(extent: Extent, device: str, note: Callable[[str], None]) -> dict[str, Any]:
    """Machine, parameters and rows as plain data; ``note`` is told what is measured next."""
    place = torch.device(resolve_device(device))
    parts: list[Part] = [
        ("coefficients", lambda: coefficient_rows(extent.model, place, rounds=extent.rounds)),
        ("search", lambda: [search_row(extent.model, place, rounds=extent.rounds)]),
        ("storage", lambda: storage_rows(extent.model, place, rounds=extent.rounds)),
        (
            "images",
            lambda: image_rows(extent.backbone, extent.images, place, rounds=extent.long_rounds),
        ),
        (
            "pursuit",
            lambda: pursuit_rows(extent.model, extent.sizes, place, rounds=extent.long_rounds),
        ),
    ]
    if place.type == "cuda":
        parts.append(("all pairs", lambda: [whole_model_row(extent.model, extent.sizes, place)]))
    return report(
        parts,
        device=place,
        parameters={
            "model": extent.model,
            "backbone": extent.backbone,
            "words": extent.sizes.words,
            "atoms": extent.sizes.atoms,
            "directions": extent.sizes.signals,
            "images": extent.images,
            "rounds": extent.rounds,
            "long_rounds": extent.long_rounds,
        },
        quick=extent.quick,
        note=note,
    )
