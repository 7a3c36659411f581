from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.store import StoreWriter
from backend.store.format import (
    EMBEDDINGS,
    EXPLANATIONS,
    FACTORS,
    FAMILIARITY,
    INDEX,
    MAP,
    MAPS,
    NEIGHBOURS,
    NULLS,
    STATISTICS,
    THUMBNAILS,
    VOCABULARY,
    DatasetRecord,
    ModelRecord,
)
from backend.store.format import (
    HEADS as HEAD_FILE,
)
from backend.store.format import (
    NEURONS as NEURON_FILE,
)

HEADS, D_HEAD, NEURONS, D_OUT, WORDS, ATOMS, IMAGES, RANKS = 2, 3, 5, 4, 6, 2, 3, 12


def arrays() -> dict[str, dict[str, np.ndarray]]:
    random = np.random.default_rng(0)
    pair = (HEADS, NEURONS)

    def floats(*shape: int) -> np.ndarray:
        return random.standard_normal(shape).astype(np.float32)

    def unit(count: int, terms: int) -> dict[str, np.ndarray]:
        ranks = np.zeros((count, RANKS), dtype=np.int32)
        return {
            "components": floats(count, 4, terms),
            "variance_share": floats(count, 4),
            "direction": floats(count, D_OUT),
            **{name: floats(count) for name in ("norm", "mean", "monosemanticity")},
            **{f"{end}_images": ranks for end in ("top", "bottom")},
            **{f"{end}_values": floats(count, RANKS) for end in ("top", "bottom")},
            "word_ids": random.integers(0, WORDS, (count, ATOMS)).astype(np.int16),
            "weights": floats(count, ATOMS),
            "cosine": floats(count, 2),
        }

    images = np.tile(np.arange(RANKS, dtype=np.int32) % IMAGES, (*pair, 1))
    images[..., 8:] = -1
    return {
        FACTORS: {
            "value": floats(HEADS, D_HEAD, NEURONS),
            "output": floats(HEADS, D_OUT, D_HEAD),
            "value_bias": floats(HEADS, D_HEAD),
            "output_bias": floats(D_OUT),
            "constant": floats(D_OUT),
        },
        STATISTICS: {
            "count": np.asarray(IMAGES),
            "sign": np.ones(pair, dtype=np.int8),
            **{
                name: floats(*pair)
                for name in ("mean", "m2", "norm", "norm_percentile", "monosemanticity")
            },
            "histogram": np.ones((*pair, 4), dtype=np.int32),
            "edges": np.sort(floats(*pair, 5)),
            "top_images": images,
            "top_values": floats(*pair, RANKS),
            "bottom_images": images,
            "bottom_values": floats(*pair, RANKS),
            "neuron_covariance": floats(NEURONS, HEADS, HEADS),
            "token_norm": floats(2, 2),
            "token_attention": floats(HEADS, 2, 2),
            "sink_tokens": np.zeros((0, 2), dtype=np.int32),
        },
        EXPLANATIONS: {
            "word_ids": random.integers(0, WORDS, (*pair, ATOMS)).astype(np.int32),
            "weights": floats(*pair, ATOMS),
            "cosine": floats(*pair, 2),
            "held_out": floats(*pair),
        },
        NULLS: {name: floats(7, 2) for name in ("random_cosine", "shuffled_cosine")},
        NEURON_FILE: {**unit(NEURONS, HEADS), "held_out": floats(NEURONS)},
        HEAD_FILE: unit(HEADS, D_HEAD),
        NEIGHBOURS: {
            "direction_ids": np.zeros((*pair, 3), dtype=np.int32),
            "direction_cosine": floats(*pair, 3).astype(np.float16),
            "coactivation_ids": np.full((*pair, 3), -1, dtype=np.int32),
            "coactivation_jaccard": np.full((*pair, 3), np.nan, dtype=np.float16),
        },
        INDEX: {
            "offsets": np.array([0, 1, 1, 1, 3, 3, 3]),
            "pairs": np.array([4, 9, 0], dtype=np.int32),
            "weights": np.array([1, -0.5, 0.2], dtype=np.float32),
        },
        MAP: {
            "position": floats(*pair, 2),
            "cluster": np.zeros(pair, dtype=np.int16),
            "cluster_position": floats(1, 2),
            "cluster_word": np.zeros(1, dtype=np.int32),
        },
        EMBEDDINGS: {
            "embeddings": floats(WORDS, D_OUT),
            "agreement": floats(WORDS),
            "trained": np.ones(WORDS, np.uint8),
        },
        FAMILIARITY: {
            "text_null": floats(7),
            "cell_mean": floats(NEURONS),
            "cell_axes": floats(NEURONS, 2),
            "cell_variance": floats(2),
            "cell_rest": np.ones((), np.float32),
            "image_strangeness": floats(101),
        },
        THUMBNAILS: {
            "bytes": np.frombuffer(b"firstthird", dtype=np.uint8),
            "offsets": np.array([0, 5, 5, 10]),
        },
        MAPS: {"maps": random.standard_normal((*pair, 12, 2, 2)).astype(np.float16)},
    }


def told(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny",
        "model": ModelRecord("RN50", "openai", True, "ab" * 32),
        "preprocessing": {"size": 224},
        "dataset": DatasetRecord("set", IMAGES, ["broken.png"]),
        "templates": ["a {}"],
        "parameters": {"atoms": ATOMS, "cosine_steps": [1, 2]},
        "code_version": "0",
        "created": "2026-01-01T00:00:00+00:00",
        "timings": {"collect": 1.0},
        **changes,
    }


def write(path: Path, *, exemplars: bool = True, **changes: Any) -> Path:
    writer = StoreWriter(path)
    for file, content in arrays().items():
        if exemplars or file not in (THUMBNAILS, MAPS):
            writer.arrays(file, content)
    writer.text(VOCABULARY, ["a", "b", "Cé", "d", "e", "two words"])
    writer.finish(**told(**changes))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "store")
