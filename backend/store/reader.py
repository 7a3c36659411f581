"""Opens a store: maps its files, checks what can be checked at once, copies nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from backend.store.durable import DTYPES
from backend.store.errors import StoreError
from backend.store.format import (
    ARRAYS,
    BOTTOM_SHOWN,
    EMBEDDINGS,
    EXPLANATIONS,
    FACTORS,
    FAMILIARITY,
    HEADS,
    INDEX,
    MANIFEST,
    MAP,
    MAPS,
    NEIGHBOURS,
    NEURONS,
    NULLS,
    OPTIONAL_FILES,
    STATISTICS,
    THUMBNAILS,
    TOP_SHOWN,
    VOCABULARY,
    FileRecord,
    Manifest,
)

Arrays = Mapping[str, np.ndarray]


class Exemplars:
    """Thumbnails and heatmaps of the images that pages show."""

    def __init__(self, thumbnails: Arrays, maps: Arrays, statistics: Arrays) -> None:
        self._bytes, self._offsets = thumbnails["bytes"], thumbnails["offsets"]
        self._maps = maps["maps"]
        self._top, self._bottom = statistics["top_images"], statistics["bottom_images"]

    def holds(self, image: int) -> bool:
        """Whether an image has a thumbnail."""
        if not 0 <= image < len(self._offsets) - 1:
            return False
        return bool(self._offsets[image + 1] > self._offsets[image])

    def thumbnail(self, image: int) -> bytes | None:
        """WebP file of an image; None for an image that has none."""
        if not self.holds(image):
            return None
        return self._bytes[int(self._offsets[image]) : int(self._offsets[image + 1])].tobytes()

    def heatmap(self, *, head: int, neuron: int, image: int) -> np.ndarray | None:
        """Oriented float32 map ``[row, column]`` of a pair on one of its shown images, or None."""
        places = np.flatnonzero(self.shown(head=head, neuron=neuron) == image)
        if image < 0 or len(places) == 0:
            return None
        found: np.ndarray = self._maps[head, neuron, places[0]].astype(np.float32)
        return found

    def shown(self, *, head: int, neuron: int) -> np.ndarray:
        """Images on which a pair has a map, -1 where there are fewer."""
        return np.concatenate(
            [self._top[head, neuron, :TOP_SHOWN], self._bottom[head, neuron, :BOTTOM_SHOWN]]
        )

    def scale(self, *, head: int, neuron: int) -> float:
        """Largest absolute cell over all maps of a pair, which share one colour scale."""
        return float(np.abs(self._maps[head, neuron].astype(np.float32)).max())


class Store:
    """An open store; its arrays are read-only memory maps named as in ``backend.store.format``."""

    def __init__(self, path: Path, manifest: Manifest, arrays: Mapping[str, Arrays]) -> None:
        self.path = path
        self.manifest = manifest
        self.factors = arrays[FACTORS]
        self.statistics = arrays[STATISTICS]
        self.explanations = arrays[EXPLANATIONS]
        self.words = arrays[EMBEDDINGS]
        self.vocabulary_embeddings = self.words["embeddings"]
        self.familiarity = arrays[FAMILIARITY]
        self.nulls = arrays[NULLS]
        self.neurons = arrays[NEURONS]
        self.heads = arrays[HEADS]
        self.neighbours = arrays[NEIGHBOURS]
        self.index = arrays[INDEX]
        self.map = arrays[MAP]
        self.exemplars = (
            Exemplars(arrays[THUMBNAILS], arrays[MAPS], self.statistics)
            if THUMBNAILS in arrays and MAPS in arrays
            else None
        )

    @property
    def name(self) -> str:
        return self.manifest.name

    @cached_property
    def data_version(self) -> str:
        return self.manifest.data_version

    @property
    def n_heads(self) -> int:
        return int(self.factors["value"].shape[0])

    @property
    def n_neurons(self) -> int:
        return int(self.factors["value"].shape[2])

    @cached_property
    def vocabulary(self) -> list[str]:
        return (self.path / VOCABULARY).read_text(encoding="utf-8").splitlines()

    @cached_property
    def word_ids(self) -> dict[str, int]:
        """Vocabulary word in lower case -> its number."""
        return {word.casefold(): number for number, word in enumerate(self.vocabulary)}


def open_store(path: Path) -> Store:
    """Opens a finished store; names, sizes, types and shapes are checked, hashes are not.

    Raises:
        StoreError: there is no store, it is of another format version, or a file does not match.
    """
    try:
        text = (path / MANIFEST).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise StoreError(f"{path} holds no finished store; run `pairscope precompute`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{path / MANIFEST} cannot be read") from error
    try:
        manifest = Manifest.from_json(text)
    except StoreError as error:
        raise StoreError(f"{path}: {error}") from error
    for file in (*ARRAYS, VOCABULARY):
        if file not in manifest.files and file not in OPTIONAL_FILES:
            raise StoreError(f"{path}: the manifest lacks {file}; run `pairscope precompute` again")
    arrays = {
        file: map_file(path, file, manifest.files[file])
        for file in ARRAYS
        if file in manifest.files
    }
    _check_size(path, VOCABULARY, manifest.files[VOCABULARY])
    return Store(path, manifest, arrays)


def _check_size(path: Path, file: str, record: FileRecord) -> None:
    try:
        size = (path / file).stat().st_size
    except OSError as error:
        raise StoreError(f"{path / file} is missing; run `pairscope precompute` again") from error
    if size != record.size:
        raise StoreError(
            f"{path / file} has {size} bytes where the manifest says {record.size}; "
            "run `pairscope precompute` again"
        )


def map_file(path: Path, file: str, record: FileRecord) -> Arrays:
    """Memory maps of one safetensors file, checked against the manifest."""
    _check_size(path, file, record)
    try:
        with (path / file).open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > record.size:
                raise ValueError("header longer than the file")
            header = json.loads(stream.read(length))
        # As a plain array: every access to numpy's memmap class costs a microsecond more.
        data = np.asarray(np.memmap(path / file, dtype=np.uint8, mode="r", offset=8 + length))
        arrays = {
            name: data[slice(*entry["data_offsets"])]
            .view(DTYPES[entry["dtype"]])
            .reshape(entry["shape"])
            for name, entry in header.items()
            if name != "__metadata__"
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path / file} is damaged; run `pairscope precompute` again") from error
    found = {name: (str(array.dtype), list(array.shape)) for name, array in arrays.items()}
    if found != record.arrays or not set(ARRAYS[file]) <= set(found):
        raise StoreError(f"{path / file} does not hold what the manifest says")
    return MappingProxyType(arrays)
