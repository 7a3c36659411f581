"""How the C library keeps memory that was freed.

A forward pass frees and claims the same hundreds of megabytes again and again.  By default glibc
gives them back to the system and takes them anew, and the system fills every page with zeros: a
seventh of the time of RN50x16's backbone on a processor.
"""

from __future__ import annotations

import ctypes
import os

KEPT_BLOCK = 1 << 28
"""Blocks up to this size are kept when freed: the largest activation of eight images is 205 MB for
RN50x64, 113 MB for RN50x16."""

KEPT_BLOCK_OF_OLD = 1 << 25
"""The largest that older versions of glibc take."""

KEPT_AT_THE_TOP = 1 << 30
"""Free bytes beyond which memory is given back after all."""

_MMAP_THRESHOLD, _TRIM_THRESHOLD, _ARENA_MAX = -3, -1, -8
"""From glibc's malloc.h."""


def keep_freed_memory() -> bool:
    """Lets freed memory be used again; to be called before threads are started.

    All threads share one arena, since those of threads other than the first hold no large blocks.

    Returns:
        whether it was done: not without glibc, nor against what ``MALLOC_…`` or ``GLIBC_TUNABLES``
        in the environment say.
    """
    if any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return False
    # Any setting ends glibc's own adapting of the first, so without it the others would do harm.
    kept = any(mallopt(_MMAP_THRESHOLD, size) for size in (KEPT_BLOCK, KEPT_BLOCK_OF_OLD))
    return bool(kept and mallopt(_TRIM_THRESHOLD, KEPT_AT_THE_TOP) and mallopt(_ARENA_MAX, 1))
