"""What a method makes of a picture: its figures as kept and as told, and the pictures of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from PIL import Image
from pydantic import BaseModel, ConfigDict

from backend.server import heatmaps, schemas
from backend.server.errors import not_found
from backend.server.familiarity import Verdict
from backend.server.open_store import OpenStore

if TYPE_CHECKING:
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import SegmentationMaps

MASK = "mask.png"
OVERLAY = "overlay.png"
LOGITS = "logits.npy"

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
        heatmap_scale=_heatmap_scale(logits),
    )


def _heatmap_scale(logits: Float[np.ndarray, "prompt row column"]) -> float:
    """The largest logit, so that what a prompt holds is seen; of none above zero the furthest.

    Below zero logits go much further: most places are far from most prompts.
    """
    largest = float(logits.max())
    return largest if largest > 0 else float(-logits.min())


def method_files(prefix: str, maps: SegmentationMaps) -> dict[str, bytes]:
    """What is kept of one method's maps; the rest is drawn from it when somebody looks."""
    logits = io.BytesIO()
    np.save(logits, maps.logits.astype(np.float32), allow_pickle=False)
    return {
        file_name(prefix, MASK): heatmaps.mask_png(maps.mask, classes=len(maps.logits)),
        file_name(prefix, LOGITS): logits.getvalue(),
    }


def draw_overlay(stored: StoredMethod, mask: bytes) -> bytes:
    """The kept mask in the classes' colours."""
    with Image.open(io.BytesIO(mask)) as opened:
        values = np.asarray(opened)
    return heatmaps.overlay_png(values, [heatmaps.rgb(kind.colour) for kind in stored.classes])


def draw_heatmap(stored: StoredMethod, logits: bytes, place: int, size: tuple[int, int]) -> bytes:
    """The kept logits of the prompt at ``place``; ``size`` is (width, height) of the picture.

    Raises 404 when there is no such prompt.
    """
    prompts = len(stored.classes)
    if not 0 <= place < prompts:
        raise not_found("heatmap", f"There is no prompt {place}; prompts are 0 to {prompts - 1}.")
    return heatmaps.heatmap_png(
        np.load(io.BytesIO(logits), allow_pickle=False)[place],
        scale=stored.heatmap_scale,
        size=size,
        positive=heatmaps.rgb(stored.classes[place].colour),
        negative=heatmaps.CLASS_NEGATIVE,
        negative_opacity=heatmaps.CLASS_NEGATIVE_OPACITY,
    )


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


def rounded(values: np.ndarray, digits: int = LOGIT_DIGITS) -> list[list[float]]:
    """Rows of numbers with so many significant digits."""
    return [[float(f"{value:.{digits}g}") for value in row] for row in values.tolist()]


def file_name(prefix: str, name: str) -> str:
    """Name of one of a method's files (``MASK`` or ``LOGITS``) among those of others."""
    return f"{prefix}-{name}"
