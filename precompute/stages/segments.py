"""What a segment of images is worth: the unit of work that engines hand out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip import ClipResNet, Decomposition
from backend.pairs.statistics import PairStatistics, histogram_edges
from precompute.datasets import ImageBlock, ImageSet
from precompute.errors import InputError
from precompute.stages.plan import Plan

EDGE_IMAGES = 128
"""First readable images, whose coefficients fix the histograms' edges."""

ADDED_AT_ONCE = 128
"""Images whose coefficients wait until they are added to the statistics together, which takes half
the time of adding them block by block: 75 MB for RN50x16."""

FEATURE_CACHE_BYTES = 1 << 29
"""Feature maps kept for the exemplar stage; beyond it they are computed again."""


@dataclass
class FeatureCache:
    """Feature maps (half precision) and attention by image number, within a bound of bytes."""

    limit: int = FEATURE_CACHE_BYTES
    held: int = 0
    maps: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def keep(self, numbers: list[int], found: Decomposition) -> None:
        """Keeps the first images for which there is still room."""
        for place, number in enumerate(numbers):
            size = found.feature_map[place].nbytes // 2 + found.attention[place].nbytes
            if self.held + size > self.limit:
                return
            self.maps[number] = rounded_features(found, place)
            self.held += size


def rounded_features(
    found: Decomposition, place: int
) -> tuple[Float[Tensor, "neuron row column"], Float[Tensor, "head token"]]:
    """An image's features and attention as heatmaps are made of them, kept or computed again."""
    return found.feature_map[place].half().cpu(), found.attention[place].to("cpu", copy=True)


@dataclass(frozen=True)
class Block:
    """The readable images of one block, decomposed; no ``found`` if there are none."""

    numbers: list[int]
    told: int
    found: Decomposition | None


@dataclass(frozen=True)
class Segment:
    """What one segment adds to the running state.

    Attributes:
        numbers: of the readable images.
        told: images that were looked at, readable or not.
        embeddings: of these, un-normalised.
        calibration: coefficients of those that are calibration images, with their numbers.
        token_norm: sum over images of each spatial token's feature norm.
        token_attention: sum over images of each head's attention to each spatial token.
    """

    statistics: PairStatistics
    numbers: list[int]
    told: int
    embeddings: Float[Tensor, "image d_out"]
    calibration_numbers: list[int]
    calibration: Float[Tensor, "calibration head neuron"]
    token_norm: Float[Tensor, "row column"]
    token_attention: Float[Tensor, "head row column"]


def decomposed(model: ClipResNet, images: ImageSet, parts: Iterable[range]) -> Iterator[Block]:
    """Each block's images taken apart; the following ones are decoded meanwhile."""
    for block in images.decoded(model.preprocess, parts):
        yield _decompose(model, block)


def _decompose(model: ClipResNet, block: ImageBlock) -> Block:
    told = len(block.numbers) + len(block.unreadable)
    found = model.decompose(block.pixels) if block.numbers else None
    return Block(block.numbers, told, found)


def first_blocks(
    model: ClipResNet, images: ImageSet, plan: Plan
) -> tuple[Float[Tensor, "head neuron edge"], dict[int, Block]]:
    """Edges of the histograms, and the blocks that were decomposed to find them, by first number.

    Raises:
        InputError: no image can be read.
    """
    parts = [part for number in range(plan.segments) for part in plan.blocks(number)]
    known: dict[int, Block] = {}
    waiting: list[Tensor] = []
    blocks = decomposed(model, images, parts)
    for part, block in zip(parts, blocks, strict=False):
        if block.found is not None:
            waiting.append(block.found.coefficients)
        known[part.start] = block
        if sum(len(values) for values in waiting) >= EDGE_IMAGES:
            break
    if not waiting:
        raise InputError(f"none of the {len(images)} images could be read")
    return histogram_edges(torch.cat(waiting)[:EDGE_IMAGES], bins=plan.bins), known


def compute_segment(
    model: ClipResNet,
    blocks: Iterable[Block],
    plan: Plan,
    edges: Float[Tensor, "head neuron edge"],
    watch: Callable[[Block], None] = lambda block: None,
) -> Segment:
    """Adds up the blocks of one segment; ``watch`` sees each of them."""
    statistics = PairStatistics.empty(edges)
    waiting = _Waiting(statistics)
    heads = model.factors.n_heads
    numbers: list[int] = []
    chosen: list[int] = []
    told = 0
    embeddings = [torch.empty(0, model.factors.d_out)]
    kept = [torch.empty(0, heads, model.factors.n_neurons)]
    grid = grid_side(model)
    norm = torch.zeros(grid, grid, dtype=torch.float64, device=edges.device)
    attention = torch.zeros(heads, grid, grid, dtype=torch.float64, device=edges.device)
    for block in blocks:
        watch(block)
        told += block.told
        found = block.found
        if found is None:
            continue
        waiting.add(found.coefficients, block.numbers)
        numbers += block.numbers
        embeddings.append(found.embedding.cpu())
        places = [i for i, number in enumerate(block.numbers) if number in plan.calibration]
        chosen += [block.numbers[place] for place in places]
        kept.append(found.coefficients[places].cpu())
        norm += found.feature_map.norm(dim=1).double().sum(dim=0)
        attention += found.attention[..., 1:].double().sum(dim=0).reshape(heads, grid, grid)
    waiting.flush()
    return Segment(
        statistics=statistics,
        numbers=numbers,
        told=told,
        embeddings=torch.cat(embeddings),
        calibration_numbers=chosen,
        calibration=torch.cat(kept),
        token_norm=norm.cpu(),
        token_attention=attention.cpu(),
    )


class _Waiting:
    """Coefficients that are not in the statistics yet."""

    def __init__(self, statistics: PairStatistics) -> None:
        self._statistics = statistics
        self._coefficients: list[Tensor] = []
        self._numbers: list[int] = []

    def add(self, coefficients: Float[Tensor, "image head neuron"], numbers: list[int]) -> None:
        self._coefficients.append(coefficients)
        self._numbers += numbers
        if len(self._numbers) >= ADDED_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Adds what waits."""
        if self._numbers:
            together = torch.cat(self._coefficients)
            self._statistics.update(together, torch.tensor(self._numbers, device=together.device))
        self._coefficients, self._numbers = [], []


CELL = 32
"""Pixels of an image's side that become one cell of the feature map."""


def grid_side(model: ClipResNet) -> int:
    """Cells along either side of the feature map of a native input."""
    return model.image_size // CELL
