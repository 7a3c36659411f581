"""Images of the data set that show best what the model can do: those that words describe well.

No model is needed: of every image the store knows the values of the pairs that it drives furthest
up or down, and these alone say how its embedding departs from the mean image's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backend.server.open_store import CLEAR_PERCENTILE, OpenStore
from backend.server.vocabulary import sharing_no_part

SAMPLES = 8

WORDS = 3
"""Words that a sample is told by: as many as the lab begins with."""

LOOKED_AT = 512
"""Images among which samples are chosen: as many times all pairs and all words, 20 G multiply-adds
for RN50x16, once."""

IMAGES_AT_ONCE = 32
"""Images whose pairs are held at a time: 19 MB for RN50x16."""


@dataclass(frozen=True)
class Sample:
    """An image of the data set.

    Attributes:
        image: its number.
        words: what its departure from the mean image is most like, the nearest first.
    """

    image: int
    words: tuple[str, ...]


def find_samples(opened: OpenStore) -> list[Sample]:
    """Images that their words fit best, no two told by the same word; none without thumbnails.

    An image is judged by the last of its words: a first one is always near, but only an image of
    something that the model knows has several.
    """
    judged: list[tuple[float, Sample]] = []
    images = _candidates(opened)
    for block, embeddings in departures(opened, images):
        for image, words in zip(block, opened.words_of_each(embeddings, WORDS), strict=True):
            judged.append((min(words.values()), Sample(image, tuple(words))))
    judged.sort(key=lambda each: -each[0])
    samples = [sample for _, sample in judged]
    apart = sharing_no_part(" ".join(sample.words) for sample in samples)
    return [samples[place] for place in islice(apart, SAMPLES)]


def departures(
    opened: OpenStore, images: Sequence[int]
) -> Iterator[tuple[Sequence[int], Float[Tensor, "image d_out"]]]:
    """What pairs write into ``images`` beyond their mean, as far as the store keeps their values.

    Comes in blocks, each with its images' numbers.
    """
    if not images:
        return
    row, head, neuron, beyond = _kept_values(opened, images)
    for start in range(0, len(images), IMAGES_AT_ONCE):
        block = images[start : start + IMAGES_AT_ONCE]
        inside = slice(*torch.searchsorted(row, torch.tensor([start, start + len(block)])).tolist())
        values = torch.zeros(len(block), opened.n_heads, opened.n_neurons)
        values[row[inside] - start, head[inside], neuron[inside]] = beyond[inside]
        written = torch.einsum("hdn,bhn->bhd", opened.factors.value, values)
        yield block, torch.einsum("hod,bhd->bo", opened.factors.output, written)


def _kept_values(opened: OpenStore, images: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Every value that is kept of ``images``: the image's place among them, head, neuron, and the
    coefficient less the pair's mean, not oriented; in the order of the images."""
    statistics = opened.store.statistics
    found: list[tuple[Tensor, ...]] = []
    for end in ("top", "bottom"):
        numbers = np.array(statistics[f"{end}_images"])
        place_of = np.full(max(int(numbers.max()), *images) + 1, -1, np.int32)
        place_of[list(images)] = np.arange(len(images))
        places = np.where(numbers < 0, -1, place_of[numbers])
        where = np.nonzero(places >= 0)
        head, neuron = torch.from_numpy(where[0]), torch.from_numpy(where[1])
        oriented = torch.from_numpy(statistics[f"{end}_values"][where].astype(np.float32))
        beyond = oriented * opened.sign[head, neuron] - opened.mean[head, neuron]
        found.append((torch.from_numpy(places[where]).long(), head, neuron, beyond))
    row, head, neuron, beyond = (torch.cat(parts) for parts in zip(*found, strict=True))
    order = row.argsort()
    return row[order], head[order], neuron[order], beyond[order]


def _candidates(opened: OpenStore) -> list[int]:
    """Top images of the strongest pairs, each once, that can be shown."""
    exemplars = opened.store.exemplars
    if exemplars is None:
        return []
    statistics = opened.store.statistics
    percentile = np.array(statistics["norm_percentile"]).ravel()
    strong = opened.by_norm[percentile[opened.by_norm] >= CLEAR_PERCENTILE]
    tops = dict.fromkeys(statistics["top_images"][..., 0].ravel()[strong].tolist())
    return [image for image in tops if exemplars.holds(image)][:LOOKED_AT]
