"""Signed maps as pictures that lie over an image.

One scale per pair or segmentation, never stretched per image: the opacity of a pixel is
|value| / scale, so equal colours mean equal values and zero is fully transparent.  What is below
zero in a class's heatmap is a veil of half that opacity.
"""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from backend.server.schemas import Region
from backend.server.uploads import fit

Colour = tuple[int, int, int]

POSITIVE: Colour = (213, 94, 0)
NEGATIVE: Colour = (0, 114, 178)
"""Vermilion and blue of Okabe and Ito's palette, told apart with every kind of colour vision."""

CLASS_COLOURS: tuple[str, ...] = (
    "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e6b800",
    "#56b4e9", "#882255", "#44aa99", "#999933", "#332288",
    "#e69f00", "#117733", "#aa4499", "#6699cc", "#cc6677",
    "#7f3c00", "#00ccbb", "#b3b3b3", "#5d3fd3", "#8bc34a",
)  # fmt: skip
"""One colour per prompt: Okabe and Ito's, then Tol's muted ones, then others far from both."""

CLASS_NEGATIVE: Colour = (64, 64, 64)
"""Below zero in a class's heatmap: grey, since the class's own colour is the positive one."""

CLASS_NEGATIVE_OPACITY = 0.5
"""At full scale: the picture can still be seen where a prompt does not hold."""

LONGEST_SIDE = 512
"""Pixels; the maps have at most a few dozen cells a side, so more would only cost encoding time."""

OVERLAY_SIDE = 1024

BACKGROUND = 255
"""Value in a mask where no prompt won."""


def heatmap_png(
    values: Float[np.ndarray, "row column"],
    *,
    scale: float,
    size: tuple[int, int],
    positive: Colour = POSITIVE,
    negative: Colour = NEGATIVE,
    negative_opacity: float = 1.0,
) -> bytes:
    """:func:`heatmap_image` as a file."""
    return _png(
        heatmap_image(
            values,
            scale=scale,
            size=size,
            positive=positive,
            negative=negative,
            negative_opacity=negative_opacity,
        )
    )


def heatmap_image(
    values: Float[np.ndarray, "row column"],
    *,
    scale: float,
    size: tuple[int, int],
    positive: Colour = POSITIVE,
    negative: Colour = NEGATIVE,
    negative_opacity: float = 1.0,
) -> Image.Image:
    """RGBA overlay of a grid of cells that covers an image of ``size`` (width, height).

    Cells are interpolated bilinearly.  ``scale`` is the |value| at full opacity, of negative ones
    at ``negative_opacity``; larger ones look the same.  With ``scale`` 0 everything is transparent.
    Values that are not finite count as 0.
    """
    cells = np.nan_to_num(np.asarray(values, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    field = Image.fromarray(cells).resize(fit(size, LONGEST_SIDE), Image.Resampling.BILINEAR)
    signed = np.asarray(field)
    strength = np.clip(np.abs(signed) / scale, 0, 1) if scale > 0 else np.zeros_like(signed)
    strength[signed < 0] *= negative_opacity
    rgba = np.empty((*signed.shape, 4), np.uint8)
    rgba[..., :3] = np.where(signed[..., None] < 0, negative, positive)
    rgba[..., 3] = np.round(255 * strength)
    return Image.fromarray(rgba)


def region_png(
    values: Float[np.ndarray, "row column"],
    *,
    scale: float,
    size: tuple[int, int],
    region: Region,
) -> bytes:
    """The same of cells that cover only a region of an image of ``size`` (width, height)."""
    width, height = fit(size, LONGEST_SIDE)
    canvas = Image.new("RGBA", (width, height))
    covered = max(1, round(region.width * width)), max(1, round(region.height * height))
    layer = heatmap_image(values, scale=scale, size=covered).resize(covered)
    canvas.paste(layer, (round(region.left * width), round(region.top * height)))
    return _png(canvas)


def mask_image(mask: UInt8[np.ndarray, "height width"], *, classes: int) -> Image.Image:
    """Indexed picture of the image's own size: indices are the mask's own values, the places of the
    prompts, drawn in the colours of :func:`class_colour`; background is transparent."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:classes] = [rgb(class_colour(place)) for place in range(classes)]
    picture = Image.fromarray(mask)
    picture.putpalette(palette.tobytes())
    picture.info["transparency"] = BACKGROUND
    return picture


def mask_png(mask: UInt8[np.ndarray, "height width"], *, classes: int) -> bytes:
    """:func:`mask_image` as a file of 8 bits a pixel."""
    return _png(mask_image(mask, classes=classes))


def overlay_png(mask: UInt8[np.ndarray, "height width"], colours: list[Colour]) -> bytes:
    """The mask in the classes' colours, opaque, transparent on background."""
    height, width = mask.shape
    picture = Image.fromarray(mask).resize(
        fit((width, height), OVERLAY_SIDE), Image.Resampling.NEAREST
    )
    table = np.zeros((256, 4), np.uint8)
    table[: len(colours)] = [(*colour, 255) for colour in colours]
    table[BACKGROUND] = 0
    return _png(Image.fromarray(table[np.asarray(picture)]))


def class_colour(place: int) -> str:
    """Colour of the prompt at ``place``, as #rrggbb."""
    return CLASS_COLOURS[place % len(CLASS_COLOURS)]


def rgb(colour: str) -> Colour:
    """#rrggbb as three numbers, 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=4)
    return out.getvalue()
