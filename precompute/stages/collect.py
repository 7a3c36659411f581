"""One pass over the images: statistics of every pair, embeddings, feature maps to reuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip import ClipResNet, Decomposition
from backend.pairs.statistics import PairStatistics, histogram_edges
from precompute.datasets import ImageSet
from precompute.errors import InputError

CALIBRATION_IMAGES = 128
"""Images whose coefficients fix the histogram's edges; held in memory until then."""

FEATURE_CACHE_BYTES = 1 << 30
"""Feature maps kept in half precision for the exemplar stage; beyond it they are computed again."""


@dataclass
class FeatureCache:
    """Feature maps and attention by image number, within a bound of bytes."""

    limit: int = FEATURE_CACHE_BYTES
    held: int = 0
    maps: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def keep(self, numbers: list[int], found: Decomposition) -> None:
        maps, attention = found.feature_map.half().cpu(), found.attention.cpu()
        size = (maps.nbytes + attention.nbytes) // max(len(numbers), 1)
        for place, number in enumerate(numbers):
            if self.held + size > self.limit:
                return
            self.maps[number] = (maps[place].clone(), attention[place].clone())
            self.held += size


@dataclass(frozen=True)
class Collected:
    """What one pass leaves.

    Attributes:
        statistics: finished stream over the readable images, on the model's device.
        embeddings: un-normalised, a row for every number of the set.
        readable: whether the row was filled.
        unreadable: paths relative to the set.
    """

    statistics: PairStatistics
    embeddings: Float[Tensor, "image d_out"]
    readable: Tensor
    unreadable: list[str]
    features: FeatureCache


def collect(
    model: ClipResNet,
    images: ImageSet,
    *,
    block: int,
    bins: int,
    advance: Callable[[int], None],
) -> Collected:
    """Streams all images through the model once.

    Raises:
        InputError: no image could be read.
    """
    embeddings = torch.zeros(len(images), model.factors.d_out)
    readable = torch.zeros(len(images), dtype=torch.bool)
    unreadable: list[str] = []
    features = FeatureCache()

    def decomposed() -> Iterator[tuple[list[int], Tensor]]:
        for part in images.blocks(model.preprocess, size=block):
            unreadable.extend(part.unreadable)
            if part.numbers:
                found = model.decompose(part.pixels)
                embeddings[part.numbers] = found.embedding.cpu()
                readable[part.numbers] = True
                features.keep(part.numbers, found)
                yield part.numbers, found.coefficients
            advance(len(part.numbers) + len(part.unreadable))

    statistics = _stream(decomposed(), bins=bins)
    if statistics is None:
        raise InputError(f"none of the {len(images)} images could be read")
    return Collected(statistics, embeddings, readable, unreadable, features)


def _stream(
    coefficients: Iterator[tuple[list[int], Tensor]], *, bins: int
) -> PairStatistics | None:
    """Statistics of a stream of blocks; the first wait until the histogram's edges are fixed."""
    waiting: list[tuple[list[int], Tensor]] = []
    statistics: PairStatistics | None = None

    def start() -> PairStatistics:
        first = torch.cat([values for _, values in waiting])[:CALIBRATION_IMAGES]
        begun = PairStatistics.empty(histogram_edges(first, bins=bins))
        for numbers, values in waiting:
            begun.update(values, torch.tensor(numbers, device=values.device))
        waiting.clear()
        return begun

    for numbers, values in coefficients:
        if statistics is not None:
            statistics.update(values, torch.tensor(numbers, device=values.device))
            continue
        waiting.append((numbers, values))
        if sum(len(held) for held, _ in waiting) >= CALIBRATION_IMAGES:
            statistics = start()
    return start() if statistics is None and waiting else statistics


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
