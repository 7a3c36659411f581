"""Image sets that a store can be computed from, as numbered pictures."""

from __future__ import annotations

from pathlib import Path

from precompute.datasets.base import ImageBlock, ImageSet, Preprocess
from precompute.datasets.demo import DemoScenes
from precompute.datasets.folder import ImageFolder
from precompute.datasets.huggingface import ParquetImages, SavedDataset, is_saved_dataset
from precompute.datasets.shards import TarShards, shard_paths
from precompute.errors import InputError

__all__ = ["DemoScenes", "ImageBlock", "ImageFolder", "ImageSet", "Preprocess", "open_images"]


def open_images(place: str) -> ImageSet:
    """The image set at a place.

    Args:
        place: a folder of pictures, of tar shards or of a Hugging Face data set; a tar file, a
            pattern (``DIR/*.tar``) or a range (``DIR/{0000..0012}.tar``).

    Raises:
        InputError: nothing that can be read is there.
    """
    path = Path(place)
    if path.is_dir():
        return _open_folder(path)
    if path.suffix == ".tar" or any(mark in place for mark in "*?{"):
        paths = shard_paths(place) if not path.is_file() else [path]
        return TarShards(paths, name=path.stem if len(paths) == 1 else _common(paths))
    raise InputError(f"{place} is not a folder of images or a tar file")


def _open_folder(folder: Path) -> ImageSet:
    if is_saved_dataset(folder):
        return SavedDataset(folder)
    if any(folder.glob("*.parquet")):
        return ParquetImages(folder)
    shards = sorted(folder.glob("*.tar"))
    if shards:
        return TarShards(shards, name=folder.resolve().name)
    return ImageFolder(folder)


def _common(paths: list[Path]) -> str:
    return paths[0].resolve().parent.name
