"""Scenes of the demo world as an image set."""

from __future__ import annotations

from PIL import Image

from precompute.datasets.base import ImageSet, Lock
from precompute.demo_world.scenes import PIXELS_AT_ONCE, generate_batch


class DemoScenes(ImageSet):
    """Unseen scenes of the demo world, made when they are first needed and kept: 0.2 MB each."""

    name = "demo world"

    def __init__(self, count: int, *, seed: int, size: int) -> None:
        self._count, self._seed, self._size = count, seed, size
        self._at_once = max(1, PIXELS_AT_ONCE // (size * size))
        self._made: dict[int, list[Image.Image]] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return self._count

    def relative_name(self, number: int) -> str:
        return f"scene {number} of seed {self._seed}, {self._size} pixels"

    def open(self, number: int) -> Image.Image:
        batch, place = divmod(number, self._at_once)
        with self._lock:
            if batch not in self._made:
                start = batch * self._at_once
                indices = range(start, min(self._count, start + self._at_once))
                images = generate_batch(self._seed, indices, size=self._size).images
                self._made[batch] = [Image.fromarray(image.numpy()) for image in images]
        return self._made[batch][place].copy()
