"""Entry point of the ``pairscope`` command."""

from __future__ import annotations

import os

from backend.allocator import keep_freed_memory

SPINS = "10000"
"""Looks for more work before a thread sleeps: less than a millisecond."""


def main() -> None:
    """Settles how threads wait and how memory is kept, before torch is loaded; runs the command.

    OpenMP's threads spin while they wait for each other by default.  On a machine that does other
    work beside, that makes small matrix products five to fifteen times slower.  Sleeping at once
    costs a tenth of a backbone's time, and two thirds of another prompt's, on an idle one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    keep_freed_memory()
    from precompute.application import run

    run()


if __name__ == "__main__":
    main()
