"""A small store that fits a real model with random weights, written with the store's own writer.

Its statistics are made up but consistent: values are ordered, orientation is mixed, missing ranks
and unknown monosemanticity occur.
"""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from open_clip import CLIP
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from backend.clip import DEMO, load_model
from backend.clip.models import DEMO_FOLDER, ClipResNet
from backend.pairs.factors import Factors, head_directions
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
)
from precompute.stages.familiarity import familiarity_arrays, text_null
from precompute.stages.pairs import inverse_index
from precompute.stages.vocabulary import vocabulary_arrays

UNREADABLE = ["broken.png", "<script>alert('name')</script>\".png"]
"""File names are anything that a file system takes."""

WORDS = [
    "cat", "dog", "butterfly", "grass", "red", "blue", "striped", "<script>alert(1)</script>",
    'a "quoted" word', "naïve", "日本語", "green tree",
]  # fmt: skip
IMAGES = 20
RANKS = 12
BINS = 8
ATOMS = 4
STEPS = [1, 2, 4]
CELLS = 3
NEIGHBOURS_KEPT = 12
TEMPLATES = ["{}", "a photo of a {}."]
UNKNOWN_PAIR = (7, 3)
"""(neuron, head) whose monosemanticity is not known and whose last ranks are missing."""


def write_checkpoint(path: Path, seed: int = 0) -> None:
    """Random weights for the demo model's architecture."""
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    config.pop("preprocess_cfg")
    torch.manual_seed(seed)
    weights = {name: value.contiguous() for name, value in CLIP(**config).state_dict().items()}
    save_file(weights, path)


def write_store(
    path: Path, checkpoint: Path, *, name: str = "demo", seed: int = 0, exemplars: bool = True
) -> None:
    """A finished store of the model in ``checkpoint``."""
    model = load_model(DEMO, checkpoint=checkpoint, device="cpu")
    factors = model.factors
    writer = StoreWriter(path)
    writer.text(VOCABULARY, WORDS)
    writer.arrays(EMBEDDINGS, vocabulary_arrays(model, WORDS, TEMPLATES))
    writer.arrays(FAMILIARITY, _familiarity(model))
    writer.arrays(
        FACTORS,
        {
            "value": factors.value.numpy(),
            "output": factors.output.numpy(),
            "value_bias": factors.value_bias.numpy(),
            "output_bias": factors.output_bias.numpy(),
            "constant": factors.constant.numpy(),
        },
    )
    rng = np.random.default_rng(seed)
    writer.arrays(STATISTICS, _statistics(rng, factors.n_heads, factors.n_neurons))
    writer.arrays(EXPLANATIONS, _explanations(rng, factors.n_heads, factors.n_neurons))
    sign = writer.read(STATISTICS)["sign"]
    _write_summaries(writer, rng, factors, torch.from_numpy(np.array(sign)))
    if exemplars:
        _write_exemplars(writer, rng, factors.n_heads, factors.n_neurons)
    writer.finish(**_manifest(model, name, seed))


def _familiarity(model: ClipResNet) -> dict[str, np.ndarray]:
    """By pictures of coarse noise."""
    noise = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    pictures = F.interpolate(noise, size=(model.image_size, model.image_size))
    cells = model.feature_map(pictures).flatten(2).transpose(1, 2)
    return familiarity_arrays(text_null(model, TEMPLATES), cells)


def _manifest(model: ClipResNet, name: str, seed: int) -> dict:
    return {
        "name": name,
        "model": ModelRecord(**asdict(model.identity)),
        "preprocessing": asdict(model.preprocessing),
        "dataset": DatasetRecord("made up", IMAGES, UNREADABLE),
        "templates": TEMPLATES,
        "parameters": {
            "atoms": ATOMS,
            "calibration_images": 2 * IMAGES,
            "cosine_steps": STEPS,
            "seed": seed,
        },
        "code_version": "0",
        "created": "2026-01-02T03:04:05+00:00",
        "timings": {},
    }


def _statistics(rng: np.random.Generator, heads: int, neurons: int) -> dict[str, np.ndarray]:
    shape = (heads, neurons)
    norm = rng.gamma(2.0, 1.0, shape).astype(np.float32)
    values = -np.sort(-rng.normal(size=(*shape, 2 * RANKS)).astype(np.float32), axis=-1)
    images = np.argsort(rng.random((*shape, IMAGES)), axis=-1)[..., :RANKS].astype(np.int32)
    edges = np.linspace(-3, 3, BINS + 1) + rng.normal(size=shape)[..., None]
    statistics = {
        "count": np.array(IMAGES),
        "mean": rng.normal(size=shape),
        "m2": rng.gamma(2.0, 1.0, shape),
        "sign": rng.choice([-1, 1], shape).astype(np.int8),
        "norm": norm,
        "norm_percentile": (
            100 * norm.ravel().argsort().argsort().reshape(shape) / norm.size
        ).astype(np.float32),
        "monosemanticity": rng.random(shape).astype(np.float32),
        "histogram": rng.multinomial(IMAGES, np.full(BINS, 1 / BINS), shape),
        "edges": edges.astype(np.float32),
        "top_images": images,
        "top_values": values[..., :RANKS],
        "bottom_images": images[..., ::-1].copy(),
        "bottom_values": values[..., : RANKS - 1 : -1].copy(),
        "neuron_covariance": np.zeros((neurons, heads, heads), np.float32),
        "token_norm": np.ones((CELLS, CELLS), np.float32),
        "token_attention": np.full((heads, CELLS, CELLS), 1 / CELLS**2, np.float32),
        "sink_tokens": np.zeros((0, 2), np.int32),
    }
    neuron, head = UNKNOWN_PAIR
    statistics["monosemanticity"][head, neuron] = np.nan
    statistics["top_images"][head, neuron, 5:] = -1
    statistics["top_values"][head, neuron, 5:] = np.nan
    return statistics


def _explanations(rng: np.random.Generator, heads: int, neurons: int) -> dict[str, np.ndarray]:
    chosen = np.argsort(rng.random((heads, neurons, len(WORDS))), axis=-1)[..., :ATOMS]
    cosine = np.sort(rng.random((heads, neurons, len(STEPS))), axis=-1)
    return {
        "word_ids": chosen.astype(np.int32),
        "weights": rng.normal(size=chosen.shape).astype(np.float32),
        "cosine": cosine.astype(np.float32),
        "held_out": _with_unknown(rng.uniform(-1, 1, (heads, neurons))),
    }


def _with_unknown(values: np.ndarray) -> np.ndarray:
    neuron, head = UNKNOWN_PAIR
    values[head, neuron] = np.nan
    return values.astype(np.float32)


def _write_summaries(
    writer: StoreWriter, rng: np.random.Generator, factors: Factors, sign: Tensor
) -> None:
    heads, neurons, words = factors.n_heads, factors.n_neurons, len(WORDS)
    shape = (heads, neurons)
    cosines = np.sort(rng.random((2, 5, len(STEPS))), axis=-1).astype(np.float32)
    writer.arrays(NULLS, dict(zip(("random_cosine", "shuffled_cosine"), cosines, strict=True)))
    held_out = rng.uniform(-1, 1, neurons).astype(np.float32)
    units = _units(rng, neurons, heads, factors.d_out)
    writer.arrays(NEURONS, {**units, "held_out": held_out})
    writer.arrays(HEADS, _units(rng, heads, factors.d_head, factors.d_out))
    near, shared = _others(rng, shape), _others(rng, shape)
    ids, cosine = _by_cosine(near, factors, sign)
    jaccard = np.where(shared < 0, np.nan, np.sort(rng.random(shared.shape))[..., ::-1])
    writer.arrays(
        NEIGHBOURS,
        {
            "direction_ids": ids,
            "direction_cosine": cosine,
            "coactivation_ids": shared,
            "coactivation_jaccard": jaccard.astype(np.float16),
        },
    )
    writer.arrays(INDEX, inverse_index(writer.read(EXPLANATIONS), words=words))
    writer.arrays(
        MAP,
        {
            "position": rng.uniform(-1, 1, (*shape, 2)).astype(np.float32),
            "cluster": rng.integers(0, 3, shape).astype(np.int16),
            "cluster_position": rng.uniform(-1, 1, (3, 2)).astype(np.float32),
            "cluster_word": np.arange(3, dtype=np.int32),
        },
    )


def _others(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Other pairs, as made-up neighbours of every pair; the unknown pair has only two."""
    pairs = shape[0] * shape[1]
    steps = np.cumsum(rng.integers(1, pairs // 20, (pairs, NEIGHBOURS_KEPT)), axis=1)
    ids = ((np.arange(pairs)[:, None] + steps) % pairs).reshape(*shape, -1).astype(np.int32)
    neuron, head = UNKNOWN_PAIR
    ids[head, neuron, 2:] = -1
    return ids


def _by_cosine(ids: np.ndarray, factors: Factors, sign: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """These in the order of their true cosines, and the cosines."""
    directions = torch.cat([head_directions(factors, head=h) for h in range(factors.n_heads)])
    directions *= sign.flatten()[:, None]
    flat = torch.from_numpy(ids).flatten(0, 1).long()
    cosine = torch.stack(
        [(directions * directions[other.clamp_min(0)]).sum(dim=1) for other in flat.T], dim=1
    ).masked_fill(flat < 0, -torch.inf)
    order = cosine.argsort(dim=1, descending=True)
    cosine = cosine.gather(1, order).masked_fill(flat.gather(1, order) < 0, torch.nan)
    sorted_ids = flat.gather(1, order).int().numpy().reshape(ids.shape)
    return sorted_ids, cosine.numpy().reshape(ids.shape).astype(np.float16)


def _units(rng: np.random.Generator, count: int, terms: int, d_out: int) -> dict[str, np.ndarray]:
    def floats(*shape: int) -> np.ndarray:
        return rng.normal(size=(count, *shape)).astype(np.float32)

    images = np.argsort(rng.random((count, IMAGES)), axis=-1)[:, :RANKS].astype(np.int32)
    return {
        "components": floats(4, terms),
        "variance_share": np.full((count, 4), 0.25, np.float32),
        "direction": floats(d_out),
        "norm": np.abs(floats()),
        "mean": floats(),
        "monosemanticity": rng.random(count).astype(np.float32),
        "top_images": images,
        "top_values": -np.sort(-floats(RANKS)),
        "bottom_images": images[:, ::-1].copy(),
        "bottom_values": np.sort(floats(RANKS)),
        "word_ids": np.argsort(rng.random((count, len(WORDS))), axis=1)[:, :ATOMS].astype(np.int16),
        "weights": floats(ATOMS),
        "cosine": np.sort(rng.random((count, len(STEPS))), axis=-1).astype(np.float32),
    }


def _write_exemplars(
    writer: StoreWriter, rng: np.random.Generator, heads: int, neurons: int
) -> None:
    files = [_thumbnail(rng) for _ in range(IMAGES)]
    places = TOP_SHOWN + BOTTOM_SHOWN
    maps = rng.normal(size=(heads, neurons, places, CELLS, CELLS)).astype(np.float16)
    writer.arrays(
        THUMBNAILS,
        {
            "bytes": np.frombuffer(b"".join(files), np.uint8),
            "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64),
        },
    )
    writer.arrays(MAPS, {"maps": maps})


def _thumbnail(rng: np.random.Generator) -> bytes:
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(out, "WEBP")
    return out.getvalue()
