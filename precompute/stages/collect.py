"""One pass over the images: statistics of every pair, embeddings, feature maps to reuse."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from backend.clip import ClipResNet
from backend.pairs.statistics import PairStatistics, spread
from backend.store import StoreError
from backend.store.durable import array_chunks, sync_folder, write_durably
from precompute.datasets import ImageSet
from precompute.errors import InputError
from precompute.stages.plan import Plan
from precompute.stages.segments import Block, FeatureCache, Segment, first_blocks, grid_side

SHARE_OF_SAVING = 0.05
"""Of the time: the running state (190 MB for RN50x16) is written no more often than that."""


class Calibration(NamedTuple):
    """Evenly spread readable images: numbers, coefficients, and un-normalised embeddings.

    Memory-mapped, float32; deleted with the scratch folder.
    """

    numbers: list[int]
    coefficients: Float[np.ndarray, "image head neuron"]
    embeddings: Float[Tensor, "image d_out"]


@dataclass(frozen=True)
class Collected:
    """What one pass leaves.

    Attributes:
        statistics: finished stream over the readable images, on the model's device.
        unit_embeddings: memory-mapped; a row for every number of the set, zero for unreadable ones.
        readable: whether the row was filled.
        unreadable: paths relative to the set.
        token_norm: mean over images of each spatial token's feature norm.
        token_attention: mean over images of each head's attention to each spatial token.
        features: feature maps that happen to be kept still.
    """

    statistics: PairStatistics
    unit_embeddings: Float[Tensor, "image d_out"]
    readable: Bool[Tensor, " image"]
    unreadable: list[str]
    calibration: Calibration
    token_norm: Float[Tensor, "row column"]
    token_attention: Float[Tensor, "head row column"]
    plan: Plan
    features: FeatureCache = field(default_factory=FeatureCache)

    @cached_property
    def spread(self) -> float:
        """Of the readable images' unit embeddings: what the likeness of top images is held to."""
        return spread(self.unit_embeddings, readable=self.statistics.count)


@dataclass(frozen=True)
class Task:
    """What engines need to know to compute segments."""

    model: ClipResNet
    images: ImageSet
    plan: Plan
    edges: Float[Tensor, "head neuron edge"]


@runtime_checkable
class Engine(Protocol):
    """Computes segments, here or elsewhere.

    Attributes:
        workers: how many segments are computed side by side.
        processes: how many of the workers have a memory of their own.
    """

    workers: int
    processes: int

    def segments(
        self, task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
    ) -> Iterator[Segment]:
        """The wanted segments, in order.

        Args:
            known: blocks by first image number that need not be computed again.
            watch: told of every block that passes, with its features where these are at hand.
        """
        ...


def collect(
    model: ClipResNet,
    images: ImageSet,
    plan: Plan,
    *,
    engine: Engine,
    folder: Path,
    advance: Callable[[int], None],
) -> Collected:
    """Streams all images through the model once, or goes on where an earlier run was killed.

    Args:
        folder: where the running state is kept.

    Raises:
        InputError: no image could be read.
        StoreError: the disk refuses.
    """
    running = Running(model, plan, folder)
    features = FeatureCache()
    known: dict[int, Block] = {}
    if running.edges is None:
        edges, known = first_blocks(model, images, plan)
        running.begin(edges)
    assert running.edges is not None
    advance(min(running.done * plan.segment, plan.images))

    def watch(block: Block) -> None:
        if block.found is not None:
            features.keep(block.numbers, block.found)
        advance(block.told)

    task = Task(model, images, plan, running.edges)
    wanted = range(running.done, plan.segments)
    for segment in engine.segments(task, wanted, known, watch):
        running.add(segment)
    return running.collected(images, features)


class Running:
    """The running state of a pass, durable: segments that were added stay added.

    Rows of images are written in place before the state that counts their segment, so that a kill
    between the two leaves rows that will be written again, with the same bytes.
    """

    def __init__(self, model: ClipResNet, plan: Plan, folder: Path) -> None:
        factors = model.factors
        self._plan, self._folder = plan, folder
        self._device = model.device
        self._pace = _Pace()
        self.done = 0
        self.edges: Tensor | None = None
        self._statistics: PairStatistics | None = None
        self._calibration: list[int] = []
        side = grid_side(model)
        self._tokens = {
            "token_norm": torch.zeros(side, side, dtype=torch.float64),
            "token_attention": torch.zeros(factors.n_heads, side, side, dtype=torch.float64),
        }
        self._rows = {
            "unit_embeddings": _Rows(
                folder / "embeddings.f32", plan.images, (factors.d_out,), "<f4"
            ),
            "readable": _Rows(folder / "readable.u8", plan.images, (), "u1"),
            "calibration": _Rows(
                folder / "calibration.f32",
                len(plan.calibration),
                (factors.n_heads, factors.n_neurons),
                "<f4",
            ),
            "calibration_embeddings": _Rows(
                folder / "calibration_embeddings.f32",
                len(plan.calibration),
                (factors.d_out,),
                "<f4",
            ),
        }
        if (folder / STATE).exists():
            self._restore()

    def begin(self, edges: Float[Tensor, "head neuron edge"]) -> None:
        """Starts from nothing; the edges are fixed from now on."""
        self.edges = edges
        self._statistics = PairStatistics.empty(edges)
        self._folder.mkdir(parents=True, exist_ok=True)
        for rows in self._rows.values():
            rows.reserve()
        # By itself, so that it is not written again with every state.
        write_durably(self._folder / EDGES, array_chunks({"edges": edges.cpu().numpy()}))

    def add(self, segment: Segment) -> None:
        """Folds the next segment in."""
        assert self._statistics is not None
        self._statistics.merge(segment.statistics.to(self._device))
        self._tokens["token_norm"] += segment.token_norm
        self._tokens["token_attention"] += segment.token_attention
        unit = F.normalize(segment.embeddings, dim=1)
        self._rows["unit_embeddings"].write(segment.numbers, unit.numpy())
        self._rows["readable"].write(segment.numbers, np.ones(len(segment.numbers), np.uint8))
        first = len(self._calibration)
        places = range(first, first + len(segment.calibration_numbers))
        self._rows["calibration"].write(places, segment.calibration.numpy())
        chosen = np.isin(segment.numbers, segment.calibration_numbers)
        self._rows["calibration_embeddings"].write(places, segment.embeddings.numpy()[chosen])
        self._calibration += segment.calibration_numbers
        self.done += 1
        if self.done == self._plan.segments or self._pace.allows():
            self._save()

    def collected(self, images: ImageSet, features: FeatureCache) -> Collected:
        """What the whole pass has left.

        Raises:
            InputError: not one image was readable.
        """
        assert self._statistics is not None
        count = self._statistics.count
        if not count:
            raise InputError(f"none of the {len(images)} images could be read")
        readable = torch.from_numpy(self._rows["readable"].map().astype(bool))
        missing = (~readable).nonzero().flatten().tolist()
        kept = slice(len(self._calibration))
        return Collected(
            statistics=self._statistics,
            unit_embeddings=torch.from_numpy(self._rows["unit_embeddings"].map()),
            readable=readable,
            unreadable=[images.relative_name(number) for number in missing],
            calibration=Calibration(
                self._calibration,
                self._rows["calibration"].map()[kept],
                torch.from_numpy(self._rows["calibration_embeddings"].map()[kept]),
            ),
            token_norm=self._tokens["token_norm"] / count,
            token_attention=self._tokens["token_attention"] / count,
            plan=self._plan,
            features=features,
        )

    def _save(self) -> None:
        assert self._statistics is not None
        begun = time.monotonic()
        for rows in self._rows.values():
            rows.sync()
        arrays = {**self._statistics.arrays(), **self._tokens}
        told = {name: array.cpu().numpy() for name, array in arrays.items()}
        told["calibration"] = np.asarray(self._calibration, dtype=np.int64)
        told["progress"] = np.asarray([self.done, self._statistics.count], dtype=np.int64)
        write_durably(self._folder / STATE, array_chunks(told))
        self._pace.took(time.monotonic() - begun)

    def _restore(self) -> None:
        told = _load(self._folder / STATE)
        self.done, count = (int(number) for number in told.pop("progress"))
        self._calibration = told.pop("calibration").tolist()
        tensors = {name: torch.from_numpy(array) for name, array in told.items()}
        self._tokens = {name: tensors.pop(name) for name in self._tokens}
        self.edges = torch.from_numpy(_load(self._folder / EDGES)["edges"]).to(self._device)
        moved = {name: array.to(self._device) for name, array in tensors.items()}
        self._statistics = PairStatistics.from_arrays(moved, count=count, edges=self.edges)


STATE = "state.safetensors"
EDGES = "edges.safetensors"


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        found: dict[str, np.ndarray] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} is damaged; remove the folder and start again") from error
    return found


class _Pace:
    """Lets the state be saved as often as that costs little."""

    def __init__(self) -> None:
        self._next = 0.0

    def allows(self) -> bool:
        return time.monotonic() >= self._next

    def took(self, seconds: float) -> None:
        self._next = time.monotonic() + seconds / SHARE_OF_SAVING


class _Rows:
    """A file of one row of numbers per image."""

    def __init__(self, path: Path, count: int, shape: tuple[int, ...], kind: str) -> None:
        self._path, self._shape, self._kind = path, (count, *shape), np.dtype(kind)
        self._row = self._kind.itemsize * math.prod(shape)

    def reserve(self) -> None:
        """Makes the file, all zero, and claims its place: a full disk is noticed here."""
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._row * self._shape[0])
                os.fsync(file.fileno())
            sync_folder(self._path.parent)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error

    def write(self, places: Sequence[int], rows: np.ndarray) -> None:
        """Writes rows at their places; they last once :meth:`sync` was called."""
        solid = np.ascontiguousarray(rows, dtype=self._kind)
        try:
            with self._path.open("r+b") as file:
                for start, end in _runs(places):
                    file.seek(places[start] * self._row)
                    file.write(solid[start:end].data)
        except OSError as error:
            raise StoreError(f"{self._path} cannot be written: {error.strerror}") from error

    def sync(self) -> None:
        with self._path.open("r+b") as file:
            os.fsync(file.fileno())

    def map(self) -> np.ndarray:
        """All rows, read when they are looked at; changes stay in memory."""
        return np.memmap(self._path, dtype=self._kind, mode="c", shape=self._shape)


def _runs(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where consecutive places begin and end in the list."""
    start = 0
    for end in range(1, len(places) + 1):
        if end == len(places) or places[end] != places[end - 1] + 1:
            yield start, end
            start = end


def statistics_arrays(collected: Collected) -> dict[str, np.ndarray]:
    """The raw moments of the stream by their names in the store."""
    stream = collected.statistics
    degrees = max(stream.count - 1, 1)
    return {
        "count": np.asarray(stream.count, dtype=np.int64),
        "mean": stream.mean.float().cpu().numpy(),
        "m2": stream.m2.float().cpu().numpy(),
        "neuron_covariance": (stream.comoment / degrees).float().cpu().numpy(),
        "histogram": stream.histogram.to(torch.int32).cpu().numpy(),
        "edges": stream.edges.float().cpu().numpy(),
    }
