"""Engines: who computes the segments of a set of images."""

from __future__ import annotations

from precompute.engines.local import LocalEngine
from precompute.engines.ray_workers import RayEngine
from precompute.errors import InputError

__all__ = ["ENGINES", "LocalEngine", "RayEngine", "make_engine"]

ENGINES = ("local", "ray")

RAY_WORKERS = 2


def make_engine(
    name: str, *, devices: tuple[str, ...], workers: int | None
) -> LocalEngine | RayEngine:
    """The engine of a name.

    Args:
        devices: of the local engine's workers, one each.
        workers: of Ray.

    Raises:
        InputError: there is no such engine, it is not installed, or the options are the other's.
    """
    if name == "local":
        if workers is not None:
            raise InputError("--workers belongs to --engine ray; name several --device instead")
        return LocalEngine(devices)
    if name == "ray":
        if len(devices) > 1:
            raise InputError("--engine ray takes one kind of --device; give --workers for more")
        return RayEngine(RAY_WORKERS if workers is None else workers)
    raise InputError(f"--engine is one of {', '.join(ENGINES)}, not {name!r}")
