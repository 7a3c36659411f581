"""What a job will take, from its shapes alone: told before the long work, checked against the disk.

RN50x16, 1,000 images, 30,000 words, 64 atoms: 5.4 GB of memory, 0.8 GB of scratch, 1.0 GB of store
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from backend.clip import ClipResNet
from backend.clip.models import PASS_IMAGES
from backend.clip.text import TOKENS_AT_ONCE
from backend.pairs.components import COMPONENTS, UNITS_AT_ONCE
from backend.pairs.neighbours import MOST_COMMON, NEIGHBOURS, PAIRS_AT_ONCE
from backend.pairs.statistics import RANKS
from backend.store.format import BOTTOM_SHOWN, INDEX_ATOMS, TOP_SHOWN, word_dtype
from precompute.stages.explain import NULL_SAMPLES, SIGNALS_AT_ONCE
from precompute.stages.plan import CALIBRATION_IMAGES, FITTED_CELLS
from precompute.stages.segments import (
    ADDED_AT_ONCE,
    CELL,
    EDGE_IMAGES,
    FEATURE_CACHE_BYTES,
)

FLOAT, DOUBLE, LONG, HALF = 4, 8, 8, 2

PROCESS_BYTES = 1_000_000_000
"""Python with its libraries, measured: 0.6 GB of its own, the rest the libraries' code."""

LOADING_BYTES = 400_000_000
"""What loading a model leaves beside its weights, measured: places emptied by folding, which the C
library keeps."""

ACTIVATIONS_ALIVE = 6
"""Arrays of the stem's size that a forward pass holds at its peak, measured."""

TEXT_ARRAYS_ALIVE = 14
"""Arrays of a pass of tokens that the text tower holds at its peak: four times as wide inside each
block, before and after the activation."""

SCATTERS_ALIVE = 9
"""Float64 matrices of all neurons with all neurons that are held at the peak while what is usual is
fitted: those of both halves and of all images, and what their eigenvectors take."""

BLOCK_BYTES = 1_500_000_000
"""What the activations of one block of images may take."""

LARGEST_BLOCK = 32
"""Images for which the pool's weights are read together; on a processor the backbone takes them in
smaller passes (``backend.clip.models.PASS_IMAGES``)."""

THUMBNAIL_BYTES = 8_000
"""Of a photograph 160 pixels wide, on the large side."""

BLOCKS_HELD = 4
"""Decoded blocks: one in use, those ahead, and one being put together."""


@dataclass(frozen=True)
class Shapes:
    """Everything that the size of a job depends on.

    Attributes:
        side: of the images, in pixels.
        stem: channels of the widest early activation, at half the images' resolution.
        weights: bytes of the model.
        text: width of the text tower.
        together: images in one pass of the backbone.
        workers: processes or threads that compute segments side by side.
        processes: how many of these have a memory of their own.
    """

    heads: int
    neurons: int
    d_head: int
    d_out: int
    side: int
    stem: int
    weights: int
    images: int
    words: int
    atoms: int
    bins: int
    block: int
    exemplars: bool
    text: int
    together: int
    workers: int = 1
    processes: int = 0

    @property
    def pairs(self) -> int:
        return self.heads * self.neurons

    @property
    def cells(self) -> int:
        return (self.side // CELL) ** 2


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak."""

    memory: int
    scratch: int
    store: int

    def sentence(self) -> str:
        return (
            f"about {_gigabytes(self.memory)} of memory, {_gigabytes(self.scratch)} of scratch, "
            f"{_gigabytes(self.store)} of store"
        )


def model_shapes(model: ClipResNet) -> dict[str, int]:
    """Those of the shapes that the model decides."""
    factors = model.factors
    return {
        "heads": factors.n_heads,
        "neurons": factors.n_neurons,
        "d_head": factors.d_head,
        "d_out": factors.d_out,
        "side": model.image_size,
        "stem": model.model.visual.layer1[0].conv1.in_channels,
        "text": model.model.transformer.width,
        "together": images_in_pass(model),
        "weights": sum(array.nbytes for array in model.model.state_dict().values()),
    }


def images_in_pass(model: ClipResNet) -> int:
    """The most images that go through the backbone together."""
    return PASS_IMAGES if model.device.type == "cpu" else LARGEST_BLOCK


def images_at_once(model: ClipResNet) -> int:
    """Images per block: as many as are fast and memory allows, a power of two up to 32."""
    told = model_shapes(model)
    size = LARGEST_BLOCK
    while (
        size > 1
        and forward_bytes(told["side"], told["stem"], min(size, told["together"])) > BLOCK_BYTES
    ):
        size //= 2
    return size


def forward_bytes(side: int, stem: int, images: int) -> int:
    """Peak of the activations while so many images go through the backbone together."""
    return ACTIVATIONS_ALIVE * images * (side // 2) ** 2 * stem * FLOAT


def estimate(shapes: Shapes) -> Estimate:
    """Bytes at the peak of a job of these shapes."""
    return Estimate(
        memory=_memory(shapes),
        scratch=_scratch(shapes),
        store=sum(store_parts(shapes).values()),
    )


def state_bytes(shapes: Shapes) -> int:
    """Running statistics: moments, covariances, histograms, the images at either end."""
    per_pair = DOUBLE + shapes.heads * DOUBLE + shapes.bins * FLOAT
    return shapes.pairs * (per_pair + 2 * RANKS * LONG)


def edges_bytes(shapes: Shapes) -> int:
    """The histograms' edges."""
    return shapes.pairs * (shapes.bins + 1) * FLOAT


def store_parts(shapes: Shapes) -> dict[str, int]:
    """Bytes of a finished store by what they hold."""
    s = shapes
    places = TOP_SHOWN + BOTTOM_SHOWN
    steps = s.atoms.bit_length() + 1
    statistics = 5 * FLOAT + 1 + 2 * RANKS * 2 * FLOAT + s.heads * FLOAT
    statistics += (2 * s.bins + 1) * FLOAT
    code = s.atoms * (np.dtype(word_dtype(s.words)).itemsize + FLOAT) + steps * FLOAT
    unit = (COMPONENTS + s.d_out + 4 + 4 * RANKS) * FLOAT + code
    parts = {
        "factors": FLOAT * s.pairs * s.d_head + FLOAT * s.neurons * s.d_out,
        "statistics": s.pairs * statistics,
        "explanations": s.pairs * (code + FLOAT),
        "vocabulary": s.words * (s.d_out * FLOAT + 10),
        "nulls": 2 * NULL_SAMPLES * steps * FLOAT,
        "neurons": s.neurons * (unit + COMPONENTS * s.heads * FLOAT),
        "heads": s.heads * (unit + COMPONENTS * s.d_head * FLOAT),
        "neighbours": s.pairs * 2 * NEIGHBOURS * (FLOAT + HALF),
        "index": s.pairs * min(s.atoms, INDEX_ATOMS) * 2 * FLOAT + s.words * LONG,
        "map": s.pairs * (2 * FLOAT + HALF),
    }
    if s.exemplars:
        parts["maps"] = s.pairs * places * s.cells * HALF
        parts["thumbnails"] = min(s.images, s.pairs * places) * THUMBNAIL_BYTES
    return parts


def _scratch(s: Shapes) -> int:
    rows = s.images * (s.d_out * FLOAT + 1)
    calibration = min(s.images, CALIBRATION_IMAGES) * (s.pairs + s.d_out) * FLOAT
    collected = rows + calibration + edges_bytes(s) + state_bytes(s)
    explanations = s.pairs * (2 * s.atoms + s.atoms.bit_length() + 1) * FLOAT
    words = s.words * s.d_out * FLOAT
    thumbnails = store_parts(s).get("thumbnails", 0)
    # A state is written beside the one before, which is then dropped.
    return max(words, collected + max(state_bytes(s), explanations, thumbnails))


def _memory(s: Shapes) -> int:
    own = PROCESS_BYTES + LOADING_BYTES + s.weights
    parts = memory_parts(s)
    elsewhere = s.processes * (own + state_bytes(s) + parts["worker"])
    return own + elsewhere + max(parts.values())


def memory_parts(s: Shapes) -> dict[str, int]:
    """Bytes at the peak of what takes most, beside the process with its model."""
    state = state_bytes(s) + edges_bytes(s)
    coefficients, features = s.pairs * FLOAT, s.neurons * s.cells * FLOAT
    kept = min(FEATURE_CACHE_BYTES, s.images * (features // 2 + s.heads * s.cells * FLOAT))
    held = state + kept
    block = min(s.images, s.block)
    forward = forward_bytes(s.side, s.stem, min(block, s.together))
    # The feature maps of a block, and twice as its tokens.
    pass_bytes = forward + block * (3 * features + 2 * coefficients)
    pixels = BLOCKS_HELD * block * 3 * s.side**2 * FLOAT
    # Coefficients that wait for being added to the statistics, and all of them put together.
    waiting = 2 * min(s.images, ADDED_AT_ONCE + s.block) * coefficients
    # Blocks from which the edges were found, and are then added.
    first = min(s.images, EDGE_IMAGES + s.block) * (coefficients + features)
    worker = state + pass_bytes + pixels + max(waiting, first)
    calibration = min(s.images, CALIBRATION_IMAGES)
    pursuit = SIGNALS_AT_ONCE * (2 * s.words + (s.atoms + 8) * s.d_out) * FLOAT
    # Cosines of a block with all pairs, lists of who has which image, and flags of common images.
    flags = min(s.images, MOST_COMMON) * FLOAT
    fitted = min(s.images * s.cells, FITTED_CELLS) * s.neurons * FLOAT
    maps = store_parts(s).get("maps", 0)
    places = s.pairs * (TOP_SHOWN + BOTTOM_SHOWN) * LONG
    return {
        "load": s.weights,
        "texts": TEXT_ARRAYS_ALIVE * TOKENS_AT_ONCE * s.text * FLOAT,
        "worker": worker,
        "collect": held + max(2 * state, first) + s.workers * worker,
        "summarise": held + 3 * state,
        "explain": (held + 3 * s.words * s.d_out * FLOAT + 3 * s.pairs * s.atoms * FLOAT + pursuit),
        "units": held + 6 * UNITS_AT_ONCE * calibration * s.heads * DOUBLE,
        "neighbours": held + s.pairs * (2 * PAIRS_AT_ONCE * FLOAT + 3 * RANKS * LONG + flags),
        "familiarity": held + 2 * fitted + SCATTERS_ALIVE * s.neurons**2 * DOUBLE,
        "exemplars": held + 5 * places + maps + store_parts(s)["statistics"] + pass_bytes,
    }


def _gigabytes(size: int) -> str:
    return f"{max(size / 1e9, 0.1):.1f} GB"
