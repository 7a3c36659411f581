"""Build the shipped atlas of the demo world from a colour emoji font and Unicode's annotations.

    python -m precompute.demo_world.build_atlas

Reads ``selection.txt`` (which emoji, under which categories), draws each one with Noto Color Emoji,
takes its name and keywords from Unicode CLDR's English annotations, and writes ``sprites.webp`` and
``concepts.json`` into ``atlas/``. Debian packages: fonts-noto-color-emoji, unicode-cldr-core. Only
this command needs them: everything else reads the atlas.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from precompute.demo_world.palette import COLOUR_WORDS

HERE = Path(__file__).parent
FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
ANNOTATIONS = Path("/usr/share/unicode/cldr/common/annotations/en.xml")

FONT_SIZE = 109  # the only size of the font's bitmaps, in pixels
CANVAS = 136
TILE = 112  # side of a sprite in the sheet, in pixels
EXTENT = 108  # longest side of the drawing inside its tile; the rest is a transparent margin
COLUMNS = 24
MOST_KEYWORDS = 3
VARIATION_SELECTOR = "\ufe0f"

# Keywords that are true of nearly anything, or that tell of an emoji's use and not its drawing.
VAGUE_KEYWORDS = frozenset(
    """
    face object symbol sign open closed close tone old new large small person people man woman
    adult body human activity celebration nothing fantasy right left up down good emotion
    expression thing hand curious sly lazy slow wise proud ostentatious flamboyant pretty
    boring useless indecisive disease comic cold hot bright idea clue dupe expendable jump
    talk attraction rebound four falling male female young bearer stink pester playful heavy
    solid iron twisted roll direct hit catch step fluctuate password danger zap cool prophecy
    personal life view opening empty store part sound mad australia india vietnam mauritius
    russia tokyo european american french japanese mexican extinction virus fever malaria
    shedding deciduous ear light leo aries cancer capricorn scorpio house soft shot bar tool
    creature sick video piece four-leaf top interlocking king turn electric
    """.split()  # noqa: SIM905 - a list of words is read as words
)


@dataclass(frozen=True)
class Selected:
    """One line item of ``selection.txt``."""

    emoji: str
    name: str | None
    plural: bool
    categories: tuple[str, ...]


def read_selection(text: str) -> list[Selected]:
    """The emoji named in a selection, in order; see the head of ``selection.txt`` for its form."""
    selected: list[Selected] = []
    categories: tuple[str, ...] = ()
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            categories = tuple(part.strip() for part in line.strip("[]").split(","))
            continue
        for entry in re.findall(r"(?:\+?[^\x00-\x7f]\S*)(?: (?!\+?[^\x00-\x7f])\S+)*", line):
            emoji, _, name = entry.partition("=")
            plural = emoji.startswith("+") or name.startswith("+")
            selected.append(
                Selected(emoji.lstrip("+"), name.lstrip("+") or None, plural, categories)
            )
    return selected


def read_annotations(path: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """CLDR's short names and keywords, by emoji without variation selectors."""
    names: dict[str, str] = {}
    keywords: dict[str, list[str]] = {}
    for element in ElementTree.parse(path).getroot().iter("annotation"):  # noqa: S314 - the system's own file
        emoji = element.attrib["cp"].replace(VARIATION_SELECTOR, "")
        if element.attrib.get("type") == "tts":
            names[emoji] = element.text or ""
        else:
            keywords[emoji] = [word.strip() for word in (element.text or "").split("|")]
    return names, keywords


def plain_word(word: str) -> str:
    return word.lower().replace("\u2019", "'").strip()


def useful_keywords(words: list[str], *, taken: Collection[str]) -> list[str]:
    """The keywords worth teaching: short, plain, no colour, not vague, not `taken` as a name."""
    kept: list[str] = []
    for word in map(plain_word, words):
        parts = word.split()
        usable = re.fullmatch(r"[a-z][a-z' -]{2,}", word) and len(parts) <= 2
        told = word in taken or word in VAGUE_KEYWORDS
        if usable and not told and not COLOUR_WORDS.intersection(parts) and word not in kept:
            kept.append(word)
    return kept[:MOST_KEYWORDS]


def draw(emoji: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """The emoji on a transparent TILE x TILE tile, its longest side EXTENT, centred."""
    canvas = Image.new("RGBA", (2 * CANVAS, CANVAS), (0, 0, 0, 0))
    ImageDraw.Draw(canvas).text((0, 0), emoji, font=font, embedded_color=True)
    box = canvas.getbbox()
    if box is None or box[2] > CANVAS:
        raise ValueError(f"The font has no single drawing for {emoji!r}.")
    return fit(canvas.crop(box))


def fit(drawing: Image.Image) -> Image.Image:
    """An RGBA drawing without margins on a transparent TILE x TILE tile, as :func:`draw` has it."""
    scale = EXTENT / max(drawing.size)
    width, height = (max(1, round(side * scale)) for side in drawing.size)
    # Resize with premultiplied colour ("RGBa"), or transparent black bleeds into the edges.
    drawing = drawing.convert("RGBa").resize((width, height), Image.Resampling.LANCZOS)
    tile = Image.new("RGBA", (TILE, TILE), (0, 0, 0, 0))
    tile.paste(drawing.convert("RGBA"), ((TILE - width) // 2, (TILE - height) // 2))
    return tile


def build(out: Path, *, font_path: Path = FONT, annotations: Path = ANNOTATIONS) -> int:
    """Write ``sprites.webp`` and ``concepts.json`` into `out`; returns the number of concepts."""
    names, keywords = read_annotations(annotations)
    font = ImageFont.truetype(str(font_path), FONT_SIZE)
    selection = read_selection((HERE / "selection.txt").read_text(encoding="utf-8"))
    bare = [item.emoji.replace(VARIATION_SELECTOR, "") for item in selection]
    own = [
        plain_word(item.name or names[emoji]) for item, emoji in zip(selection, bare, strict=True)
    ]
    if len(set(own)) != len(own):
        raise ValueError("Two concepts of the selection have the same name.")
    # A keyword that names another concept, or a category, would teach the model a contradiction.
    taken = set(own) | {category for item in selection for category in item.categories}
    concepts: list[dict[str, object]] = []
    for item, emoji, name in zip(selection, bare, own, strict=True):
        words = [names.get(emoji, ""), *keywords.get(emoji, [])]
        concepts.append(
            {
                "name": name,
                "emoji": item.emoji,
                "plural": item.plural,
                "categories": list(item.categories),
                "keywords": useful_keywords(words, taken=taken),
            }
        )
    tiles = [draw(item.emoji, font) for item in selection]
    rows = math.ceil(len(tiles) / COLUMNS)
    sheet = Image.new("RGBA", (COLUMNS * TILE, rows * TILE), (0, 0, 0, 0))
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % COLUMNS * TILE, place // COLUMNS * TILE))
    out.mkdir(parents=True, exist_ok=True)
    sheet.save(out / "sprites.webp", lossless=True, method=6)
    layout = {"tile": TILE, "extent": EXTENT, "columns": COLUMNS, "concepts": concepts}
    text = json.dumps(layout, ensure_ascii=False, indent=1)
    (out / "concepts.json").write_text(text + "\n", encoding="utf-8")
    return len(concepts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=HERE / "atlas")
    parser.add_argument("--font", type=Path, default=FONT)
    parser.add_argument("--annotations", type=Path, default=ANNOTATIONS)
    arguments = parser.parse_args()
    count = build(arguments.out, font_path=arguments.font, annotations=arguments.annotations)
    sys.stdout.write(f"{count} concepts written to {arguments.out}\n")


if __name__ == "__main__":
    main()
