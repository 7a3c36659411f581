"""Pictures that the lab's commands read, and masks that they write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from backend.cli import CommandError
from backend.clip.masks import BACKGROUND as NOTHING
from backend.clip.segmentation import SegmentationMaps
from backend.server.errors import ApiError
from backend.server.heatmaps import mask_image
from backend.server.uploads import decode_image

MAX_PIXELS = 200_000_000
"""Of one's own pictures: 600 MB decoded."""

MAX_ASPECT = 10_000.0


def open_upright(path: Path) -> Image.Image:
    """A picture as the server would take it: upright RGB, transparency over white.

    Raises:
        CommandError: it is not there or cannot be read.
    """
    try:
        return decode_image(path.read_bytes(), max_pixels=MAX_PIXELS, max_aspect=MAX_ASPECT)
    except FileNotFoundError:
        raise CommandError(f"image {path} does not exist") from None
    except OSError as error:
        raise CommandError(f"image {path} cannot be read: {error.strerror}") from error
    except ApiError as error:
        raise CommandError(f"{path}: {error.message}") from error


def check_folder(out: Path) -> None:
    """Raise a CommandError when a file cannot be made there."""
    if not out.parent.is_dir():
        raise CommandError(f"the folder of {out} does not exist")


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
