"""Pictures in a folder."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from precompute.datasets.base import IMAGE_SUFFIXES, ImageSet
from precompute.errors import InputError


class ImageFolder(ImageSet):
    """All pictures below a folder, in the order of their relative paths.

    Raises:
        InputError: the folder does not exist or holds no picture.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of images")
        self._folder = folder.resolve()
        names = (
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        )
        # Strings take a fifth of the memory of paths; folder by folder, as paths are ordered.
        self._names = sorted(names, key=lambda name: name.replace("/", "\0"))
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
