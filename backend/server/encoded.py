"""What the backbone left of pictures, kept so that further questions need no pass of it."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backend.clip.encoded import EncodedImage
    from backend.clip.encoder import EncodingSettings


class UnderWay:
    """Pictures that a request takes through the backbone now; other requests for them wait.

    Of one event loop, which alone may use it.
    """

    def __init__(self) -> None:
        self._ended: dict[tuple[str, EncodingSettings], asyncio.Event] = {}

    @asynccontextmanager
    async def encoding(self, image: str, view: EncodingSettings) -> AsyncIterator[None]:
        """Within it others wait, however it ends."""
        ended = self._ended[image, view] = asyncio.Event()
        try:
            yield
        finally:
            del self._ended[image, view]
            ended.set()

    async def wait(self, image: str, view: EncodingSettings) -> bool:
        """Whether somebody was at it, who has ended now."""
        ended = self._ended.get((image, view))
        if ended is not None:
            await ended.wait()
        return ended is not None


class EncodedImages:
    """What the backbone left of pictures, at most about ``max_bytes`` of it; the oldest make room.

    Answers add to an encoded picture, so its size is looked at again after each.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[tuple[str, EncodingSettings], EncodedImage] = OrderedDict()
        self._lock = threading.Lock()
        self.hits = 0
        self.misses = 0

    def find(self, image: str, view: EncodingSettings) -> EncodedImage | None:
        """The picture of an id, if it is still here."""
        with self._lock:
            found = self._kept.get((image, view))
            if found is None:
                self.misses += 1
            else:
                self.hits += 1
                self._kept.move_to_end((image, view))
            return found

    def keep(self, image: str, view: EncodingSettings, encoded: EncodedImage) -> None:
        """Keep a picture that was used just now."""
        with self._lock:
            self._kept[image, view] = encoded
            self._kept.move_to_end((image, view))
            while len(self._kept) > 1 and self._bytes() > self._max_bytes:
                self._kept.popitem(last=False)

    def forget(self, image: str) -> None:
        """Drop a picture that was deleted."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == image]:
                del self._kept[key]

    @property
    def nbytes(self) -> int:
        with self._lock:
            return self._bytes()

    def _bytes(self) -> int:
        return sum(encoded.nbytes for encoded in self._kept.values())
