"""Pictures from strangers: decoded safely, kept without metadata.

A picture is judged by its bytes, never by its name or declared type, and its size is known before a
pixel is decoded.  Whatever is wrong with it is the sender's to hear, in one sentence (422).
"""

from __future__ import annotations

import io
import logging
import warnings

import numpy as np
from PIL import Image, UnidentifiedImageError, features

from backend.server.errors import ApiError, invalid

log = logging.getLogger(__name__)

FORMATS = ["PNG", "JPEG", "WEBP", "GIF", "BMP"] + (["AVIF"] if features.check("avif") else [])
"""Formats that are tried; Pillow's others (PDF, EPS, TIFF, …) are more of a target than a help."""

DISPLAY_SIDE = 2048
"""Longest side of the copies that are kept, for pages and for the model; WebP itself ends at
16,383."""

WEBP_QUALITY = 88
WEBP_METHOD = 2
"""Half the time of the default for 4 % more bytes."""

_ORIENTATION = 0x0112
"""EXIF tag that says how the camera was held."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def forbid_bombs() -> None:
    """Make Pillow's decompression-bomb warning an error, in this process, for good."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)


def decode_image(data: bytes, *, max_pixels: int, max_aspect: float) -> Image.Image:
    """The first frame of a picture as upright RGB, with no metadata.

    Transparency is laid over white; 16-bit samples are scaled to 8 bits.  ``max_pixels`` is width
    times height, ``max_aspect`` the longest side over the shortest.  Raises a 422
    :class:`ApiError` that says in one sentence why a picture is refused.
    """
    if not data:
        raise invalid("image", "The image is empty: no bytes arrived.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.size, max_pixels, max_aspect)
            image.load()
            return _upright(_flat_rgb(image), _orientation(image))
    except ApiError:
        raise
    except UnidentifiedImageError:
        known = ", ".join(FORMATS[:-1])
        raise invalid(
            "image", f"The file is not an image that can be read ({known} or {FORMATS[-1]})."
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(max_pixels) from None
    except Exception as exc:
        # Decoders fail in many ways on damaged files (OSError, ValueError, SyntaxError,
        # struct.error, …); none of them is the server's fault.
        log.info("refused an image: %s", type(exc).__name__)
        raise invalid("image", "The image is damaged and cannot be decoded.") from None


def display_size(image: Image.Image) -> Image.Image:
    """The picture itself, or scaled down to ``DISPLAY_SIDE`` pixels on its longest side."""
    if max(image.size) <= DISPLAY_SIDE:
        return image
    return image.resize(fit(image.size, DISPLAY_SIDE), Image.Resampling.LANCZOS)


def display_copy(image: Image.Image) -> bytes:
    """WebP for pages, at most ``DISPLAY_SIDE`` pixels on its longest side."""
    out = io.BytesIO()
    display_size(image).save(out, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    return out.getvalue()


def lossless_copy(image: Image.Image) -> bytes:
    """WebP of the very pixels, written fast rather than small."""
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, quality=0, method=0)
    return out.getvalue()


def open_copy(data: bytes) -> Image.Image:
    """A picture that :func:`lossless_copy` wrote."""
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        return image.convert("RGB")


def fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """``size`` (width, height) scaled down so that its longest side is ``longest`` at most."""
    width, height = size
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_size(size: tuple[int, int], max_pixels: int, max_aspect: float) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise invalid("image", "The image has no pixels.")
    if width * height > max_pixels:
        raise _too_many_pixels(max_pixels)
    if max(width, height) > max_aspect * min(width, height):
        raise invalid(
            "image",
            f"The image is {width} x {height} pixels; its longer side may be at most "
            f"{max_aspect:g} times its shorter side.",
        )


def _too_many_pixels(max_pixels: int) -> ApiError:
    limit = f"{max_pixels / 1e6:g} million"
    return invalid("image", f"The image has too many pixels; the limit is {limit}.")


def _flat_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB from any mode that the accepted formats decode to."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        # Pillow would clip these at 255; 16-bit samples span 0 to 65,535.
        samples = np.asarray(image).astype(np.float64) / 257.0
        return Image.fromarray(np.clip(samples.round(), 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        # Damaged EXIF is no reason to refuse a picture that decodes.
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    how = _UPRIGHT.get(orientation)
    upright = image if how is None else image.transpose(how)
    # A new image has no metadata to leak, whatever the encoder would copy.
    clean = Image.new("RGB", upright.size)
    clean.paste(upright)
    return clean
