"""A store of a large model's sizes with made-up, consistent numbers, for measuring the server.

Everything that a page looks at is there and in its bounds: ids exist, values are ordered, the index
leads where explanations do.  The numbers mean nothing.  Only the first images have a thumbnail, and
heatmaps have few cells, since neither changes what a page costs.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from backend.pairs.factors import Factors
from backend.store import StoreWriter
from backend.store.format import (
    BOTTOM_SHOWN,
    EMBEDDINGS,
    EXPLANATIONS,
    FACTORS,
    FAMILIARITY,
    HEADS,
    INDEX,
    MAP,
    MAPS,
    NEIGHBOURS,
    NEURONS,
    NULLS,
    STATISTICS,
    THUMBNAILS,
    TOP_SHOWN,
    VOCABULARY,
    DatasetRecord,
    ModelRecord,
    word_dtype,
)
from precompute.bench.models import random_pool
from precompute.bench.storage import Sizes
from precompute.stages.pairs import inverse_index
from precompute.stages.plan import CALIBRATION_IMAGES

SEED = 0
RANKS = 50
BINS = 32
ATOMS = 64
STEPS = [1, 2, 4, 8, 16, 32, 64]
NEIGHBOURS_KEPT = 12
CLUSTERS = 512
AXES = 64
COMPONENTS = 4
NULL_SAMPLES = 256

CELLS = 3
"""Cells a side of a heatmap: twelve would fill half a gigabyte."""

THUMBNAILS_MADE = 1000
THUMBNAIL_SIDE = 128
KINDS = 50
"""Different thumbnails: each of the first images has one of them."""


def write_synthetic_store(path: Path, model: str, sizes: Sizes) -> Path:
    """A finished store named after its folder; the same bytes each time.

    Args:
        model: architecture whose attention pool, with random weights, gives the factors.
        sizes: of that model, its vocabulary and its data set.
    """
    rng = np.random.default_rng(SEED)
    words = made_up_words(sizes.words)
    writer = StoreWriter(path)
    writer.text(VOCABULARY, words)
    writer.arrays(EMBEDDINGS, _vocabulary(rng, sizes))
    factors = random_pool(model, torch.device("cpu"), seed=SEED).factors
    writer.arrays(FACTORS, _factors(factors))
    writer.arrays(STATISTICS, _statistics(rng, sizes))
    writer.arrays(EXPLANATIONS, _explanations(rng, sizes))
    writer.arrays(INDEX, inverse_index(writer.read(EXPLANATIONS), words=sizes.words))
    writer.arrays(NULLS, {f"{name}_cosine": _cosines(rng, (NULL_SAMPLES,)) for name in _NULLS})
    neurons = _units(rng, sizes.neurons, sizes.heads, sizes)
    writer.arrays(NEURONS, neurons | {"held_out": _floats(rng, (sizes.neurons,), -1, 1)})
    writer.arrays(HEADS, _units(rng, sizes.heads, factors.d_head, sizes))
    writer.arrays(NEIGHBOURS, _neighbours(rng, sizes))
    writer.arrays(MAP, _map(rng, sizes))
    writer.arrays(FAMILIARITY, _familiarity(rng, sizes))
    writer.arrays(THUMBNAILS, _thumbnails(rng, sizes))
    places = TOP_SHOWN + BOTTOM_SHOWN
    maps = _floats(rng, (sizes.heads, sizes.neurons, places, CELLS, CELLS), -1, 1)
    writer.arrays(MAPS, {"maps": maps.astype(np.float16)})
    writer.finish(
        name=path.name,
        model=ModelRecord(model, None, False, f"{SEED:064x}"),
        preprocessing={"size": 32 * sizes.side},
        dataset=DatasetRecord("made up", sizes.images),
        templates=["{}"],
        parameters={
            "atoms": ATOMS,
            "calibration_images": CALIBRATION_IMAGES,
            "cosine_steps": STEPS,
            "ranks": RANKS,
            "seed": SEED,
        },
        code_version="0",
        created="2026-01-01T00:00:00+00:00",
        timings={},
    )
    return path


def made_up_words(count: int) -> list[str]:
    """Distinct words of letters alone, as a vocabulary has."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    base = len(syllables)
    return [
        syllables[number // base**2 % base]
        + syllables[number // base % base]
        + syllables[number % base]
        for number in range(count)
    ]


_NULLS = ("random", "shuffled")


def _vocabulary(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    embeddings = rng.standard_normal((sizes.words, sizes.d_out), np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return {
        "embeddings": embeddings,
        "agreement": _floats(rng, (sizes.words,), 0.5, 1),
        "trained": np.ones(sizes.words, np.uint8),
    }


def _factors(factors: Factors) -> dict[str, np.ndarray]:
    names = ("value", "output", "value_bias", "output_bias", "constant")
    return {name: getattr(factors, name).numpy() for name in names}


def _statistics(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    shape = (sizes.heads, sizes.neurons)
    norm = rng.gamma(2.0, 1.0, shape).astype(np.float32)
    rank = norm.ravel().argsort().argsort().reshape(shape)
    step = _floats(rng, shape, 0.05, 0.2)
    edges = np.arange(BINS + 1, dtype=np.float32) - BINS / 2
    return {
        "count": np.array(sizes.images),
        "mean": _floats(rng, shape, -1, 1),
        "m2": _floats(rng, shape, 1, 2) * sizes.images,
        "sign": rng.choice(np.array([-1, 1], np.int8), shape),
        "norm": norm,
        "norm_percentile": (100 * rank / norm.size).astype(np.float32),
        "monosemanticity": _floats(rng, shape, 0, 1),
        "histogram": rng.integers(0, 2 * sizes.images // BINS, (*shape, BINS), np.int32),
        "edges": edges * step[..., None],
        **_extremes(rng, shape, sizes.images),
        "neuron_covariance": np.zeros((sizes.neurons, sizes.heads, sizes.heads), np.float32),
        "token_norm": np.ones((sizes.side, sizes.side), np.float32),
        "token_attention": np.full((sizes.heads, sizes.side, sizes.side), 1e-2, np.float32),
        "sink_tokens": np.zeros((0, 2), np.int32),
    }


def _extremes(rng: np.random.Generator, shape: Sequence[int], images: int) -> dict[str, np.ndarray]:
    """Highest and lowest values with distinct images; the first shown ones have thumbnails."""
    start = rng.integers(0, images, (*shape, 1))
    step = rng.integers(1, max(images // (2 * RANKS), 2), (*shape, 1))
    ids = (start + step * np.arange(2 * RANKS)) % images
    values = -np.sort(-rng.standard_normal((*shape, 2 * RANKS), np.float32), axis=-1)
    return {
        "top_images": ids[..., :RANKS].astype(np.int32),
        "top_values": values[..., :RANKS],
        "bottom_images": ids[..., RANKS:].astype(np.int32),
        "bottom_values": values[..., : RANKS - 1 : -1],
    }


def _explanations(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    shape = (sizes.heads, sizes.neurons)
    return {
        **_words(rng, shape, sizes.words),
        "held_out": _floats(rng, shape, -1, 1),
    }


def _words(rng: np.random.Generator, shape: Sequence[int], words: int) -> dict[str, np.ndarray]:
    start = rng.integers(0, words, (*shape, 1))
    step = rng.integers(1, max(words // ATOMS, 2), (*shape, 1))
    ids = (start + step * np.arange(ATOMS)) % words
    weights = rng.standard_normal((*shape, ATOMS), np.float32)
    return {
        "word_ids": ids.astype(word_dtype(words)),
        "weights": weights / np.arange(1, ATOMS + 1, dtype=np.float32),
        "cosine": _cosines(rng, shape),
    }


def _cosines(rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
    """Cosines that grow with the number of words."""
    return np.sort(_floats(rng, (*shape, len(STEPS)), 0, 1), axis=-1)


def _units(rng: np.random.Generator, count: int, terms: int, sizes: Sizes) -> dict[str, np.ndarray]:
    direction = rng.standard_normal((count, sizes.d_out), np.float32)
    return {
        "components": rng.standard_normal((count, COMPONENTS, terms), np.float32),
        "variance_share": np.full((count, COMPONENTS), 1 / COMPONENTS, np.float32),
        "direction": direction / np.linalg.norm(direction, axis=1, keepdims=True),
        "norm": _floats(rng, (count,), 0, 5),
        "mean": _floats(rng, (count,), -1, 1),
        "monosemanticity": _floats(rng, (count,), 0, 1),
        **_extremes(rng, (count,), sizes.images),
        **_words(rng, (count,), sizes.words),
    }


def _neighbours(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    shape = (sizes.heads, sizes.neurons, NEIGHBOURS_KEPT)
    step = np.cumsum(rng.integers(1, sizes.pairs // 20, shape), axis=-1)
    ids = (np.arange(sizes.pairs).reshape(shape[:2])[..., None] + step) % sizes.pairs
    likeness = -np.sort(-_floats(rng, shape, 0, 1), axis=-1).astype(np.float16)
    return {
        "direction_ids": ids.astype(np.int32),
        "direction_cosine": likeness,
        "coactivation_ids": ids[..., ::-1].astype(np.int32),
        "coactivation_jaccard": likeness,
    }


def _map(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    shape = (sizes.heads, sizes.neurons)
    return {
        "position": _floats(rng, (*shape, 2), -1, 1),
        "cluster": rng.integers(-1, CLUSTERS, shape, np.int16),
        "cluster_position": _floats(rng, (CLUSTERS, 2), -1, 1),
        "cluster_word": rng.integers(0, sizes.words, CLUSTERS, np.int32),
    }


def _familiarity(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    return {
        "text_null": np.zeros(0, np.float32),
        "cell_mean": _floats(rng, (sizes.neurons,), 0, 1),
        "cell_axes": np.eye(sizes.neurons, AXES, dtype=np.float32),
        "cell_variance": np.ones(AXES, np.float32),
        "cell_rest": np.array(1, np.float32),
        "image_strangeness": np.linspace(0, 1, 101, dtype=np.float32),
    }


def _thumbnails(rng: np.random.Generator, sizes: Sizes) -> dict[str, np.ndarray]:
    files = [_thumbnail(rng) for _ in range(KINDS)]
    chosen = [files[number % KINDS] for number in range(min(sizes.images, THUMBNAILS_MADE))]
    ends = np.cumsum([0, *map(len, chosen)])
    offsets = np.full(sizes.images + 1, ends[-1], np.int64)
    offsets[: len(ends)] = ends
    return {"bytes": np.frombuffer(b"".join(chosen), np.uint8), "offsets": offsets}


def _thumbnail(rng: np.random.Generator) -> bytes:
    coarse = Image.fromarray(rng.integers(0, 255, (4, 4, 3), np.uint8))
    out = io.BytesIO()
    coarse.resize((THUMBNAIL_SIDE, THUMBNAIL_SIDE)).save(out, "WEBP", quality=80)
    return out.getvalue()


def _floats(rng: np.random.Generator, shape: Sequence[int], low: float, high: float) -> np.ndarray:
    return (low + (high - low) * rng.random(tuple(shape), np.float32)).astype(np.float32)
