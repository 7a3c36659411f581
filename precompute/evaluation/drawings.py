"""Does the demo model know its concepts when another artist draws them?

Everything but the drawings is as in the classification of single objects: sizes, turns, all concept
names as classes.  Backgrounds are plain, since the question is about drawings.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from backend.clip import ClipResNet
from precompute.demo_world.atlas import Atlas, load_atlas, pyramid
from precompute.demo_world.build_atlas import EXTENT, TILE, fit
from precompute.demo_world.layout import CLASSIFICATION, UNSEEN, draw_layout, uniforms
from precompute.demo_world.painting import paint
from precompute.demo_world.palette import PATTERNS
from precompute.demo_world.vocabulary import TEMPLATES, lexicon

SUFFIXES = (".png", ".webp", ".svg")
SVG_SIDE = 256  # pixels at which a vector drawing is rendered, before it is scaled to its tile
AT_ONCE = 32  # images painted and encoded at once: bounds memory
LARGEST_BYTES = 1 << 22  # of one drawing's file
PLAIN = PATTERNS.index("plain")
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


ARTS = (
    Art("Twemoji", "@twemoji/svg", "15.0.0", "CC BY 4.0", "package"),
    Art("OpenMoji", "openmoji", "17.0.0", "CC BY-SA 4.0", "package/color/svg"),
    Art("Fluent Emoji Flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "package"),
    Art("EmojiOne", "emojione", "2.2.7", "CC BY 4.0", "package/assets/svg"),
)
"""Openly licensed drawings that the model card's figures are of; none of them is shipped."""


def drawings(model: ClipResNet, *, seed: int, count: int, folder: Path) -> dict[str, float]:
    """`top1` and `top5` on another artist's drawings, `own_top1` and `own_top5` on the atlas's.

    `folder` has images named by code points (``1f98b.png``, ``1F98B.svg``, with or without
    ``-fe0f``) or an Iconify icon set (``icons.json``, ``chars.json``).  `count` scenes of one
    drawing each are made of those `concepts` of the atlas that it has, the same scenes with
    either's drawings: size 0.5 to 0.95 of the side, up to 20 degrees of turn, a plain colour
    behind.  Raises ValueError for a folder without such drawings.
    """
    if count < 1:
        raise ValueError(f"The count must be 1 or more, not {count}.")
    names = model.embed_texts(lexicon().names, TEMPLATES)
    places, theirs = read_drawings(folder)
    own = _part(load_atlas(), places)
    metrics = {}
    for prefix, atlas in (("", theirs), ("own_", own)):
        hits = torch.cat(list(_hits(model, atlas, torch.tensor(places), names, seed, count)))
        metrics[f"{prefix}top1"] = float(hits[:, 0].float().mean())
        metrics[f"{prefix}top5"] = float(hits.any(dim=1).float().mean())
    return {**metrics, "concepts": float(len(places))}


def read_drawings(folder: Path) -> tuple[list[int], Atlas]:
    """Places of the concepts that a folder has drawings of, and these as an atlas.

    Raises:
        ValueError: the folder has none, or one that cannot be read.
    """
    found = _icons(folder) if (folder / ICONS).is_file() else _files(folder)
    concepts = load_atlas().concepts
    keys = ["-".join(f"{ord(letter):x}" for letter in concept.emoji) for concept in concepts]
    places = [place for place, key in enumerate(keys) if _key(key) in found]
    if not places:
        raise ValueError(f"{folder} has no drawing named by the code points of a concept.")
    tiles = np.stack([np.asarray(fit(found[_key(keys[place])]())) for place in places])
    levels = pyramid(torch.from_numpy(tiles).permute(0, 3, 1, 2))
    return places, Atlas(tuple(concepts[place] for place in places), levels, TILE, EXTENT)


def art_of(folder: Path) -> Art | None:
    """Which of the known arts a folder holds, by the package description above it."""
    for parent in (folder.resolve(), *folder.resolve().parents):
        try:
            told = json.loads((parent / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for art in ARTS:
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
    """Drawings of an Iconify icon set, by the code points that it gives; without its aliases."""
    try:
        told = json.loads((folder / ICONS).read_text(encoding="utf-8"))
        names = json.loads((folder / CHARACTERS).read_text(encoding="utf-8"))
        icons, box = told["icons"], {"width": 16, "height": 16, **told}  # Iconify's own defaults
        drawn = {
            name: SVG.format(**{"left": 0, "top": 0, **box, **icon}) for name, icon in icons.items()
        }
        return {
            _key(points): partial(_from_svg, f"{name} of {folder}", drawn[name].encode())
            for points, name in names.items()
            if name in drawn
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder} does not hold an Iconify icon set with characters.") from error


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
        import resvg_py  # an extra: only this evaluation needs it
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


def _part(atlas: Atlas, places: list[int]) -> Atlas:
    """The atlas of some of its concepts."""
    concepts = tuple(atlas.concepts[place] for place in places)
    return replace(atlas, concepts=concepts, levels=tuple(level[places] for level in atlas.levels))


def _hits(
    model: ClipResNet, atlas: Atlas, places: Tensor, names: Tensor, seed: int, count: int
) -> Iterator[Tensor]:
    """Whether each of the five best names is the right one, bool [scene, 5], in batches."""
    for start in range(0, count, AT_ONCE):
        rows = uniforms(seed, range(start, min(count, start + AT_ONCE)), family=UNSEEN)
        layout = draw_layout(rows, atlas.concepts, objects=1, style=CLASSIFICATION)
        layout = replace(layout, pattern=np.full_like(layout.pattern, PLAIN))
        images, _ = paint(layout, atlas, size=model.image_size)
        embeddings = model.encode_images(model.preprocess_batch(images.numpy()))
        best = (embeddings @ names.T).cpu().topk(5, dim=1).indices
        yield best == places[torch.from_numpy(layout.concept[:, :1])]
