"""Pictures in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from precompute.datasets.base import IMAGE_SUFFIXES, ImageSet
from precompute.errors import InputError


def _pictures_below(folder: Path, above: str, unlisted: list[str]) -> Iterator[str]:
    """Relative names in the order of paths; links to folders are not followed.

    Folder by folder, so that a million names are never sorted together.
    """
    try:
        with os.scandir(folder / above) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError:
        unlisted.append(above)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _pictures_below(folder, f"{above}{entry.name}/", unlisted)
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES and entry.is_file():
            yield above + entry.name


class ImageFolder(ImageSet):
    """All pictures below a folder, in the order of their relative paths.

    Raises:
        InputError: the folder does not exist or holds no picture.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of images")
        self._folder = folder.resolve()
        unlisted: list[str] = []
        # Strings take a fifth of the memory of paths.
        self._names = list(_pictures_below(self._folder, "", unlisted))
        self.damaged = [f"{folder / name} cannot be listed" for name in unlisted]
        if not self._names:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(f"{folder} holds no images ({kinds})")
        self.name = self._folder.name

    def __len__(self) -> int:
        return len(self._names)

    def relative_name(self, number: int) -> str:
        return self._names[number]

    def size_of(self, number: int) -> int:
        try:
            return (self._folder / self._names[number]).stat().st_size
        except OSError:
            return 0

    def open(self, number: int) -> Image.Image:
        return Image.open(self._folder / self._names[number])
