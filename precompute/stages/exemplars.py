"""Thumbnails of the images that pages show, and where in them each pair's value comes from."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from backend.clip import ClipResNet
from backend.pairs.coefficients import activation_maps
from backend.store import StoreError
from precompute.datasets import ImageSet
from precompute.stages.plan import Plan
from precompute.stages.segments import FeatureCache, decomposed, rounded_features

THUMBNAIL_SIDE = 160
WEBP_QUALITY = 80
WEBP_EFFORT = 2
"""Of 0 to 6; 4 takes half as long again for files 3 % smaller."""

MAPS_AT_ONCE = 1 << 14
"""Maps of one image that are made together: 10 MB at 12 x 12 cells, and a few times as much beside.
Of a set of few images every one is shown by a large share of the pairs."""

ENCODERS = 2
"""Threads that encode; encoding releases the interpreter's lock."""


def exemplar_maps(
    model: ClipResNet,
    images: ImageSet,
    features: FeatureCache,
    plan: Plan,
    *,
    shown: Int[Tensor, "head neuron place"],
    sign: Int[Tensor, "head neuron"],
    advance: Callable[[int], None],
) -> Float[Tensor, "head neuron place row column"]:
    """Oriented maps, half precision, of every pair on its shown images (-1 for none, map zero).

    Features that are not kept are computed again, in the plan's blocks, and rounded as kept ones
    are: both give the same bytes.
    """
    heads, neurons, places = shown.shape
    flat = shown.flatten()
    order = flat.argsort(stable=True)
    wanted, counts = torch.unique_consecutive(flat[order], return_counts=True)
    ends = counts.cumsum(0)

    def entries_of(number: int) -> Int[Tensor, " entry"]:
        image = int(torch.searchsorted(wanted, number))
        found: Tensor = order[int(ends[image] - counts[image]) : int(ends[image])]
        return found

    maps: Tensor | None = None
    for number, feature_map, attention in features_of(
        model, images, features, wanted[wanted >= 0].tolist(), plan
    ):
        if maps is None:
            maps = torch.zeros(len(flat), *feature_map.shape[1:], dtype=torch.float16)
        whole = entries_of(number)
        for start in range(0, len(whole), MAPS_AT_ONCE):
            entries = whole[start : start + MAPS_AT_ONCE]
            head = entries // (neurons * places)
            neuron = entries // places % neurons
            found = activation_maps(
                feature_map[None].float(),
                attention[None],
                image=torch.zeros_like(entries),
                head=head,
                neuron=neuron,
            )
            found *= sign[head, neuron][:, None, None]
            maps[entries] = found.half()
        advance(1)
    if maps is None:
        maps = torch.zeros(len(flat), 1, 1, dtype=torch.float16)
    return maps.reshape(heads, neurons, places, *maps.shape[1:])


def features_of(
    model: ClipResNet, images: ImageSet, features: FeatureCache, numbers: list[int], plan: Plan
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(number, feature map, attention) of each image: kept, else computed again."""
    for number in numbers:
        if number in features.maps:
            yield (number, *features.maps[number])
    missing = {number for number in numbers if number not in features.maps}
    parts = {part.start: part for part in map(plan.block_of, sorted(missing))}
    for block in decomposed(model, images, list(parts.values())):
        if block.found is None:
            continue
        for place, number in enumerate(block.numbers):
            if number in missing:
                yield (number, *rounded_features(block.found, place))


def thumbnails(
    model: ClipResNet,
    images: ImageSet,
    *,
    numbers: list[int],
    block: int,
    file: Path,
    advance: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """WebP thumbnails of what the model saw (after its resize and crop), as one byte array.

    ``numbers`` ascend.  The bytes are gathered in ``file``, not in memory: 10 GB of a million.

    Raises:
        StoreError: the disk refuses.
    """
    mean = torch.tensor(model.preprocessing.mean)[:, None, None]
    std = torch.tensor(model.preprocessing.std)[:, None, None]
    lengths = np.zeros(len(images), dtype=np.int64)
    with _written(file) as gathered, ThreadPoolExecutor(ENCODERS) as pool:
        for part in images.blocks(model.preprocess, size=block, numbers=numbers):
            seen = ((part.pixels * std + mean).clamp(0, 1) * 255).round().to(torch.uint8)
            pictures = seen.permute(0, 2, 3, 1).numpy()
            for number, data in zip(part.numbers, pool.map(_webp, pictures), strict=True):
                lengths[number] = gathered.write(data)
            advance(len(part.numbers))
    offsets = np.concatenate([[0], lengths.cumsum()]).astype(np.int64)
    found = np.memmap(file, np.uint8, "r") if offsets[-1] else np.empty(0, np.uint8)
    return {"bytes": found, "offsets": offsets}


@contextmanager
def _written(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("wb") as stream:
            yield stream
    except OSError as error:
        raise StoreError(f"{file} cannot be written: {error.strerror}") from error


def _webp(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(pixels)
    picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    picture.save(buffer, "WEBP", quality=WEBP_QUALITY, method=WEBP_EFFORT)
    return buffer.getvalue()
