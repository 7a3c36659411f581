"""Freed memory is used again: measured in fresh processes, by pages that the system had to fill."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource, threading
import numpy as np
from backend.allocator import keep_freed_memory

done = {called} and keep_freed_memory()

def claim():
    np.ones({size}, dtype=np.uint8)

def run():
    for _ in range(3):
        claim()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        claim()
    print(int(done), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=run)
thread.start()
thread.join()
"""
SIZE = 100_000_000
PAGES = 10 * SIZE // os.sysconf("SC_PAGE_SIZE")


def told(*, called: bool, **environment: str) -> tuple[bool, int]:
    """Whether memory is kept, and pages filled while blocks were claimed and freed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    own.pop("GLIBC_TUNABLES", None)
    program = PROGRAM.format(called=called, size=SIZE)
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=own | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    done, faults = found.stdout.split()
    return done == "1", int(faults)


def test_large_blocks_are_claimed_once_by_any_thread() -> None:
    done, faults = told(called=True)
    if not done:
        pytest.skip("another C library")
    assert faults < PAGES // 100


def test_without_it_they_are_claimed_each_time() -> None:
    done, faults = told(called=False)
    assert not done
    assert faults > PAGES // 1000


def test_what_the_environment_says_of_the_allocator_stays() -> None:
    assert not told(called=True, MALLOC_ARENA_MAX="4")[0]
    assert not told(called=True, GLIBC_TUNABLES="glibc.malloc.arena_max=4")[0]
