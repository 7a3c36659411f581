"""How much memory a piece of work needs beyond what is there before it.

On a CPU by the process' own high-water mark (Linux): it is reset, the work runs once, and the
resident size before is taken off.  The measured process is a fresh one whose allocator returns
freed blocks at once, so that nothing is hidden in memory it already had; ``tracemalloc`` would not
see torch's memory at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")

RESET_HIGH_WATER = "5"

RETURN_AT_ONCE = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""glibc: blocks above 64 kB are mapped by themselves and unmapped when freed."""


def extra_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """Bytes at the peak of ``run`` above what is held before it; None where it cannot be known."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    try:
        CLEAR_REFS.write_text(RESET_HIGH_WATER)
        held = _status("VmRSS")
        result = run()
        peak = _status("VmHWM")
        del result
    except OSError:
        return None
    return max(0, peak - held)


def _status(field: str) -> int:
    """A field of /proc/self/status in bytes."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{STATUS} has no {field}")


def pool_memory(model: str, device: torch.device) -> dict[str, int | None]:
    """Extra bytes of one image's coefficients and of open_clip's pool, in a fresh process."""
    command = [sys.executable, "-m", "precompute.bench.memory", model, str(device)]
    environment = {**os.environ, **RETURN_AT_ONCE}
    done = subprocess.run(  # noqa: S603
        command, env=environment, check=True, capture_output=True, text=True
    )
    told: dict[str, int | None] = json.loads(done.stdout)
    return told


def _measure(model: str, device: torch.device) -> dict[str, int | None]:
    from precompute.bench.decomposition import contestants
    from precompute.bench.models import random_pool

    work = contestants(random_pool(model, device))
    for run in work.values():  # libraries load and buffers settle
        run()
    return {name: extra_bytes(run, device) for name, run in work.items()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measure(sys.argv[1], torch.device(sys.argv[2]))))
