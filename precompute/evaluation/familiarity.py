"""How often the model is said to know what it knows, and what it cannot know.

The tests are those of the server (``backend/pairs/familiarity.py``); scenes stand for the images of
a store.  Photographs are scikit-learn's two, cut into squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from backend.clip import ClipResNet
from backend.pairs.familiarity import (
    KNOWN_PERCENTILE,
    STRANGE_PERCENTILE,
    standing,
    strangeness,
    usual_images,
)
from precompute.demo_world.palette import TINTS
from precompute.demo_world.scenes import batches
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary
from precompute.stages.familiarity import meaningless_texts, text_null
from precompute.stages.vocabulary import common_words

COMMON = 2000  # of the most common English words
BATCH = 32  # pictures encoded at once: bounds memory
SQUARES = (128, 427)  # least and most side of a cut of a photograph, in pixels; 427 is its height
TEXTS_SEED = 1  # the null's own is 0

Pictures = NDArray[np.uint8]  # [picture, row, column, 3]


def familiarity(model: ClipResNet, *, seed: int, count: int) -> dict[str, dict[str, float]]:
    """Shares of texts and of pictures, by kind, that count as known.

    Texts: the `vocabulary`; compounds that are not in it; captions of `count` scenes; the 2,000
    most common English words without the demo world's, alone (`other_words`) and after a tint
    (`mixed`); texts of random letters.  Pictures, `count` of each kind: unseen scenes, cuts of
    photographs, noise, plain colours, gradients; what is usual comes from as many other scenes.
    Raises ValueError for a count below 100.
    """
    if count < 100:
        raise ValueError(f"The count must be 100 or more for familiarity, not {count}.")
    null = text_null(model, list(TEMPLATES))
    texts = {kind: _known_texts(model, null, part) for kind, part in _texts(seed, count).items()}
    cells = _cells(model, _scenes(seed, count, model.image_size))
    usual, usually = usual_images(cells)
    pictures = {}
    for kind, part in _pictures(seed + 1, count, model.image_size).items():
        strange = strangeness(_cells(model, part), usual).tolist()
        places = [standing(value, usually) or 0.0 for value in strange]
        pictures[kind] = float(np.mean(np.array(places) < STRANGE_PERCENTILE))
    return {"texts_known": texts, "pictures_known": pictures}


def _texts(seed: int, count: int) -> dict[str, list[str]]:
    words = lexicon()
    own = vocabulary()
    parts = {part for word in own for part in word.split()}
    others = [word for word in common_words(COMMON) if word not in parts]
    tints = list(TINTS)
    compounds = [words.compound(row, tint) for row, tint in _tinted()]
    return {
        "vocabulary": own,
        "compounds": sorted(set(compounds) - set(own)),
        "captions": [
            batch.caption(place)
            for batch in batches(seed, count, size=32)
            for place in range(len(batch.images))
        ],
        "other_words": others,
        "mixed": [f"{tints[place % len(tints)]} {word}" for place, word in enumerate(others)],
        "letters": meaningless_texts(count, seed=TEXTS_SEED),
    }


def _tinted() -> list[tuple[int, int]]:
    """Every concept that takes a tint, with every tint."""
    rows = sorted({row for row, _ in lexicon().compounds})
    return [(row, tint) for row in rows for tint in range(len(TINTS))]


def _known_texts(model: ClipResNet, null: Tensor, texts: Sequence[str]) -> float:
    read = model.read_texts(texts, TEMPLATES).cpu()
    known = read.trained.clone()
    if len(null):
        places = [standing(value, null) or 0.0 for value in read.agreement.tolist()]
        known &= torch.tensor(places) >= KNOWN_PERCENTILE
    return float(known.float().mean())


def _scenes(seed: int, count: int, size: int) -> Pictures:
    return np.concatenate([batch.images.numpy() for batch in batches(seed, count, size=size)])


def _pictures(seed: int, count: int, size: int) -> dict[str, Pictures]:
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (2, count, 1, 1, 3))
    ramp = np.linspace(0, 1, size)[:, None]
    gradients = colours[0] * (1 - ramp) + colours[1] * ramp
    square = (count, size, size, 3)
    return {
        "scenes": _scenes(seed, count, size),
        "photographs": _photographs(rng, count, size),
        "noise": rng.integers(0, 256, square, np.uint8),
        "plain": np.broadcast_to(colours[0], square).astype(np.uint8),
        "gradients": np.broadcast_to(gradients, square).astype(np.uint8),
    }


def _photographs(rng: np.random.Generator, count: int, size: int) -> Pictures:
    from sklearn.datasets import load_sample_images  # late: takes a second

    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    cuts = []
    for place in range(count):
        image = photographs[place % len(photographs)]
        side = int(rng.integers(SQUARES[0], SQUARES[1] + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in image.size)
        cut = image.crop((left, top, left + side, top + side))
        cuts.append(np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC)))
    return np.stack(cuts)


def _cells(model: ClipResNet, pictures: Pictures) -> Float[Tensor, "image cell neuron"]:
    """Activations, rounded as the store's are."""
    return torch.cat(
        [
            model.feature_map(model.preprocess_batch(pictures[start : start + BATCH]))
            .flatten(2)
            .transpose(1, 2)
            .cpu()
            .half()
            .float()
            for start in range(0, len(pictures), BATCH)
        ]
    )
