"""Entry point of the ``pairscope`` command."""

from __future__ import annotations

import os

from backend.allocator import keep_freed_memory


def main() -> None:
    """Settles how threads wait and how memory is kept, before torch is loaded; runs the command.

    OpenMP's threads spin while they wait for each other by default.  On a machine that does other
    work beside, that makes small matrix products five to fifteen times slower; sleeping costs
    nothing measurable on an idle one.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    keep_freed_memory()
    from precompute.application import run

    run()


if __name__ == "__main__":
    main()
