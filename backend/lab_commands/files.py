"""Masks that the lab's commands write, and their areas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from backend.cli import CommandError
from backend.clip.masks import BACKGROUND as NOTHING
from backend.clip.segmentation import SegmentationMaps
from backend.server.heatmaps import mask_image


def write_mask(mask: UInt8[np.ndarray, "height width"], out: Path, *, classes: int) -> None:
    """An indexed PNG: values are the prompts' places, drawn in the lab's colours."""
    try:
        mask_image(mask, classes=classes).save(out, "PNG")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error


def area_shares(found: SegmentationMaps, prompts: Sequence[str]) -> dict[str, Any]:
    """Share of the mask and highest logit of every prompt, and what is left to none."""
    pixels = np.bincount(found.mask.ravel(), minlength=256) / found.mask.size
    classes = [
        {"prompt": prompt, "area_share": float(pixels[place]), "peak": float(logits.max())}
        for place, (prompt, logits) in enumerate(zip(prompts, found.logits, strict=True))
    ]
    return {"classes": classes, "background_share": float(pixels[NOTHING])}
