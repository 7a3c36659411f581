"""One pass over images against the backbone's forward alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image

from precompute.bench.clock import in_turns
from precompute.bench.models import random_clip, random_model
from precompute.bench.rows import Row, time_row
from precompute.datasets import ImageBlock, ImageSet, Preprocess
from precompute.engines.local import LocalEngine
from precompute.estimate import images_at_once
from precompute.stages.collect import collect
from precompute.stages.plan import Plan
from precompute.work import HISTOGRAM_BINS, SEGMENT_IMAGES

REACH = 1.10

COMPARED_BLOCKS = 8
"""Blocks of which open_clip's own time is taken, which is for comparison."""


class Pictures(ImageSet):
    """Seeded noise that is in memory already: decoding is not what is measured."""

    name = "noise"

    def __init__(self, count: int, *, size: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.randn(count, 3, size, size, generator=generator)

    def __len__(self) -> int:
        return len(self.pixels)

    def relative_name(self, number: int) -> str:
        return f"picture {number}"

    def open(self, number: int) -> Image.Image:
        raise OSError("these pictures have no files")

    def decoded(
        self, preprocess: Preprocess, parts: Iterable[Sequence[int]]
    ) -> Iterator[ImageBlock]:
        for part in parts:
            pixels = self.pixels[part[0] : part[-1] + 1]  # the parts of a pass are consecutive
            yield ImageBlock(pixels, list(part), [])


def image_rows(model: str, count: int, device: torch.device, *, rounds: int) -> list[Row]:
    """The collect stage as the job runs it, against the same forward passes without it."""
    engine = random_model(model, device)
    block = images_at_once(engine)
    reference = random_clip(model).to(device)
    images = Pictures(count, size=engine.image_size)
    plan = Plan(
        images=count,
        segment=SEGMENT_IMAGES,
        block=block,
        bins=HISTOGRAM_BINS,
        threads=torch.get_num_threads(),
    )

    def ours() -> None:
        with tempfile.TemporaryDirectory() as folder:
            collect(
                engine,
                images,
                plan,
                engine=LocalEngine(),
                folder=Path(folder) / "collect",
                advance=lambda _: None,
            )

    parts = [images.pixels[blocks.start : blocks.stop] for blocks in _blocks(count, block)]
    fewer = parts[:COMPARED_BLOCKS]

    @torch.inference_mode()
    def backbone() -> None:
        for pixels in parts:
            engine.feature_map(pixels)

    @torch.inference_mode()
    def open_clips() -> None:
        for pixels in fewer:
            reference.encode_image(pixels.to(device))

    times = in_turns(
        {"ours": ours, "backbone": backbone, "open_clip": open_clips},
        rounds=rounds,
        device=device,
        warm=False,
        counts={"ours": count, "backbone": count, "open_clip": sum(map(len, fewer))},
    )
    how = f"{count} images in memory, {block} at once, {rounds} rounds"

    def row(name: str, beside: str, reach: float | None, note: str) -> Row:
        return time_row(
            f"precompute over images, {model}, an image",
            times,
            "ours",
            name,
            beside=beside,
            reach=reach,
            bound="at most",
            how=f"{how}; {note}",
        )

    return [
        row("backbone", "the backbone's forward alone", REACH, "the same folded backbone"),
        row("open_clip", "open_clip's encode_image", None, "as it comes, pool included"),
    ]


def _blocks(count: int, block: int) -> list[range]:
    return [range(start, min(start + block, count)) for start in range(0, count, block)]
