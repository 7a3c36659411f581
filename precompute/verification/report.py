"""What a check found, in one shape for all checks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One figure and the bound that it must not pass.

    Attributes:
        name: what was compared.
        figure: the largest difference found; what it is measured in stands in ``name``.
        bound: the check holds if ``figure`` is at most this.
        over: on what, for example "8 images".
    """

    name: str
    figure: float
    bound: float
    over: str

    @property
    def ok(self) -> bool:
        return math.isfinite(self.figure) and bool(self.figure <= self.bound)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; a figure that is no number is None."""
        figure = float(self.figure) if math.isfinite(self.figure) else None
        return {
            "check": self.name,
            "figure": figure,
            "bound": self.bound,
            "ok": self.ok,
            "over": self.over,
        }


@dataclass(frozen=True)
class Report:
    """All checks of one store.

    Attributes:
        left_out: checks that could not be made, each with its reason.
    """

    store: str
    data_version: str
    checks: list[Check]
    left_out: list[str]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, keys in order."""
        return {
            "store": self.store,
            "data_version": self.data_version,
            "ok": self.ok,
            "checks": [check.as_dict() for check in self.checks],
            "left_out": self.left_out,
        }
