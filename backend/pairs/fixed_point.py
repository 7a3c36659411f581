"""Matrix products in whole numbers, in a third to a half of float32's time.

Every row's numbers become whole ones of 15 bits and a sign, over a unit of its own, and each of
these two bytes, ``256 * high + low``.  A choice of columns is a byte per column too, 0 or 1.
Products of bytes are added up in 32 bits without any rounding, on processors that have instructions
for it several times as fast as float32 adds up: of a sum what is lost is the rounding to whole
numbers alone, 1.6e-5 of the row's largest.  Rows times rows are three products of bytes, that of
both low ones being left out: 1.5e-4 of a typical product is lost, half of what keeping it in half
precision loses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

LARGEST = 127 * 256 + 127
"""The largest whole number of which both bytes fit."""


def has_fast_bytes(device: torch.device) -> bool:
    """Whether products of bytes are worth taking in float32's place.

    On a processor with VNNI, which adds them up in 32 bits (an older one may saturate 16).  A GPU
    is fast enough in float32.
    """
    return device.type == "cpu" and _has_vnni()


@lru_cache(maxsize=1)
def _has_vnni() -> bool:
    tell: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    known = tell()  # empty where torch is too old to know
    return any(known.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))


@dataclass(frozen=True)
class FixedPoint:
    """Rows of numbers, ``(256 * high + low) * unit``.

    Attributes:
        bytes: all high bytes, then all low ones.
        unit: of each row.
    """

    bytes: Int8[Tensor, "two_rows column"]
    unit: Float[Tensor, "row 1"]

    @classmethod
    def of(cls, rows: Float[Tensor, "row column"]) -> FixedPoint:
        """Rows of float32, rounded to the nearest whole number of their units."""
        largest = torch.maximum(rows.amax(dim=1, keepdim=True), -rows.amin(dim=1, keepdim=True))
        unit = largest.clamp_min(torch.finfo(rows.dtype).tiny * LARGEST) / LARGEST
        whole = torch.div(rows, unit).round_().to(torch.int16)
        both = torch.empty(2 * len(rows), rows.shape[1], dtype=torch.int8, device=rows.device)
        high, low = both.chunk(2)
        low.copy_(whole)  # of the last 8 bits, the first is the sign
        # With 128 added, the high byte is that nearest to the number.
        high.copy_(whole.add_(128).bitwise_right_shift_(8))
        return cls(both, unit)

    def unpack(self) -> Float[Tensor, "row column"]:
        """The rows, back in float32."""
        high, low = self.bytes.chunk(2)
        return high.to(self.unit.dtype).mul_(256).add_(low).mul_(self.unit)

    @property
    def nbytes(self) -> int:
        return self.bytes.nbytes + self.unit.nbytes

    def sums(self, chosen: Bool[Tensor, "choice column"]) -> Float[Tensor, "choice row"]:
        """For every choice of columns, their sum in every row."""
        high, low = torch._int_mm(chosen.view(torch.int8), self.bytes.T).chunk(2, dim=1)
        total = torch.add(low, high, alpha=256).to(self.unit.dtype)
        return total.mul_(self.unit.T)

    def products(self, others: FixedPoint) -> Float[Tensor, "row other"]:
        """Of every row with every one of the others; at most 65,536 columns."""
        high, _ = self.bytes.chunk(2)
        others_high, others_low = others.bytes.chunk(2)
        of_high, of_low = torch._int_mm(self.bytes, others_high.T).chunk(2)
        crossed = of_low.add_(torch._int_mm(high, others_low.T))
        # The 2 ** 16 of the first need more than 32 bits.
        total = crossed.to(self.unit.dtype).add_(of_high, alpha=256)
        return total.mul_(256 * self.unit).mul_(others.unit.T)
