"""Pictures in Hugging Face data sets on disk: saved ones, and folders of parquet files."""

from __future__ import annotations

import bisect
import importlib
import io
import itertools
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from PIL import Image

from precompute.datasets.base import ImageSet, Lock
from precompute.errors import InputError

SAVED = ("state.json", "dataset_info.json", "dataset_dict.json")
"""Files that `save_to_disk` leaves."""


def is_saved_dataset(folder: Path) -> bool:
    """Whether a folder was written by ``save_to_disk``."""
    return any((folder / name).is_file() for name in SAVED)


class SavedDataset(ImageSet):
    """The rows of a data set that ``save_to_disk`` wrote, through the ``datasets`` library.

    Raises:
        InputError: the library is missing, the folder holds several splits, cannot be read, or no
            column holds pictures.
    """

    def __init__(self, folder: Path) -> None:
        datasets = _library("datasets")
        splits = sorted(entry.parent.name for entry in folder.glob("*/state.json"))
        if splits and not (folder / "state.json").is_file():
            raise InputError(f"{folder} holds several splits; give one: {folder / splits[0]}")
        try:
            rows = datasets.load_from_disk(str(folder))
        except Exception as error:  # the library raises whatever its readers do
            raise InputError(f"{folder} is no data set that can be read: {error}") from error
        columns = [name for name, kind in rows.features.items() if isinstance(kind, datasets.Image)]
        if not columns:
            raise InputError(f"{folder} has no column of images: {', '.join(rows.column_names)}")
        self._column = columns[0]
        # Undecoded: a picture that cannot be read must be an error of that picture alone.
        self._rows = rows.select_columns([self._column]).cast_column(
            self._column, datasets.Image(decode=False)
        )
        if not len(self._rows):
            raise InputError(f"{folder} holds no images")
        self._sizes = [path.stat().st_size for path in sorted(folder.glob("*.arrow"))]
        self.name = folder.resolve().name

    def __len__(self) -> int:
        return len(self._rows)

    def relative_name(self, number: int) -> str:
        return f"row {number}"

    def size_of(self, number: int) -> int:
        """The sizes of the files stand for those of the rows."""
        return self._sizes[number] if number < len(self._sizes) else 0

    def open(self, number: int) -> Image.Image:
        return _picture(self._rows[number][self._column])


class ParquetImages(ImageSet):
    """The rows of parquet files in the order of their names, one row group in memory at a time.

    Raises:
        InputError: the library is missing, a file cannot be read, or no column holds pictures.
    """

    def __init__(self, folder: Path) -> None:
        parquet = _library("pyarrow.parquet")
        self._files = sorted(path.resolve() for path in folder.glob("*.parquet"))
        self._places: list[tuple[int, int]] = []
        counts = []
        for number, path in enumerate(self._files):
            try:
                told = parquet.ParquetFile(path)
            except Exception as error:  # pyarrow's errors share no base
                raise InputError(f"{path} is no parquet file that can be read") from error
            for group in range(told.num_row_groups):
                self._places.append((number, group))
                counts.append(told.metadata.row_group(group).num_rows)
        self._ends = list(itertools.accumulate(counts))
        self._column = _image_column(parquet.ParquetFile(self._files[0]).schema_arrow, folder)
        if not len(self):
            raise InputError(f"{folder} holds no images")
        self._lock = Lock()
        self._group: tuple[int, list[Any]] = (-1, [])
        self.name = folder.resolve().name

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def relative_name(self, number: int) -> str:
        group, row = self._find(number)
        file, inner = self._places[group]
        return f"{self._files[file].name}/row group {inner}/row {row}"

    @cached_property
    def _file_sizes(self) -> list[int]:
        return [path.stat().st_size for path in self._files]

    def size_of(self, number: int) -> int:
        """The sizes of the files stand for those of the rows."""
        return self._file_sizes[number] if number < len(self._files) else 0

    def open(self, number: int) -> Image.Image:
        group, row = self._find(number)
        with self._lock:
            if self._group[0] != group:
                file, inner = self._places[group]
                parquet = _library("pyarrow.parquet")
                table = parquet.ParquetFile(self._files[file]).read_row_group(
                    inner, columns=[self._column]
                )
                self._group = (group, table.column(self._column).to_pylist())
            cell = self._group[1][row]
        return _picture(cell)

    def _find(self, number: int) -> tuple[int, int]:
        """The row group that holds a row, and the row's place in it."""
        group = bisect.bisect_right(self._ends, number)
        return group, number - (self._ends[group - 1] if group else 0)


def _image_column(schema: Any, folder: Path) -> str:
    """The first column of file contents: bytes, or a struct that holds bytes."""
    arrow = _library("pyarrow")
    for field in schema:
        kind = field.type
        if arrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            kind = kind.field("bytes").type
        if arrow.types.is_binary(kind) or arrow.types.is_large_binary(kind):
            return str(field.name)
    raise InputError(f"{folder} has no column of images: {', '.join(schema.names)}")


def _picture(cell: Any) -> Image.Image:
    """A picture from what a data set keeps of it: its bytes, or the path of a file."""
    if isinstance(cell, Mapping):
        cell = cell.get("bytes") or cell.get("path")
    if isinstance(cell, bytes):
        return Image.open(io.BytesIO(cell))
    if isinstance(cell, str):
        return Image.open(cell)
    raise OSError("the row holds no picture")


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            "Hugging Face data sets need the library `datasets`: pip install 'pairscope[hf]'"
        ) from error
