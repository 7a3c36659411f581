"""How often one client may ask for work.

Counted in this process alone: behind several replicas each counts for itself, and a proxy that sees
them all is the place for one limit over all.
"""

from __future__ import annotations

import math
import time

from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from backend.server.errors import ApiError

OFF = "off"


def check_rate(rate: str) -> str:
    """``rate`` as ``60/minute`` or ``off``; raises ValueError for what is neither."""
    if rate != OFF:
        try:
            parse(rate)
        except ValueError:
            raise ValueError("must be a number in a time, like 60/minute, or off") from None
    return rate


class RateLimit:
    """A moving window per client."""

    def __init__(self, rate: str) -> None:
        self._rate = parse(rate)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def count(self, client: str) -> None:
        """Count a request; 429 with Retry-After when the client has had its share."""
        if self._limiter.hit(self._rate, client):
            return
        ready = self._limiter.get_window_stats(self._rate, client).reset_time
        raise ApiError(
            429,
            "too_many_requests",
            f"Too many requests from this address; {self._rate.amount} are taken in "
            f"{self._rate.multiples} {self._rate.GRANULARITY.name}.",
            {"Retry-After": str(max(1, math.ceil(ready - time.time())))},
        )
