"""Pictures as a model has seen them: what every further prompt is answered from.

The backbone runs once per window.  Everything that a method reads is computed from the last block's
output at the first prompt that needs it, and kept with the picture.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip.windows import Layout
from backend.pairs.fixed_point import FixedPoint, has_fast_bytes

MAPS_KEPT = 1024
"""Logit maps that are remembered with a picture, a few kilobytes each: one per prompt, method and
setting."""


@dataclass(frozen=True)
class Packed:
    """Numbers in half precision over one common scale, or as they are.

    Half precision keeps logits within 1e-4 of their range.
    """

    numbers: Tensor
    scale: float

    @classmethod
    def of(cls, numbers: Tensor, precision: torch.dtype) -> Packed:
        if precision == torch.float32:
            return cls(numbers.float(), 1.0)
        largest = max(float(numbers.amax()), -float(numbers.amin()))
        scale = largest if largest > 0 else 1.0
        return cls((numbers / scale).to(precision), scale)

    def unpack(self) -> Tensor:
        """Back in float32."""
        numbers = self.numbers.float()
        return numbers if self.scale == 1.0 else numbers.mul_(self.scale)

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes


def kept_rows(rows: Float[Tensor, "row column"], precision: torch.dtype) -> Packed | FixedPoint:
    """Rows in single precision, or in two bytes a number: whole ones where these are fast.

    They are as precise as half precision, and sums over columns are taken from them as they lie.
    """
    if precision != torch.float32 and has_fast_bytes(rows.device):
        return FixedPoint.of(rows)
    return Packed.of(rows, precision)


@dataclass(frozen=True)
class WholePass:
    """The picture in the model's own preprocessing, taken apart exactly; all in float32.

    Attributes:
        embedding: un-normalised, as ``encode_image`` gives it.
        coefficients: s of every pair.
        attention: of the pooled query over all tokens, the mean token first.
        feature_map: the last block's output, without positions.
    """

    embedding: Float[Tensor, " d_out"]
    coefficients: Float[Tensor, "head neuron"]
    attention: Float[Tensor, "head token"]
    feature_map: Float[Tensor, "neuron row column"]

    @property
    def nbytes(self) -> int:
        parts = (self.embedding, self.coefficients, self.attention, self.feature_map)
        return sum(part.nbytes for part in parts)


@dataclass
class EncodedImage:
    """One picture after the backbone, with what was derived from it so far.

    Not for several threads at a time: an answer adds to what is derived.

    Attributes:
        size: (width, height) of the picture, in pixels.
        layout: how windows cover it.
        activations: the last block's output at the cells of every window, without positions, a row
            for each cell, window by window; in whole numbers where these are fast.
        precision: in which everything else is kept.
        whole: the picture in the model's own preprocessing; None where it was not asked for.
    """

    size: tuple[int, int]
    layout: Layout
    activations: Packed | FixedPoint
    precision: torch.dtype
    whole: WholePass | None
    _derived: dict[Hashable, tuple[Packed, ...]] = field(default_factory=dict, repr=False)
    _maps: OrderedDict[Hashable, Tensor] = field(default_factory=OrderedDict, repr=False)
    _at_hand: dict[int, Tensor] | None = field(default=None, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes held now; a method that was not asked for before adds up to twice as many."""
        packed = [self.activations, *(part for parts in self._derived.values() for part in parts)]
        maps = sum(logits.nbytes for logits in self._maps.values())
        whole = self.whole.nbytes if self.whole else 0
        return whole + maps + sum(part.nbytes for part in packed)

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Within it every array is unpacked once, and then held in single precision."""
        self._at_hand = {}
        try:
            yield
        finally:
            self._at_hand = None

    def cells(self) -> Float[Tensor, "window cell neuron"]:
        """The activations in single precision; not to be written to."""
        rows = self._unpacked(self.activations)
        return rows.view(len(self.layout.corners), -1, rows.shape[1])

    def rounded_cells(self) -> FixedPoint | None:
        """The activations of all windows' cells in whole numbers, where they are kept so."""
        return self.activations if isinstance(self.activations, FixedPoint) else None

    def derived(self, key: Hashable, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Arrays that depend on the picture alone, made once and kept as the activations are."""
        if key not in self._derived:
            self._derived[key] = tuple(Packed.of(array, self.precision) for array in make())
        return tuple(self._unpacked(packed) for packed in self._derived[key])

    def _unpacked(self, packed: Packed | FixedPoint) -> Tensor:
        if self._at_hand is None:
            return packed.unpack()
        if id(packed) not in self._at_hand:
            self._at_hand[id(packed)] = packed.unpack()
        return self._at_hand[id(packed)]

    def known_map(self, key: Hashable) -> Tensor | None:
        """A logit map that was remembered."""
        if key not in self._maps:
            return None
        self._maps.move_to_end(key)
        return self._maps[key]

    def remember_map(self, key: Hashable, logits: Tensor) -> None:
        """Keeps a logit map under all that it depends on; the oldest make room."""
        self._maps[key] = logits
        while len(self._maps) > MAPS_KEPT:
            self._maps.popitem(last=False)


def fingerprint_text(text: Float[Tensor, " d_out"]) -> bytes:
    """A text embedding as a short key."""
    return hashlib.blake2b(text.cpu().numpy().tobytes(), digest_size=16).digest()
