"""Other artists' drawings of the atlas's concepts, read from packages that are not shipped."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from precompute.demo_world.atlas import Atlas, Concept, load_atlas, pyramid
from precompute.demo_world.build_atlas import EXTENT, TILE, fit

SUFFIXES = (".png", ".webp", ".svg")
SVG_SIDE = 256  # pixels at which a vector drawing is rendered, before it is scaled to its tile
LARGEST_BYTES = 1 << 22  # of one drawing's file
ICONS, CHARACTERS = "icons.json", "chars.json"  # of an Iconify icon set
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'viewBox="{left} {top} {width} {height}">{body}</svg>'
)
ANY_VARIANT = "fe0f"  # asks for colour, changes nothing: some artists' file names have it


@dataclass(frozen=True)
class Art:
    """An artist's drawings as a package that can be fetched.

    Attributes:
        package: its name on npm.
        drawings: what its unpacked archive has them in: a folder of images named by code points,
            or of an Iconify icon set.
    """

    name: str
    package: str
    version: str
    licence: str
    drawings: str

    @property
    def fetch(self) -> str:
        """The command that fetches and unpacks it."""
        archive = f"{self.package.lstrip('@').replace('/', '-')}-{self.version}.tgz"
        return f"npm pack {self.package}@{self.version} && tar xzf {archive}"


MEASURED = (
    Art("Twemoji", "@twemoji/svg", "15.0.0", "CC BY 4.0", "package"),
    Art("OpenMoji", "openmoji", "17.0.0", "CC BY-SA 4.0", "package/color/svg"),
    Art("EmojiOne", "emojione", "2.2.7", "CC BY 4.0", "package/assets/svg"),
)
"""Drawings that the model card's figures are of: never seen in training."""

LEARNT = (
    Art("Fluent Emoji Flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "package"),
    Art("FxEmoji", "@iconify-json/fxemoji", "1.2.2", "Apache 2.0", "package"),
    Art("Noto Emoji 1", "@iconify-json/noto-v1", "1.2.5", "Apache 2.0", "package"),
)
"""Drawings that the shipped model was trained with, beside the atlas's own."""


def described(arts: Sequence[Art]) -> str:
    """Arts with their licences and how to get them, as help texts name them."""
    return "; ".join(
        f"{art.name} {art.version} ({art.licence}): {art.fetch}, then --drawings {art.drawings}"
        for art in arts
    )


def read_drawings(folder: Path) -> tuple[list[int], Atlas]:
    """Places of the concepts that a folder has drawings of, and these as an atlas.

    Raises:
        ValueError: the folder has none, or one that cannot be read.
    """
    found = _icons(folder) if (folder / ICONS).is_file() else _files(folder)
    concepts = load_atlas().concepts
    readers = {
        place: found[key]
        for place, concept in enumerate(concepts)
        for key in reversed(_keys_of(concept))
        if key in found
    }
    if not readers:
        raise ValueError(
            f"{folder} has no drawing named by the code points or the name of a concept."
        )
    places = list(readers)
    tiles = np.stack([np.asarray(fit(read())) for read in readers.values()])
    levels = pyramid(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    return places, Atlas(tuple(concepts[place] for place in places), levels, TILE, EXTENT)


def art_of(folder: Path) -> Art | None:
    """Which of the known arts a folder holds, by the package description above it."""
    for parent in (folder.resolve(), *folder.resolve().parents):
        try:
            told = json.loads((parent / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for art in (*MEASURED, *LEARNT):
            if isinstance(told, dict) and told.get("name") == art.package:
                return replace(art, version=str(told.get("version")))
    return None


def name_of(folder: Path) -> str:
    """What the figures of a folder are called."""
    art = art_of(folder)
    return folder.resolve().name if art is None else art.name


Reader = Callable[[], Image.Image]


def _files(folder: Path) -> dict[str, Reader]:
    """Images of a folder by the code points that they are named by, to be read when needed."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder of drawings.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    return {_key(path.stem): partial(_from_file, path) for path in paths}


def _icons(folder: Path) -> dict[str, Reader]:
    """Drawings of an Iconify icon set, by the code points that it gives; without its aliases.

    A set that gives none has its drawings by their names.
    """
    try:
        told = json.loads((folder / ICONS).read_text(encoding="utf-8"))
        names = json.loads((folder / CHARACTERS).read_text(encoding="utf-8"))
        icons, box = told["icons"], {"width": 16, "height": 16, **told}  # Iconify's own defaults
        drawn = {
            name: SVG.format(**{"left": 0, "top": 0, **box, **icon}) for name, icon in icons.items()
        }
        called = {_key(points): name for points, name in names.items() if name in drawn}
        called = called or {_plain(name): name for name in drawn}
        return {
            key: partial(_from_svg, f"{name} of {folder}", drawn[name].encode())
            for key, name in called.items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} does not hold an Iconify icon set with characters.") from error


def _keys_of(concept: Concept) -> list[str]:
    """What a drawing of a concept may be found by: code points, Unicode's name, the atlas's."""
    points = "-".join(f"{ord(letter):x}" for letter in concept.emoji)
    return [_key(points), _plain(unicodedata.name(concept.emoji[0], "")), _plain(concept.name)]


def _plain(name: str) -> str:
    """A name by its letters and digits alone: sets write "alienmonster" and "alien-monster"."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _key(stem: str) -> str:
    return "-".join(part for part in stem.lower().split("-") if part != ANY_VARIANT)


def _from_file(path: Path) -> Image.Image:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ValueError(f"{path} is larger than {LARGEST_BYTES >> 20} MB.")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a drawing.") from error
    if path.suffix.lower() == ".svg":
        return _from_svg(str(path), data)
    return _opened(str(path), data)


def _from_svg(name: str, data: bytes) -> Image.Image:
    """A vector drawing, rendered; `name` is what errors call it."""
    try:
        import resvg_py  # an extra: only other artists' drawings need it
    except ImportError:
        raise ValueError(
            "Vector drawings need the package resvg-py: pip install 'pairscope[drawings]'."
        ) from None
    try:
        text = data.decode()
        made = resvg_py.svg_to_bytes(svg_string=text, width=SVG_SIDE, height=SVG_SIDE)
    except ValueError as error:
        raise ValueError(f"{name} cannot be read as a drawing.") from error
    return _opened(name, bytes(made))


def _opened(name: str, data: bytes) -> Image.Image:
    """The drawing without its margins, in straight colours."""
    try:
        with Image.open(io.BytesIO(data), formats=["PNG", "WEBP"]) as image:
            drawing = image.convert("RGBA")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} cannot be read as a drawing.") from error
    box = drawing.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"{name} is empty.")
    return drawing.crop(box)
