"""Does the demo model know its concepts when another artist draws them?

Everything but the drawings is as in the classification of single objects: sizes, turns, all concept
names as classes.  Backgrounds are plain, since the question is about drawings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backend.clip import ClipResNet
from precompute.demo_world.atlas import Atlas, load_atlas
from precompute.demo_world.drawings import read_drawings
from precompute.demo_world.layout import CLASSIFICATION, UNSEEN, draw_layout, uniforms
from precompute.demo_world.painting import paint
from precompute.demo_world.palette import PATTERNS
from precompute.demo_world.vocabulary import TEMPLATES, lexicon

AT_ONCE = 32  # images painted and encoded at once: bounds memory
PLAIN = PATTERNS.index("plain")


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
