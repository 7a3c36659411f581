"""The map of all pairs as one compact file: 8 bytes a pair, where JSON would take a hundred."""

from __future__ import annotations

import gzip
from functools import cached_property

import numpy as np
from safetensors.numpy import save

from backend.store import Store

STEPS = 65535
"""Positions are told in as many steps over the map's width: finer than any screen's pixels."""

HUNDREDTHS = 100

GZIP_LEVEL = 6
"""Positions hardly compress: level 9 takes longer for nothing."""


class MapFile:
    """Positions, clusters and norms' percentiles ``[pair]``, as safetensors."""

    def __init__(self, store: Store) -> None:
        position = np.clip(np.array(store.map["position"]).reshape(-1, 2), -1, 1)
        percentile = np.array(store.statistics["norm_percentile"]).reshape(-1)
        self.body: bytes = save(
            {
                "position": np.rint((position + 1) / 2 * STEPS).astype(np.uint16),
                "cluster": np.array(store.map["cluster"]).reshape(-1).astype(np.int16),
                "percentile": np.rint(percentile * HUNDREDTHS).astype(np.uint16),
            }
        )

    @cached_property
    def compressed(self) -> bytes:
        """The gzipped file, made once."""
        return gzip.compress(self.body, compresslevel=GZIP_LEVEL, mtime=0)


def cluster_sizes(store: Store) -> list[int]:
    """Pairs of each cluster."""
    own = np.array(store.map["cluster"]).reshape(-1)
    clusters = len(store.map["cluster_word"])
    sizes: list[int] = np.bincount(own[own >= 0], minlength=clusters).tolist()
    return sizes
