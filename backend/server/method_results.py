"""What a method makes of a picture: its figures as kept and as told, and the pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from backend.server import heatmaps, schemas
from backend.server.familiarity import Verdict
from backend.server.lab import Answer
from backend.server.open_store import OpenStore

if TYPE_CHECKING:
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import SegmentationMaps

MASK = "mask.png"
OVERLAY = "overlay.png"

LOGIT_DIGITS = 4


class StoredClass(BaseModel):
    """One prompt's figures under one method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    colour: str
    area_share: float
    peak: float
    known: bool
    doubt: str | None
    logits: list[list[float]] | None


class StoredMethod(BaseModel):
    """What one method made of the picture."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: schemas.Method
    classes: list[StoredClass]
    background_share: float
    heatmap_scale: float


def stored_method(
    method: schemas.Method,
    maps: SegmentationMaps,
    verdicts: Sequence[Verdict],
    prompts: Sequence[str],
    *,
    told: bool,
) -> StoredMethod:
    """The figures of one method's maps; shares are of the mask's pixels and sum to 1.

    ``told`` says whether the logits themselves are among them.
    """
    pixels = np.bincount(maps.mask.ravel(), minlength=256) / maps.mask.size
    logits = np.nan_to_num(np.asarray(maps.logits, np.float64))
    classes = [
        StoredClass(
            prompt=prompt,
            colour=heatmaps.class_colour(place),
            area_share=float(pixels[place]),
            peak=float(logits[place].max()),
            known=verdict.known,
            doubt=verdict.doubt,
            logits=rounded(logits[place]) if told else None,
        )
        for place, (prompt, verdict) in enumerate(zip(prompts, verdicts, strict=True))
    ]
    return StoredMethod(
        method=method,
        classes=classes,
        background_share=float(pixels[heatmaps.BACKGROUND]),
        heatmap_scale=float(np.abs(logits).max()),
    )


def method_files(
    prefix: str, method: StoredMethod, maps: SegmentationMaps, size: tuple[int, int]
) -> dict[str, bytes]:
    """Mask, overlay and heatmaps of one method; ``size`` is (width, height) of the picture."""
    colours = [heatmaps.rgb(kind.colour) for kind in method.classes]
    files = {
        file_name(prefix, MASK): heatmaps.mask_png(maps.mask),
        file_name(prefix, OVERLAY): heatmaps.overlay_png(maps.mask, colours),
    }
    for place, (colour, logits) in enumerate(zip(colours, maps.logits, strict=True)):
        files[file_name(prefix, heatmap_name(place))] = heatmaps.heatmap_png(
            logits,
            scale=method.heatmap_scale,
            size=size,
            positive=colour,
            negative=heatmaps.CLASS_NEGATIVE,
        )
    return files


def method_result(
    stored: StoredMethod, *, mask_url: str, overlay_url: str, heatmap_urls: Sequence[str]
) -> schemas.MethodResult:
    """One method's figures with the addresses of its pictures."""
    return schemas.MethodResult(
        method=stored.method,
        classes=[
            schemas.SegmentationClass(**kind.model_dump(), heatmap_url=url)
            for kind, url in zip(stored.classes, heatmap_urls, strict=True)
        ],
        background_share=stored.background_share,
        heatmap_scale=stored.heatmap_scale,
        mask_url=mask_url,
        overlay_url=overlay_url,
    )


def described(
    opened: OpenStore, asked: schemas.SegmentationOptions, settings: SegmentationSettings
) -> schemas.SegmentationSettings:
    """The settings that an answer says back."""
    threshold = {"words": settings.quantile, **settings.certainty}
    return schemas.SegmentationSettings(
        mode=settings.mode,
        orientation=settings.orientation,
        share=settings.share,
        pairs_per_class=max(1, round(settings.share * opened.factors.n_pairs)),
        centring=settings.centring,
        background=settings.background,
        background_prompts=list(settings.background_prompts),
        threshold=threshold.get(
            {"words": "words", "probability": "least_probability"}.get(settings.background, "")
        ),
        view=asked.view,
        shorter_side=asked.shorter_side,
    )


def timings(answer: Answer[Any]) -> schemas.Timings:
    """Where an answer's time went."""
    return schemas.Timings(
        waited_seconds=answer.waited,
        device_seconds=answer.taken,
        encoded_before=answer.encoded_before,
    )


def rounded(values: np.ndarray, digits: int = LOGIT_DIGITS) -> list[list[float]]:
    """Rows of numbers with so many significant digits."""
    return [[float(f"{value:.{digits}g}") for value in row] for row in values.tolist()]


def file_name(prefix: str, name: str) -> str:
    """Name of one of a method's files (``MASK``, ``OVERLAY`` or a heatmap's) among others'."""
    return f"{prefix}-{name}"


def heatmap_name(place: int) -> str:
    """Name of the heatmap of the prompt at ``place``, without its prefix."""
    return f"heatmap-{place}.png"
