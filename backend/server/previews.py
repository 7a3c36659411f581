"""The pictures that other sites show for a link: a page's own images under their heatmaps."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageEnhance

from backend.server.errors import ApiError
from backend.server.heatmaps import heatmap_image
from backend.server.lettering import BOLD, PLAIN, Lettering
from backend.server.pages.base import Page
from backend.server.pages.tiles import ExemplarTile, Tile
from backend.server.queries import Catalog
from backend.server.segmentations import Segmentations

SIZE = (1200, 630)
"""What link previews are shown at, width and height."""

KEPT = 64
"""Previews that are remembered: at most 1 MB each."""

MARGIN = 56
GAP = 16
TILE = (SIZE[0] - 2 * MARGIN - 3 * GAP) // 4

PAPER, INK, MUTED, ACCENT, LINE = "#fdfcf9", "#1c1b18", "#605c53", "#0a6656", "#dfdbd0"
"""The stylesheet's light tokens."""

HEAT_OPACITY = 0.85
MASK_OPACITY = 0.6
STEPPED_BACK = 0.55
"""Saturation of a picture under its heatmap, as on pages: orange on orange would not be seen."""


class Previews:
    """Draws previews, and remembers the last ones for as long as their data stay the same."""

    def __init__(self, catalog: Catalog, segmentations: Segmentations) -> None:
        self._catalog = catalog
        self._segmentations = segmentations
        self._kept: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, page: Page) -> bytes:
        """PNG of ``SIZE`` for a page; takes some 100 ms the first time, so call it in a thread."""
        model = page.model
        footing = f"{model.name} · data version {model.data_version[:12]}" if model else ""
        key = (page.title, page.description, page.tiles, footing)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        content = draw(page.title, page.description, footing, self._pictures(page.tiles))
        with self._lock:
            self._kept[key] = content
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return content

    def _pictures(self, tiles: Sequence[Tile]) -> list[Image.Image]:
        pictures = []
        for tile in tiles:
            try:
                pictures.append(self._picture(tile))
            except ApiError:
                continue  # an image that may not be shown, or a result that has just expired
        return pictures

    def _picture(self, tile: Tile) -> Image.Image:
        if isinstance(tile, ExemplarTile):
            picture = _square(self._catalog.exemplar(tile.model, tile.image))
            if tile.pair is None:
                return picture
            heat = self._catalog.heatmap(tile.model, *tile.pair, tile.image)
            return _under(heatmap_image(heat.values, scale=heat.scale, size=(TILE, TILE)), picture)
        picture = _square(self._segmentations.image(tile.segmentation).content)
        mask = _square(self._segmentations.overlay(tile.segmentation, None).content)
        return _laid_over(mask, picture, MASK_OPACITY)


def draw(heading: str, text: str, footing: str, pictures: Sequence[Image.Image]) -> bytes:
    """A preview: wordmark, heading, a sentence, and square pictures in a row."""
    canvas = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(canvas)
    write = Lettering(pen)
    end = write.line((MARGIN, 44), "Pair", BOLD, 34, INK)
    write.line((end, 44), "Scope", BOLD, 34, ACCENT)
    write.line_to((SIZE[0] - MARGIN, 54), footing, PLAIN, 22, MUTED)
    pen.line((MARGIN, 100, SIZE[0] - MARGIN, 100), fill=LINE, width=2)
    width = SIZE[0] - 2 * MARGIN
    # Without pictures the words have the room to themselves.
    below = write.block((MARGIN, 122), heading, BOLD, 52, INK, width=width, lines=2)
    lines = 2 if pictures else 6
    write.block((MARGIN, below + 10), text, PLAIN, 25, MUTED, width=width, lines=lines)
    for place, picture in enumerate(pictures):
        left = MARGIN + place * (TILE + GAP)
        canvas.paste(picture.convert("RGB"), (left, SIZE[1] - MARGIN // 2 - TILE))
    out = io.BytesIO()
    canvas.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _square(encoded: bytes) -> Image.Image:
    """The middle of a stored picture, as large as a tile."""
    with Image.open(io.BytesIO(encoded)) as opened:
        picture = opened.convert("RGBA")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.crop((left, top, left + side, top + side))
    return cut.resize((TILE, TILE), Image.Resampling.BICUBIC)


def _under(heat: Image.Image, picture: Image.Image) -> Image.Image:
    stepped_back = ImageEnhance.Color(picture.convert("RGB")).enhance(STEPPED_BACK)
    return _laid_over(heat.resize((TILE, TILE)), stepped_back.convert("RGBA"), HEAT_OPACITY)


def _laid_over(layer: Image.Image, picture: Image.Image, opacity: float) -> Image.Image:
    layer.putalpha(layer.getchannel("A").point(lambda alpha: round(alpha * opacity)))
    return Image.alpha_composite(picture, layer)
