"""Text in drawn pictures, with the fonts that the machine has and never a box for a missing letter.

Fonts are looked up by file name among the system's; Pillow's own stands in where there is none.
A letter is drawn with the first font that has it; one that no font has is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import groupby

from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Place = tuple[float, float]

BOLD = (
    "DejaVuSerif-Bold.ttf",
    "LiberationSerif-Bold.ttf",
    "NotoSerif-Bold.ttf",
    "Georgia Bold.ttf",
)
PLAIN = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf", "Arial.ttf")
FURTHER = (
    "DejaVuSans.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoSansDevanagari-Regular.ttf",
    "Arial Unicode.ttf",
)
"""For letters that the wanted font lacks."""

PLAINER = {"\N{MINUS SIGN}": "-", "\N{MIDDLE DOT}": "-", "\N{HORIZONTAL ELLIPSIS}": "..."}
"""What to write where no font has a sign of ours."""

LEADING = 1.22
"""Distance of lines over the size of letters."""

SMALLEST = 0.7
"""A heading shrinks down to this share of its size before it is cut."""

LETTERS_KEPT = 8192
"""Answers that are remembered of which font has which letter: each is drawn to find out."""

SAMPLE = 96
"""Pixels a side: the largest size that is written, and room around it."""

NO_LETTER = "\U0010ffff"
"""No font has this one, so it shows what a font draws for a missing letter."""


@dataclass(frozen=True)
class Lettering:
    """Writes on one picture."""

    pen: ImageDraw.ImageDraw

    def line(self, at: Place, text: str, family: tuple[str, ...], size: int, ink: str) -> float:
        """Write one line with its upper left corner ``at``; returns where it ends."""
        x, y = at
        for font, run in _runs(text, family, size):
            # Baselines agree, whatever the fonts' heights.
            self.pen.text((x, y + size), run, font=font, fill=ink, anchor="ls")
            x += font.getlength(run)
        return x

    def line_to(self, at: Place, text: str, family: tuple[str, ...], size: int, ink: str) -> None:
        """The same, ending at ``at``."""
        self.line((at[0] - _length(text, family, size), at[1]), text, family, size, ink)

    def block(
        self,
        at: Place,
        text: str,
        family: tuple[str, ...],
        size: int,
        ink: str,
        *,
        width: float,
        lines: int,
    ) -> float:
        """Write up to ``lines`` lines of ``width`` pixels, smaller if that is enough to fit, and
        cut what does not; returns the y below the last line."""
        chosen, rows = size, _wrapped(text, family, size, width)
        while len(rows) > lines and chosen > SMALLEST * size:
            chosen -= 2
            rows = _wrapped(text, family, chosen, width)
        if len(rows) > lines:
            rows = [*rows[: lines - 1], _cut(rows[lines - 1], family, chosen, width)]
        x, y = at
        for row in rows:
            self.line((x, y), row, family, chosen, ink)
            y += LEADING * chosen
        return y


def _wrapped(text: str, family: tuple[str, ...], size: int, width: float) -> list[str]:
    rows: list[str] = []
    for word in text.split():
        if not _length(word, family, size):
            continue  # no font has any of its letters
        longer = f"{rows[-1]} {word}" if rows else word
        if rows and _length(longer, family, size) <= width:
            rows[-1] = longer
        else:
            rows.append(_cut(word, family, size, width, sign=""))
    return rows


def _cut(text: str, family: tuple[str, ...], size: int, width: float, sign: str = " …") -> str:
    """``text`` with ``sign`` behind it, without as many of its last letters as do not fit."""
    while text and _length(text + sign, family, size) > width:
        text = text[:-1].rstrip()
    return text + sign


def _length(text: str, family: tuple[str, ...], size: int) -> float:
    return sum(font.getlength(run) for font, run in _runs(text, family, size))


def _runs(text: str, family: tuple[str, ...], size: int) -> Iterator[tuple[Font, str]]:
    """The text in runs of one font each, without the letters that no font has."""
    fonts = [_font(names, size) for names in (family, *((name,) for name in FURTHER))]
    known = [font for font in fonts if font is not None] or [_own(size)]
    written = [
        (font, letter)
        for wanted in text
        for letter in _writable(wanted, known)
        if (font := _first_with(letter, known)) is not None
    ]
    for _, run in groupby(written, key=lambda pair: id(pair[0])):
        pairs = list(run)
        yield pairs[0][0], "".join(letter for _, letter in pairs)


def _writable(letter: str, fonts: list[Font]) -> str:
    if letter.isspace():
        return " "
    return letter if _first_with(letter, fonts) is not None else PLAINER.get(letter, "")


def _first_with(letter: str, fonts: list[Font]) -> Font | None:
    return next((font for font in fonts if _has(font, letter)), None)


@cache
def _font(names: tuple[str, ...], size: int) -> Font | None:
    """The first of the fonts that the machine has."""
    for name in names:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@cache
def _own(size: int) -> Font:
    return ImageFont.load_default(size)


@lru_cache(maxsize=LETTERS_KEPT)
def _has(font: Font, letter: str) -> bool:
    return letter == " " or _drawn(font, letter) != _drawn(font, NO_LETTER)


def _drawn(font: Font, letter: str) -> bytes:
    """What a font draws for a letter."""
    canvas = Image.new("L", (SAMPLE, SAMPLE))
    ImageDraw.Draw(canvas).text((0, 0), letter, font=font, fill=255)
    return canvas.tobytes()
