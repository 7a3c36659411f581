"""Pictures as a model has seen them: what every further prompt is answered from.

The backbone runs once per window.  Everything that a method reads is computed from the last block's
output at the first prompt that needs it, and kept with the picture.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip.windows import Layout

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
        largest = float(numbers.abs().max())
        scale = largest if largest > 0 else 1.0
        return cls((numbers / scale).to(precision), scale)

    def unpack(self) -> Tensor:
        """Back in float32."""
        return self.numbers.float() * self.scale if self.scale != 1.0 else self.numbers.float()

    @property
    def nbytes(self) -> int:
        return self.numbers.nbytes


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
        activations: the last block's output at the cells of every window, without positions.
        attention: of the pooled query of every window over its tokens, the mean token first.
        whole: the picture in the model's own preprocessing; None where it was not asked for.
    """

    size: tuple[int, int]
    layout: Layout
    activations: Packed
    attention: Float[Tensor, "window head token"]
    whole: WholePass | None
    _derived: dict[Hashable, tuple[Packed, ...]] = field(default_factory=dict, repr=False)
    _maps: OrderedDict[Hashable, Tensor] = field(default_factory=OrderedDict, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes held now; a method that was not asked for before adds up to twice as many."""
        packed = [self.activations, *(part for parts in self._derived.values() for part in parts)]
        plain = [self.attention, *self._maps.values()]
        whole = self.whole.nbytes if self.whole else 0
        return whole + sum(part.nbytes for part in packed) + sum(part.nbytes for part in plain)

    def derived(self, key: Hashable, make: Callable[[], tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
        """Arrays that depend on the picture alone, made once and kept as the activations are."""
        if key not in self._derived:
            precision = self.activations.numbers.dtype
            self._derived[key] = tuple(Packed.of(array, precision) for array in make())
        return tuple(packed.unpack() for packed in self._derived[key])

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
