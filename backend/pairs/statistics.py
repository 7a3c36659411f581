"""Streaming statistics of every pair's coefficient, and the orientation they imply.

One pass over the images keeps, per pair, count, mean, squared deviations, a histogram with edges
fixed beforehand, the covariance between the heads of a neuron, and the ``rank`` highest and lowest
coefficients with their image numbers.  Blocks of images may be merged in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

RANKS = 50
"""Images kept at either end; also the number of most deviating images behind sign and norm."""

NO_IMAGE = -1
"""Image number of an empty rank; its value is NaN."""

_ALL_BUT_SIGN = 0x7FFFFFFF
_EMPTY = torch.iinfo(torch.int64).min
"""Below the key of every value, negative infinity included."""


GATHERED = ("mean", "comoment", "histogram", "high_keys", "low_keys")
"""The arrays that a stream adds to."""


@dataclass
class PairStatistics:
    """State of the stream. All moments are of the raw (not oriented) coefficient, in float64.

    Attributes:
        count: number of images seen.
        mean: ``[head, neuron]``.
        comoment: ``[neuron, head, head]``, sum of products of deviations of a neuron's heads.
        edges: histogram edges, ``[head, neuron, bin + 1]``, ascending.
        histogram: images per bin, ``[head, neuron, bin]``; the outermost bins hold the rest.
        high_keys, low_keys: the largest and the smallest coefficients with their images, each as
            one integer that orders by value, then by lower image number, largest first.
    """

    count: int
    mean: Float[Tensor, "head neuron"]
    comoment: Float[Tensor, "neuron head head"]
    edges: Float[Tensor, "head neuron edge"]
    histogram: Int[Tensor, "head neuron bin"]
    high_keys: Int[Tensor, "head neuron rank"]
    low_keys: Int[Tensor, "head neuron rank"]

    @classmethod
    def empty(cls, edges: Float[Tensor, "head neuron edge"]) -> PairStatistics:
        """A stream that has seen nothing; ``edges`` as made by :func:`histogram_edges`."""
        heads, neurons, n_edges = edges.shape
        device = edges.device
        keys = torch.full((heads, neurons, RANKS), _EMPTY, dtype=torch.int64, device=device)
        return cls(
            count=0,
            mean=torch.zeros(heads, neurons, dtype=torch.float64, device=device),
            comoment=torch.zeros(neurons, heads, heads, dtype=torch.float64, device=device),
            edges=edges,
            histogram=torch.zeros(heads, neurons, n_edges - 1, dtype=torch.int64, device=device),
            high_keys=keys,
            low_keys=keys.clone(),
        )

    @property
    def high(self) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
        """Values and images of the largest coefficients, largest first."""
        return _decode(self.high_keys)

    @property
    def low(self) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
        """Values and images of the smallest coefficients, smallest first."""
        values, images = _decode(self.low_keys)
        return -values, images

    @property
    def m2(self) -> Float[Tensor, "head neuron"]:
        """Sum of squared deviations of every pair's coefficient."""
        return self.comoment.diagonal(dim1=1, dim2=2).T

    def to(self, device: torch.device | str) -> PairStatistics:
        """The same on another device; one that moments are merged on must always be the same."""
        moved = {name: array.to(device) for name, array in self.arrays().items()}
        return PairStatistics.from_arrays(moved, count=self.count, edges=self.edges.to(device))

    def arrays(self) -> dict[str, Tensor]:
        """What the stream has gathered, without its count and its edges."""
        return {name: getattr(self, name) for name in GATHERED}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, Tensor], *, count: int, edges: Float[Tensor, "head neuron edge"]
    ) -> PairStatistics:
        """Inverse of :meth:`arrays`."""
        return cls(count=count, edges=edges, **{name: arrays[name] for name in GATHERED})

    def update(
        self, coefficients: Float[Tensor, "image head neuron"], images: Int[Tensor, " image"]
    ) -> None:
        """Adds a block of images; ``images`` are their numbers in the data set, each seen once."""
        block = _block_statistics(coefficients, images, self.edges)
        self.merge(block)

    def merge(self, other: PairStatistics) -> None:
        """Adds another stream over other images (Chan et al.); associative and commutative."""
        total = self.count + other.count
        if total == 0:
            return
        delta = other.mean - self.mean
        weight = self.count * other.count / total
        by_neuron = delta.T
        self.comoment += other.comoment
        self.comoment += weight * by_neuron[:, :, None] * by_neuron[:, None, :]
        self.mean = self.mean + delta * (other.count / total)
        self.histogram += other.histogram
        self.count = total
        self.high_keys = _largest(torch.cat([self.high_keys, other.high_keys], dim=-1))
        self.low_keys = _largest(torch.cat([self.low_keys, other.low_keys], dim=-1))


@dataclass(frozen=True)
class OrientedStatistics:
    """What a finished stream says of every pair.

    Attributes:
        sign: +1 if at least half of the most deviating images lie above the mean, else -1.
        norm: mean over them of |s - mean| times |D|.
        top_values, top_images: ``sign * s``, largest first.
        bottom_values, bottom_images: ``sign * s``, smallest first.
    """

    sign: Int[Tensor, "head neuron"]
    norm: Float[Tensor, "head neuron"]
    top_values: Float[Tensor, "head neuron rank"]
    top_images: Int[Tensor, "head neuron rank"]
    bottom_values: Float[Tensor, "head neuron rank"]
    bottom_images: Int[Tensor, "head neuron rank"]


def histogram_edges(
    coefficients: Float[Tensor, "image head neuron"], *, bins: int
) -> Float[Tensor, "head neuron edge"]:
    """Equal bins over the range seen on some first images, widened by half at either end."""
    low, high = coefficients.aminmax(dim=0)
    margin = 0.5 * (high - low).clamp_min(1e-6)
    low, high = low - margin, high + margin
    steps = torch.linspace(0, 1, bins + 1, device=coefficients.device)
    return low[..., None] + (high - low)[..., None] * steps


def orient(
    statistics: PairStatistics, write_norms: Float[Tensor, "head neuron"]
) -> OrientedStatistics:
    """Sign, norm and oriented images of every pair from a finished stream."""
    high, high_images = statistics.high
    low, low_images = statistics.low
    sign = torch.empty_like(high_images[..., 0])
    norm = torch.empty_like(write_norms)
    # Head by head: the candidates of all pairs at once would need a gigabyte for the large models.
    for head in range(sign.shape[0]):
        deviation = _most_deviating(
            statistics.mean[head],
            torch.cat([high[head], low[head]], dim=-1).double(),
            torch.cat([high_images[head], low_images[head]], dim=-1),
        )
        present = ~deviation.isnan()
        above = (deviation > 0).sum(dim=-1)
        sign[head] = torch.where(2 * above >= present.sum(dim=-1), 1, -1)
        spread = deviation.abs().nansum(dim=-1) / present.sum(dim=-1).clamp_min(1)
        norm[head] = (spread * write_norms[head].double()).to(norm.dtype)
    keep = (sign > 0)[..., None]
    return OrientedStatistics(
        sign=sign,
        norm=norm,
        top_values=torch.where(keep, high, -low),
        top_images=torch.where(keep, high_images, low_images),
        bottom_values=torch.where(keep, low, -high),
        bottom_images=torch.where(keep, low_images, high_images),
    )


def monosemanticity(
    top_images: Int[Tensor, "head neuron rank"],
    embeddings: Float[Tensor, "image d_out"],
    *,
    images: int = 10,
) -> Float[Tensor, "head neuron"]:
    """1 - (spread of the top images' unit embeddings) / (spread over all images), in [0, 1].

    The spread is the mean squared distance to the centroid, which for unit vectors is one minus the
    squared length of the centroid.  NaN where fewer than two images are known.
    """
    unit = torch.nn.functional.normalize(embeddings, dim=-1)
    overall = 1 - unit.mean(dim=0).square().sum()
    scores = torch.empty(top_images.shape[:2], device=embeddings.device)
    for head in range(top_images.shape[0]):
        chosen = top_images[head, :, :images]
        present = (chosen != NO_IMAGE).to(unit.dtype)
        known = present.sum(dim=-1)
        picked = unit[chosen.clamp_min(0)] * present[..., None]
        centroid = picked.sum(dim=1) / known.clamp_min(1)[:, None]
        spread = 1 - centroid.square().sum(dim=-1)
        scores[head] = torch.where(known > 1, (1 - spread / overall).clamp(0, 1), torch.nan)
    return scores


def percentiles(values: Float[Tensor, "head neuron"]) -> Float[Tensor, "head neuron"]:
    """Standing of each pair among all, in [0, 100]: the share of other pairs that are smaller."""
    flat = values.flatten()
    ordered = flat.sort().values
    below = torch.searchsorted(ordered, flat)
    return (100 * below / max(len(flat) - 1, 1)).to(values.dtype).reshape(values.shape)


def _block_statistics(
    coefficients: Float[Tensor, "image head neuron"],
    images: Int[Tensor, " image"],
    edges: Float[Tensor, "head neuron edge"],
) -> PairStatistics:
    """All-at-once statistics of one block, to be merged into a stream."""
    block = PairStatistics.empty(edges)
    exact = coefficients.double()
    block.count = coefficients.shape[0]
    block.mean = exact.mean(dim=0)
    deviation = (exact - block.mean).permute(2, 1, 0)
    block.comoment = deviation @ deviation.transpose(1, 2)
    block.histogram = _histogram(coefficients, edges)
    values = coefficients.float().permute(1, 2, 0)
    # Neither sorted nor cut: that is done once, when the block is merged.
    block.high_keys = _encode(values, images)
    block.low_keys = _encode(-values, images)
    return block


def _histogram(
    coefficients: Float[Tensor, "image head neuron"],
    edges: Float[Tensor, "head neuron edge"],
) -> Int[Tensor, "head neuron bin"]:
    bins = edges.shape[-1] - 1
    inner = edges[..., 1:-1].contiguous()
    places = torch.searchsorted(inner, coefficients.permute(1, 2, 0).contiguous(), right=True)
    counts = torch.zeros(*edges.shape[:2], bins, dtype=torch.int64, device=edges.device)
    return counts.scatter_add_(-1, places, torch.ones_like(places))


def _encode(
    values: Float[Tensor, "head neuron candidate"], images: Int[Tensor, " candidate"]
) -> Int[Tensor, "head neuron candidate"]:
    """One integer per candidate that sorts by value, then by lower image number.

    The upper half holds the float's bits, mapped so that integers sort as the floats do; the lower
    half the image number counted down.
    """
    bits = (values + 0.0).contiguous().view(torch.int32)  # + 0.0 turns -0.0 into 0.0: equal values
    ordered = bits ^ ((bits >> 31) & _ALL_BUT_SIGN)
    return (ordered.long() << 32) | (_ALL_BUT_SIGN - images)


def _decode(
    keys: Int[Tensor, "head neuron rank"],
) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
    """Inverse of :func:`_encode`; an empty place becomes NaN and NO_IMAGE."""
    ordered = (keys >> 32).to(torch.int32)
    values = (ordered ^ ((ordered >> 31) & _ALL_BUT_SIGN)).view(torch.float32)
    images = _ALL_BUT_SIGN - (keys & 0xFFFFFFFF)
    empty = keys == _EMPTY
    return values.masked_fill(empty, torch.nan), images.masked_fill(empty, NO_IMAGE)


def _largest(keys: Int[Tensor, "head neuron candidate"]) -> Int[Tensor, "head neuron rank"]:
    """The RANKS largest keys in order, padded when there are fewer."""
    keys = keys.topk(min(RANKS, keys.shape[-1]), dim=-1).values
    return torch.nn.functional.pad(keys, (0, RANKS - keys.shape[-1]), value=_EMPTY)


def _most_deviating(
    mean: Float[Tensor, " neuron"],
    values: Float[Tensor, "neuron candidate"],
    images: Int[Tensor, "neuron candidate"],
) -> Float[Tensor, "neuron rank"]:
    """s - mean of the RANKS images with the largest |s - mean|, NaN where there are fewer.

    The wanted images are always among the RANKS highest and the RANKS lowest; an image that stands
    in both lists counts once.
    """
    by_image = images.argsort(dim=-1, stable=True)
    values, images = values.gather(-1, by_image), images.gather(-1, by_image)
    repeated = torch.zeros_like(images, dtype=torch.bool)
    repeated[:, 1:] = images[:, 1:] == images[:, :-1]
    deviation = torch.where(repeated | (images == NO_IMAGE), torch.nan, values - mean[:, None])
    order = deviation.abs().nan_to_num(nan=-1.0).argsort(dim=-1, descending=True, stable=True)
    return deviation.gather(-1, order[:, :RANKS])
