"""Takes data out of a store: dense directions, and explanations and statistics as tables.

Everything is written head by head, so memory stays bounded whatever the model's size.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from backend.store import Store
from backend.store.cells import harmless
from precompute.errors import InputError

CSV, PARQUET = ".csv", ".parquet"

Columns = dict[str, np.ndarray]
"""Columns of equal length by name; texts are arrays of objects."""


def export_directions(store: Store, out: Path, *, force: bool = False) -> int:
    """Writes the oriented unit directions of all pairs, float32 ``[head, neuron, d_out]``.

    The key is ``directions``; a pair that writes nothing has the zero vector.

    Returns:
        bytes written.

    Raises:
        InputError: the file exists and ``force`` is not given, or cannot be written.
    """
    d_out = store.factors["output"].shape[1]
    shape = (store.n_heads, store.n_neurons, d_out)
    size = 4 * int(np.prod(shape))
    header = {
        "__metadata__": {"store": store.name, "data_version": store.data_version},
        "directions": {"dtype": "F32", "shape": shape, "data_offsets": [0, size]},
    }
    told = json.dumps(header).encode()
    told += b" " * (-len(told) % 8)
    with _replacing(out, force=force) as temporary, temporary.open("wb") as file:
        file.write(len(told).to_bytes(8, "little") + told)
        for head in range(store.n_heads):
            file.write(directions_of_head(store, head).tobytes())
    return 8 + len(told) + size


def directions_of_head(store: Store, head: int) -> np.ndarray:
    """Oriented unit directions of a head's pairs, float32 ``[neuron, d_out]``."""
    output = np.asarray(store.factors["output"][head], dtype=np.float64)
    vectors = (output @ store.factors["value"][head]).T
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    signs = np.asarray(store.statistics["sign"][head], dtype=np.float64)[:, None]
    unit = np.divide(vectors * signs, norms, out=np.zeros_like(vectors), where=norms > 0)
    float32: np.ndarray = unit.astype("<f4")
    return float32


def export_explanations(store: Store, out: Path, *, force: bool = False) -> int:
    """Writes a row for every word of every pair's explanation.

    Columns: ``neuron``, ``head``, ``rank`` (from 1), ``word``, ``weight`` (of the oriented
    direction), ``cosine`` (reached with this and the words before it; empty at ranks for which the
    store has none).

    Returns:
        rows written.

    Raises:
        InputError: as :func:`export_directions`; the file's ending is neither .csv nor .parquet.
    """
    words = np.array(store.vocabulary, dtype=object)
    steps = np.array(store.manifest.parameters["cosine_steps"])
    parts = (_explanations_of_head(store, head, words, steps) for head in range(store.n_heads))
    return _write_table(out, parts, force=force)


def export_statistics(store: Store, out: Path, *, force: bool = False) -> int:
    """Writes a row for every pair: every figure of the store that is one number per pair.

    ``deviation`` is the coefficient's standard deviation over the data set.

    Returns:
        rows written.

    Raises:
        InputError: as :func:`export_explanations`.
    """
    parts = (_statistics_of_head(store, head) for head in range(store.n_heads))
    return _write_table(out, parts, force=force)


def _explanations_of_head(store: Store, head: int, words: np.ndarray, steps: np.ndarray) -> Columns:
    ids = np.asarray(store.explanations["word_ids"][head])
    neurons, atoms = ids.shape
    cosine = np.full((neurons, atoms), np.nan, dtype=np.float32)
    cosine[:, steps - 1] = store.explanations["cosine"][head]
    chosen = ids >= 0
    neuron, place = np.nonzero(chosen)
    return {
        "neuron": neuron,
        "head": np.full(len(neuron), head),
        "rank": place + 1,
        "word": words[ids[chosen]],
        "weight": np.asarray(store.explanations["weights"][head])[chosen],
        "cosine": cosine[chosen],
    }


def _statistics_of_head(store: Store, head: int) -> Columns:
    shape = (store.n_heads, store.n_neurons)
    per_pair = {
        name: np.asarray(array[head])
        for name, array in store.statistics.items()
        if array.shape == shape
    }
    images = max(int(store.statistics["count"]), 1)
    return {
        "neuron": np.arange(store.n_neurons),
        "head": np.full(store.n_neurons, head),
        "deviation": np.sqrt(per_pair.pop("m2") / images),
        **per_pair,
    }


def _write_table(out: Path, parts: Iterator[Columns], *, force: bool) -> int:
    writer = table_writer(out)
    with _replacing(out, force=force) as temporary:
        return writer(temporary, parts)


def table_writer(out: Path) -> Callable[[Path, Iterator[Columns]], int]:
    """The writer for a file's ending.

    Raises:
        InputError: the ending is unknown, or Parquet's package is not installed.
    """
    if out.suffix == CSV:
        return _write_csv
    if out.suffix != PARQUET:
        raise InputError(f"{out} must end in {CSV} or {PARQUET}")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise InputError(
            f"{PARQUET} needs the package pyarrow: pip install 'pairscope[parquet]', "
            f"or choose a file that ends in {CSV}"
        ) from None
    return _write_parquet


def _write_csv(path: Path, parts: Iterator[Columns]) -> int:
    rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        for place, columns in enumerate(parts):
            text = io.StringIO()
            writer = csv.writer(text)
            if place == 0:
                writer.writerow(columns)
            writer.writerows(zip(*map(_cells, columns.values()), strict=True))
            file.write(text.getvalue())
            rows += len(columns["neuron"])
    return rows


def _cells(column: np.ndarray) -> list[str]:
    """Numbers in the fewest digits that give them back, nothing for NaN; texts made harmless."""
    if column.dtype == object:
        return [harmless(text) for text in column]
    texts = column.astype(str)
    if column.dtype.kind == "f":
        texts[np.isnan(column)] = ""
    cells: list[str] = texts.tolist()
    return cells


def _write_parquet(path: Path, parts: Iterator[Columns]) -> int:
    import pyarrow as pa
    from pyarrow import parquet

    rows = 0
    writer: Any = None
    try:
        for columns in parts:
            table = pa.table({name: pa.array(column) for name, column in columns.items()})
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    return rows


def check_target(out: Path, *, force: bool) -> None:
    """Refuses a file that cannot be written.

    Raises:
        InputError: it exists and ``force`` is not given, or its folder does not exist.
    """
    if not out.parent.is_dir():
        raise InputError(f"the folder of {out} does not exist")
    if out.is_dir():
        raise InputError(f"{out} is a folder")
    if out.exists() and not force:
        raise InputError(f"{out} exists; add --force to replace it")


@contextmanager
def _replacing(out: Path, *, force: bool) -> Iterator[Path]:
    """A file to write beside ``out``, which takes its place when it is whole."""
    check_target(out, force=force)
    temporary = out.with_name(f"{out.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)
