"""The map of all pairs."""

from __future__ import annotations

from pydantic import Field

from backend.server.schemas.base import Wire


class MapCluster(Wire):
    """Pairs that point much the same way."""

    word: str = Field(description="the vocabulary word nearest to the middle of their directions")
    x: float = Field(description="where it lies, from -1 to 1")
    y: float
    pairs: int


class PairMap(Wire):
    """Where pairs lie: those that point the same way lie near one another."""

    model: str
    pairs: int
    neurons: int
    heads: int
    clusters: list[MapCluster] = Field(description="in the order of their numbers")
    arrays_url: str = Field(
        description="safetensors file of all pairs by flat number (head * neurons + neuron): "
        "`position` [pair, 2] uint16, 0 to 65535 for -1 to 1; `cluster` [pair] int16, -1 for none; "
        "`percentile` [pair] uint16, that of the norm in hundredths"
    )
    data_version: str
