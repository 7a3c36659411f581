"""Image sets that a store can be computed from, as numbered pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from precompute.demo_world.scenes import batches
from precompute.errors import InputError

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif"})

READERS = 2
"""Threads that decode ahead of the model; decoding releases the interpreter's lock."""

Preprocess = Callable[[Image.Image], Float[Tensor, "3 row column"]]


@dataclass(frozen=True)
class ImageBlock:
    """Preprocessed consecutive images; ``numbers`` are their places in the set.

    ``numbers`` skips images that could not be read; those are named in ``unreadable``.
    """

    pixels: Float[Tensor, "image 3 row column"]
    numbers: list[int]
    unreadable: list[str]


@runtime_checkable
class ImageSet(Protocol):
    """A numbered set of pictures."""

    name: str

    def __len__(self) -> int: ...

    def blocks(
        self, preprocess: Preprocess, *, size: int, numbers: list[int] | None = None
    ) -> Iterator[ImageBlock]:
        """Blocks of at most ``size`` images in order: the whole set, or just ``numbers``."""
        ...


class ImageFolder:
    """All pictures below a folder, in the order of their relative paths.

    Raises:
        InputError: the folder does not exist or holds no picture.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder of images")
        self._folder = folder
        self._paths = sorted(
            path.relative_to(folder)
            for path in folder.rglob("*")
            if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()
        )
        if not self._paths:
            kinds = ", ".join(sorted(IMAGE_SUFFIXES))
            raise InputError(f"{folder} holds no images ({kinds})")
        self.name = folder.resolve().name

    def __len__(self) -> int:
        return len(self._paths)

    def blocks(
        self, preprocess: Preprocess, *, size: int, numbers: list[int] | None = None
    ) -> Iterator[ImageBlock]:
        wanted = list(range(len(self))) if numbers is None else numbers

        def read(number: int) -> Tensor | None:
            return _read(self._folder / self._paths[number], preprocess)

        with ThreadPoolExecutor(READERS) as pool:
            ahead = None
            # One block is decoded while the model works on the one before.
            for start in range(0, len(wanted) + size, size):
                part = wanted[start : start + size]
                following = [(number, pool.submit(read, number)) for number in part]
                if ahead:
                    yield self._block([(number, task.result()) for number, task in ahead])
                ahead = following

    def _block(self, read: list[tuple[int, Tensor | None]]) -> ImageBlock:
        good = [(number, pixels) for number, pixels in read if pixels is not None]
        return ImageBlock(
            pixels=torch.stack([pixels for _, pixels in good]) if good else torch.empty(0, 3, 1, 1),
            numbers=[number for number, _ in good],
            unreadable=[str(self._paths[number]) for number, pixels in read if pixels is None],
        )


class DemoScenes:
    """Unseen scenes of the demo world, made when they are first needed and kept: 0.2 MB each."""

    name = "demo world"

    def __init__(self, count: int, *, seed: int, size: int) -> None:
        self._count = count
        self._unmade = batches(seed, count, size=size)
        self._made: list[Image.Image] = []

    def __len__(self) -> int:
        return self._count

    def _picture(self, number: int) -> Image.Image:
        while len(self._made) <= number:
            self._made += [Image.fromarray(scene.numpy()) for scene in next(self._unmade).images]
        return self._made[number]

    def blocks(
        self, preprocess: Preprocess, *, size: int, numbers: list[int] | None = None
    ) -> Iterator[ImageBlock]:
        wanted = list(range(self._count)) if numbers is None else numbers
        for start in range(0, len(wanted), size):
            part = wanted[start : start + size]
            pixels = torch.stack([preprocess(self._picture(number)) for number in part])
            yield ImageBlock(pixels, part, [])


def _read(path: Path, preprocess: Preprocess) -> Tensor | None:
    """Preprocessed pixels of a file; None when it cannot be decoded."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return preprocess(image)
    except (
        OSError,
        ValueError,
        SyntaxError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        return None
