"""Size of a large model's store and scratch, and the time to open it, without its long work.

A small model goes through the real job, every stage of it; then the shapes of all arrays that it
left are taken with the large model's sizes in place of the small one's, and a store of these
shapes is written and opened.  What the format gains later is so measured without changes here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.clip import ClipResNet
from backend.progress import Advance, Progress
from backend.store import Manifest, StoreWriter, open_store
from backend.store.format import MAPS, THUMBNAILS, VOCABULARY
from backend.store.integrity import array_shapes
from backend.store.writer import SCRATCH
from precompute.bench.clock import in_turns
from precompute.bench.images import Pictures
from precompute.bench.models import SMALL, random_model, vision_config
from precompute.bench.rows import Row, own_row
from precompute.job import ATOMS, Job, Parameters, run
from precompute.stages.collect import STATE
from precompute.stages.plan import CALIBRATION_IMAGES

SIZE_REACH = 450e6
OPEN_REACH = 0.5
SCRATCH_REACH = 1e9

SMALL_WORDS, SMALL_IMAGES = 103, 37
"""Primes, so that a shape tells which of its numbers are words or images."""

WORDS, IMAGES = 30_000, 50_000
"""Of the store that is reckoned: the usual vocabulary, ImageNet's validation set."""

Shapes = dict[str, dict[str, tuple[str, list[int]]]]
"""File -> array -> type and shape."""


@dataclass(frozen=True)
class Sizes:
    """The numbers that differ between models and data sets; ``side`` of the grid of tokens."""

    side: int
    heads: int
    neurons: int
    d_out: int
    words: int
    images: int

    @property
    def pairs(self) -> int:
        return self.heads * self.neurons

    @property
    def calibration(self) -> int:
        return min(self.images, CALIBRATION_IMAGES)


def sizes_of(model: str, *, words: int, images: int) -> Sizes:
    d_out, vision = vision_config(model)
    neurons = vision["width"] * 32
    heads = neurons // vision.get("head_width", 64)
    return Sizes(vision["image_size"] // 32, heads, neurons, d_out, words, images)


class Scaling:
    """Puts the large sizes in place of the small ones."""

    def __init__(self, small: Sizes, large: Sizes) -> None:
        names = ("side", "heads", "neurons", "d_out", "words", "images", "pairs")
        self._exact = {getattr(small, name): getattr(large, name) for name in names}
        self._pairs = (small.pairs, large.pairs)
        self._offsets = {small.words + 1: large.words + 1, small.images + 1: large.images + 1}
        self._calibration = {
            small.calibration * small.pairs: large.calibration * large.pairs,
            small.calibration * small.d_out: large.calibration * large.d_out,
        }
        self._images = {
            small.images * small.d_out: large.images * large.d_out,
            small.images: large.images,
        }

    def shape(self, shape: list[int]) -> list[int]:
        """A number that is none of the small sizes stays as it is; flat arrays may hold several
        entries for each pair, or the offsets of a list for each word or image."""
        if len(shape) == 1:
            (length,) = shape
            entries, rest = divmod(length, self._pairs[0])
            if rest == 0 and entries:
                return [entries * self._pairs[1]]
            if length in self._offsets:
                return [self._offsets[length]]
        return [self._exact.get(value, value) for value in shape]

    def raw_bytes(self, file: Path) -> int:
        """Bytes of a file of plain rows; its ending tells the width of a number."""
        width = {".f32": 4, ".u8": 1}.get(file.suffix, 1)
        size = file.stat().st_size
        rows = self._calibration if file.stem.startswith("calibration") else self._images
        return width * rows.get(size // width, size // width)


def storage_rows(model: str, device: torch.device, *, rounds: int) -> list[Row]:
    """Size on disk, opening time and scratch of a store without exemplars."""
    small = sizes_of(SMALL, words=SMALL_WORDS, images=SMALL_IMAGES)
    large = small if model == SMALL else sizes_of(model, words=WORDS, images=IMAGES)
    scaling = Scaling(small, large)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, scratch = _small_store(folder / SMALL, device, scaling)
        shapes = _scaled(manifest, scaling)
        store = _write(folder / "large", shapes, large, manifest)
        size = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
        times = in_turns(
            {"open": lambda: open_store(store)}, rounds=rounds, device=device, warm=True
        )
    pairs = f"{model}: {large.pairs:,} pairs, {large.words:,} words, {large.images:,} images"
    dense = 4 * large.pairs * large.d_out
    return [
        own_row(
            f"store on disk, {pairs}",
            "bytes",
            size,
            beside="dense float32 directions alone",
            theirs=dense,
            meaning="bytes",
            reach=SIZE_REACH,
            how="without exemplars; written by the store's own writer, shapes from a whole small "
            "job; the official pipeline writes 450 GB",
        ),
        own_row(
            f"opening that store, {model}",
            "s",
            times.median("open"),
            meaning="seconds",
            reach=OPEN_REACH,
            how=f"{rounds} rounds, files in the page cache",
        ),
        own_row(
            f"scratch at its largest, {pairs}",
            "bytes",
            scratch,
            beside="the official pipeline's intermediates",
            meaning="bytes",
            reach=SCRATCH_REACH,
            how="files of the small job's scratch folder after every block, scaled; with the "
            "second copy of the running state while that is replaced; deleted with the job",
        ),
    ]


def _small_store(out: Path, device: torch.device, scaling: Scaling) -> tuple[Manifest, int]:
    """A whole job of the small model, and the largest scratch, scaled."""
    model: ClipResNet = random_model(SMALL, device)
    watch = _ScratchWatch(out / SCRATCH, scaling)
    job = Job(
        model=model,
        images=Pictures(SMALL_IMAGES, size=model.image_size),
        vocabulary=[f"word {number}" for number in range(SMALL_WORDS)],
        templates=["{}"],
        out=out,
        exemplars=False,
        parameters=Parameters(atoms=ATOMS),
    )
    manifest = run(job, watch)
    return manifest, watch.most


class _ScratchWatch(Progress):
    """Looks at the scratch folder whenever a stage reports progress."""

    def __init__(self, folder: Path, scaling: Scaling) -> None:
        super().__init__(quiet=True)
        self._folder, self._scaling = folder, scaling
        self.most = 0

    @contextmanager
    def stage(self, name: str, total: int, *, done: int = 0) -> Iterator[Advance]:
        def advance(_: int) -> None:
            self._look()

        self._look()
        yield advance
        self._look()

    def _look(self) -> None:
        files = [file for file in self._folder.rglob("*") if file.is_file()]
        sizes = {file: self._scaled(file) for file in files}
        state = sum(size for file, size in sizes.items() if file.name == STATE)
        self.most = max(self.most, sum(sizes.values()) + state)

    def _scaled(self, file: Path) -> int:
        arrays = array_shapes(file) if file.suffix == ".safetensors" else None
        if arrays is None:
            return self._scaling.raw_bytes(file)
        return sum(
            np.dtype(kind).itemsize * prod(self._scaling.shape(shape))
            for kind, shape in arrays.values()
        )


def _scaled(manifest: Manifest, scaling: Scaling) -> Shapes:
    return {
        file: {name: (kind, scaling.shape(shape)) for name, (kind, shape) in record.arrays.items()}
        for file, record in manifest.files.items()
        if record.arrays and file not in (THUMBNAILS, MAPS)
    }


def _write(path: Path, shapes: Shapes, sizes: Sizes, like: Manifest) -> Path:
    """A store of these shapes, filled with seeded noise; its numbers mean nothing."""
    random = np.random.default_rng(0)
    writer = StoreWriter(path)
    for file, arrays in shapes.items():
        writer.arrays(
            file, {name: _noise(random, kind, shape) for name, (kind, shape) in arrays.items()}
        )
    writer.text(VOCABULARY, [f"word {number}" for number in range(sizes.words)])
    told: dict[str, Any] = dict(vars(like))
    for name in ("files", "format_version"):
        del told[name]
    writer.finish(**told)
    return path


def _noise(random: np.random.Generator, kind: str, shape: list[int]) -> np.ndarray:
    size = np.dtype(kind).itemsize * prod(shape)
    return np.frombuffer(random.bytes(size), dtype=kind).reshape(shape)
