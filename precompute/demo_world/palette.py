"""Colours and patterns of the demo world: what a tint or a background may be."""

from __future__ import annotations

# sRGB, 0..255. Tints colour an object; backgrounds may be black or white as well.
TINTS: dict[str, tuple[int, int, int]] = {
    "red": (222, 36, 36),
    "orange": (248, 136, 16),
    "yellow": (250, 218, 34),
    "green": (46, 164, 58),
    "blue": (40, 92, 226),
    "purple": (140, 58, 194),
    "pink": (250, 128, 186),
    "brown": (128, 78, 38),
    "grey": (136, 138, 142),
}
BACKGROUND_COLOURS: dict[str, tuple[int, int, int]] = {
    **TINTS,
    "white": (246, 246, 244),
    "black": (30, 30, 34),
}
PATTERNS: tuple[str, ...] = ("plain", "striped", "checked", "dotted", "wavy", "speckled")

# How much each of red, green and blue adds to lightness.
LUMA = (0.299, 0.587, 0.114)

# Words that name a colour: a concept whose name has one is never tinted.
COLOUR_WORDS: frozenset[str] = frozenset(BACKGROUND_COLOURS) | {"gray", "gold", "golden", "silver"}
