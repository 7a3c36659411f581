"""Streaming statistics of every pair's coefficient, and the orientation they imply.

One pass over the images keeps, per pair, count, mean, squared deviations, a histogram with edges
fixed beforehand, the covariance between the heads of a neuron, and the ``rank`` highest and lowest
coefficients with their image numbers.  Blocks of images may be merged in any order.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

RANKS = 50
"""Images kept at either end; also the number of most deviating images behind sign and norm."""

NO_IMAGE = -1
"""Image number of an empty rank; its value is NaN."""

TEMPORARY_NUMBERS = 1 << 17
"""Coefficients that are worked on at a time: a megabyte in float64, which stays in the cache."""

EMBEDDINGS_AT_ONCE = 1 << 14
"""Embeddings added up in float64 at a time: 100 MB at 768 wide."""

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
        high_keys, low_keys: the largest coefficients, and the largest negated ones, with their
            images: each one integer that orders by value, then by lower image number, ascending.
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
            histogram=torch.zeros(heads, neurons, n_edges - 1, dtype=torch.int32, device=device),
            high_keys=keys,
            low_keys=keys.clone(),
        )

    @property
    def high(self) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
        """Values and images of the largest coefficients, largest first."""
        return _decode(self.high_keys.flip(-1))

    @property
    def low(self) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
        """Values and images of the smallest coefficients, smallest first."""
        values, images = _decode(self.low_keys.flip(-1))
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
        """Adds images; ``images`` are their numbers in the data set, each seen once.

        The more at once the faster, up to some hundreds.
        """
        if not len(images):
            return
        heads, neurons = self.mean.shape
        at_once = max(1, TEMPORARY_NUMBERS // (len(images) * heads))
        parts = [slice(start, start + at_once) for start in range(0, neurons, at_once)]
        # The sorts run on one processor each; every neuron's numbers are its own.
        workers = torch.get_num_threads() if coefficients.device.type == "cpu" else 1
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(lambda part: self._add(coefficients, images, part), parts):
                pass
        self.count += len(images)

    def _add(
        self,
        coefficients: Float[Tensor, "image head neuron"],
        images: Int[Tensor, " image"],
        part: slice,
    ) -> None:
        """Adds images to what is known of some neurons."""
        values = coefficients[:, :, part].permute(1, 2, 0).contiguous()
        self.histogram[:, part] += _histogram(values, self.edges[:, part])
        ordered = _ordered(values.float())
        _keep_largest(self.high_keys[:, part], _keys(ordered, images))
        _keep_largest(self.low_keys[:, part], _keys(ordered.bitwise_not_(), images))
        exact = values.double()
        mean = exact.mean(dim=2)
        deviation = (exact - mean[..., None]).transpose(0, 1)
        self.comoment[part].baddbmm_(deviation, deviation.transpose(1, 2))
        self._shift(mean, len(images), part)

    def merge(self, other: PairStatistics) -> None:
        """Adds another stream over other images (Chan et al.); associative and commutative."""
        if not other.count:
            return
        self.comoment += other.comoment
        self._shift(other.mean, other.count, slice(None))
        self.histogram += other.histogram
        self.count += other.count
        # Head by head: the candidates of all pairs at once would need a quarter of a gigabyte.
        for head in range(len(self.mean)):
            _keep_largest(self.high_keys[head], other.high_keys[head])
            _keep_largest(self.low_keys[head], other.low_keys[head])

    def _shift(self, mean: Float[Tensor, "head neuron"], count: int, part: slice) -> None:
        """Moves some neurons' means towards others', and adds what that is to the comoments."""
        total = self.count + count
        delta = mean - self.mean[:, part]
        by_neuron = delta.T
        weight = self.count * count / total
        self.comoment[part].baddbmm_(by_neuron[:, :, None], by_neuron[:, None], alpha=weight)
        self.mean[:, part] += delta * (count / total)


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


def spread(unit_embeddings: Float[Tensor, "image d_out"], *, readable: int) -> float:
    """Mean squared distance of the readable images' unit embeddings to their centroid.

    For unit vectors that is one minus the squared length of the centroid.  Rows of unreadable
    images are zero.
    """
    total = torch.zeros(unit_embeddings.shape[1], dtype=torch.float64)
    for start in range(0, len(unit_embeddings), EMBEDDINGS_AT_ONCE):
        total += unit_embeddings[start : start + EMBEDDINGS_AT_ONCE].double().sum(dim=0)
    return 1 - float((total / readable).square().sum())


def monosemanticity(
    top_images: Int[Tensor, "head neuron rank"],
    unit_embeddings: Float[Tensor, "image d_out"],
    *,
    overall: float,
    images: int = 10,
) -> Float[Tensor, "head neuron"]:
    """1 - (spread of the top images' embeddings) / (spread over all images), in [0, 1].

    NaN where fewer than two images are known.

    Args:
        unit_embeddings: of any precision; rows are looked at head by head, so that they may lie in
            a mapped file larger than the memory.
        overall: :func:`spread` of all.
    """
    scores = torch.empty(top_images.shape[:2])
    for head in range(top_images.shape[0]):
        chosen = top_images[head, :, :images]
        present = (chosen != NO_IMAGE).float()
        known = present.sum(dim=-1)
        picked = unit_embeddings[chosen.clamp_min(0)].float() * present[..., None]
        centroid = picked.sum(dim=1) / known.clamp_min(1)[:, None]
        among = 1 - centroid.square().sum(dim=-1)
        scores[head] = torch.where(known > 1, (1 - among / overall).clamp(0, 1), torch.nan)
    return scores


def percentiles(values: Float[Tensor, "head neuron"]) -> Float[Tensor, "head neuron"]:
    """Standing of each pair among all, in [0, 100]: the share of other pairs that are smaller."""
    flat = values.flatten()
    ordered = flat.sort().values
    below = torch.searchsorted(ordered, flat)
    return (100 * below / max(len(flat) - 1, 1)).to(values.dtype).reshape(values.shape)


def _histogram(
    values: Float[Tensor, "head neuron image"],
    edges: Float[Tensor, "head neuron edge"],
) -> Int[Tensor, "head neuron bin"]:
    """Images per bin; a value on an edge belongs to the bin above it.

    NaN counts in the last one.
    """
    ordered = _sorted(values.clone())
    below = torch.searchsorted(ordered, edges[..., 1:-1].contiguous(), out_int32=True)
    none = below.new_zeros(*below.shape[:2], 1)
    return torch.diff(below, prepend=none, append=none + values.shape[-1])


def _ordered(
    values: Float[Tensor, "head neuron candidate"],
) -> Int[Tensor, "head neuron candidate"]:
    """32 bits of a float that sort as the floats do; all turned, as the negated floats."""
    bits = (values + 0.0).view(torch.int32)  # + 0.0 turns -0.0 into 0.0: equal values
    return bits.bitwise_xor_((bits >> 31).bitwise_and_(_ALL_BUT_SIGN))


def _keys(
    ordered: Int[Tensor, "head neuron candidate"], images: Int[Tensor, " candidate"]
) -> Int[Tensor, "head neuron candidate"]:
    """One integer per candidate that sorts by value, then by lower image number.

    The upper half holds what :func:`_ordered` made of the value; the lower half the image number
    counted down.
    """
    keys = torch.empty(ordered.shape, dtype=torch.int64, device=ordered.device)
    # Halves are written in place, the lower one first: widening and shifting takes longer.
    halves = keys.view(torch.int32).view(*ordered.shape, 2)
    halves[..., 0] = _ALL_BUT_SIGN - images
    halves[..., 1] = ordered
    return keys


def _decode(
    keys: Int[Tensor, "head neuron rank"],
) -> tuple[Float[Tensor, "head neuron rank"], Int[Tensor, "head neuron rank"]]:
    """Inverse of :func:`_keys`; an empty place becomes NaN and NO_IMAGE."""
    ordered = (keys >> 32).to(torch.int32)
    values = (ordered ^ ((ordered >> 31) & _ALL_BUT_SIGN)).view(torch.float32)
    images = _ALL_BUT_SIGN - (keys & 0xFFFFFFFF)
    empty = keys == _EMPTY
    return values.masked_fill(empty, torch.nan), images.masked_fill(empty, NO_IMAGE)


def _keep_largest(keys: Int[Tensor, "*pair rank"], others: Int[Tensor, "*pair candidate"]) -> None:
    """Keeps the largest of both in ``keys``, ascending; may change ``others``."""
    ranks = keys.shape[-1]
    if others.shape[-1] > ranks:
        # The vectorised sort takes up to 128 numbers in one go: twice that is faster than once 178.
        others = _sorted(others)[..., -ranks:]
    keys.copy_(_sorted(torch.cat([others, keys], dim=-1))[..., -ranks:])


def _sorted(values: Tensor) -> Tensor:
    """The values in ascending order along the last axis, perhaps in their own memory."""
    if values.device.type != "cpu":
        return values.sort(dim=-1).values
    # numpy's sort is vectorised: a seventh of the time of topk.
    values.numpy().sort(axis=-1)
    return values


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
