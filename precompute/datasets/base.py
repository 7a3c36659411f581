"""What every image set is to the job: numbered pictures, decoded ahead of the model."""

from __future__ import annotations

import hashlib
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".avif"})

READERS = min(8, max(2, os.cpu_count() or 2))
"""Threads that decode ahead of the model; decoding releases the interpreter's lock."""

BLOCKS_AHEAD = 2
"""Blocks decoded while the model works on the one before: 57 MB each for RN50x16."""

MOST_PIXELS = 89_478_485
"""Of one image; a larger one counts as unreadable.  268 MB decoded, for each reader.  Pillow warns
from here on, but a filter that makes its warning an error holds for all threads at once."""

Preprocess = Callable[[Image.Image], Float[Tensor, "3 row column"]]


@dataclass(frozen=True)
class ImageBlock:
    """Preprocessed consecutive images; ``numbers`` are their places in the set.

    ``numbers`` skips images that could not be read; those are named in ``unreadable``.
    """

    pixels: Float[Tensor, "image 3 row column"]
    numbers: list[int]
    unreadable: list[str]


class ImageSet(ABC):
    """A numbered set of pictures.  Numbers and names must be the same whenever it is opened.

    Objects are sent to other processes by some engines, so they must survive pickling.

    Attributes:
        name: what the set is called in a store.
        damaged: parts of the set that could not even be listed, a sentence each.
        notes: what else a person should know of how the set was read, a sentence each.
    """

    name: str
    damaged: Sequence[str] = ()
    notes: Sequence[str] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def relative_name(self, number: int) -> str:
        """Where an image lies, relative to the set."""

    @abstractmethod
    def open(self, number: int) -> Image.Image:
        """One picture, not decoded yet; raises whatever its decoder does when it cannot be read."""

    def size_of(self, number: int) -> int:
        """Bytes of an image's file, as far as that is known without reading it; else 0."""
        return 0

    def digest(self) -> str:
        """SHA-256 of all names and sizes: tells whether a set is still the one that it was."""
        digest = hashlib.sha256()
        for number in range(len(self)):
            digest.update(f"{self.relative_name(number)}\0{self.size_of(number)}\n".encode())
        return digest.hexdigest()

    def blocks(
        self, preprocess: Preprocess, *, size: int, numbers: Sequence[int] | None = None
    ) -> Iterator[ImageBlock]:
        """Blocks of at most ``size`` images in order: the whole set, or just ``numbers``."""
        wanted = range(len(self)) if numbers is None else numbers
        parts = (wanted[start : start + size] for start in range(0, len(wanted), size))
        return self.decoded(preprocess, parts)

    def decoded(
        self, preprocess: Preprocess, parts: Iterable[Sequence[int]]
    ) -> Iterator[ImageBlock]:
        """One block for each of ``parts``, lists of image numbers, decoded ahead of their use."""
        with ThreadPoolExecutor(READERS) as pool:
            ahead: deque[list[tuple[int, Future[Tensor | None]]]] = deque()
            try:
                for part in parts:
                    ahead.append(
                        [(number, pool.submit(self._read, number, preprocess)) for number in part]
                    )
                    if len(ahead) > BLOCKS_AHEAD:
                        yield self._block(ahead.popleft())
                while ahead:
                    yield self._block(ahead.popleft())
            finally:
                for _, task in (pair for part in ahead for pair in part):
                    task.cancel()

    def _block(self, tasks: list[tuple[int, Future[Tensor | None]]]) -> ImageBlock:
        read = [(number, task.result()) for number, task in tasks]
        good = [(number, pixels) for number, pixels in read if pixels is not None]
        return ImageBlock(
            pixels=torch.stack([pixels for _, pixels in good]) if good else torch.empty(0, 3, 1, 1),
            numbers=[number for number, _ in good],
            unreadable=[self.relative_name(number) for number, pixels in read if pixels is None],
        )

    def _read(self, number: int, preprocess: Preprocess) -> Tensor | None:
        """Preprocessed pixels of an image; None when it cannot be decoded."""
        try:
            with self.open(number) as image:
                if image.width * image.height > MOST_PIXELS:
                    return None
                return preprocess(image)
        except MemoryError:
            # The machine's fault: a store must not depend on what else it was doing.
            raise
        except Exception:
            # Decoders fail in many ways on damaged files (OSError, ValueError, SyntaxError,
            # struct.error, ...); none of them may end the job.
            return None


class Lock:
    """A lock that another process gets anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *reason: object) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple[type[Lock], tuple[()]]:
        return Lock, ()
