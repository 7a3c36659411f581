"""Times of things done in turns, so that what else the machine does falls on all alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Taken:
    """What one run took: seconds that passed, and seconds of all its threads on processors."""

    passed: float
    processor: float


class Times:
    """What several contestants took over the same rounds, each for one of what it works on.

    In processor time other work on the machine disturbs less; on a GPU, where a processor only
    waits, there is none.
    """

    def __init__(self, rounds: list[dict[str, Taken]], *, on_cpu: bool) -> None:
        self._rounds = rounds
        self._on_cpu = on_cpu

    def __contains__(self, name: str) -> bool:
        return name in self._rounds[0]

    def median(self, name: str) -> float:
        """Median seconds of a contestant."""
        return median(one[name].passed for one in self._rounds)

    def processor_median(self, name: str) -> float | None:
        """Median seconds of a contestant's threads on processors."""
        if not self._on_cpu:
            return None
        return median(one[name].processor for one in self._rounds)

    def ratio(self, name: str, other: str) -> float:
        """Median over rounds of a contestant's time over another's in the same round."""
        return median(one[name].passed / one[other].passed for one in self._rounds)

    def processor_ratio(self, name: str, other: str) -> float | None:
        """The same in processor time."""
        if not self._on_cpu:
            return None
        return median(
            one[name].processor / max(one[other].processor, RESOLUTION) for one in self._rounds
        )


RESOLUTION = 1e-9
"""Seconds: keeps a time that is below what the clock can tell from being divided by."""


def in_turns(
    work: Mapping[str, Work],
    *,
    rounds: int,
    device: torch.device,
    warm: bool,
    counts: Mapping[str, int] | None = None,
) -> Times:
    """Runs all contestants one after the other, ``rounds`` times.

    Args:
        warm: whether each runs once before, unmeasured.
        counts: how many things a run of each works on, one where it is not named; times are of one.
    """
    if warm:
        for run in work.values():
            run()
    counts = counts or {}
    taken = [
        {name: _taken(run, device, counts.get(name, 1)) for name, run in work.items()}
        for _ in range(rounds)
    ]
    return Times(taken, on_cpu=device.type == "cpu")


def _taken(run: Work, device: torch.device, count: int) -> Taken:
    _finish(device)
    begun, begun_processor = time.perf_counter(), time.process_time()
    run()
    _finish(device)
    passed, processor = time.perf_counter() - begun, time.process_time() - begun_processor
    return Taken(passed / count, processor / count)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def machine(device: torch.device) -> dict[str, Any]:
    """What the figures depend on beside the code."""
    told: dict[str, Any] = {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "device": str(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if device.type == "cuda":
        told["gpu"] = torch.cuda.get_device_name(device)
    return told


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
