"""Segmentation of one picture against the backbone alone, and what another prompt costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from backend.clip import ClipResNet
from backend.clip.encoded import EncodedImage
from backend.clip.encoder import WINDOWS_AT_ONCE, EncodingSettings
from backend.clip.models import resolve_device
from backend.clip.segmentation import Segmenter
from backend.clip.text import ReadTexts
from backend.pairs.coefficients import pool_tokens
from backend.pairs.segmentation import clean_reading, head_heatmaps, head_values
from backend.pairs.similarity import fold_texts
from precompute.bench.clock import in_turns
from precompute.bench.models import random_model, random_pool
from precompute.bench.report import Part, report
from precompute.bench.rows import Row, own_row, time_row

SEGMENT_REACH = 1.10
PROMPT_REACH = 0.020
HEATMAP_REACH = 0.6

PICTURE = (640, 480)
PROMPTS = 10
OFFERED = 250
"""Random texts among which those that the picture has most of are chosen."""

ASIDE = 0.02
"""How far other texts are from these."""

WORDS = 2000

WINDOWS_ALONE = EncodingSettings(whole_pass=False)


HEATMAP_MODEL = "RN50x16"
"""The model whose heatmaps cost most beside its pool among those that people use."""


def bench_segment(
    model: str,
    device: str,
    note: Callable[[str], None],
    *,
    rounds: int,
    compiled: bool,
    quick: bool,
) -> dict[str, Any]:
    """Machine, parameters and rows as plain data; ``note`` is told what is measured next."""
    place = torch.device(resolve_device(device))
    of_maps = model if quick else HEATMAP_MODEL
    parts: list[Part] = [
        ("maps", lambda: [heatmap_row(of_maps, place, rounds=5 * rounds)]),
        ("segmentation", lambda: segmentation_rows(model, place, rounds=rounds)),
    ]
    if compiled:
        parts.append(("torch.compile", lambda: [compiled_row(model, place, rounds=rounds)]))
    parameters = {"model": model, "maps_model": of_maps, "prompts": PROMPTS, "rounds": rounds}
    return report(parts, device=place, parameters=parameters, quick=quick, note=note)


@dataclass(frozen=True)
class Subject:
    """A model of random weights with a segmenter, a picture of noise, and texts."""

    model: ClipResNet
    segmenter: Segmenter
    picture: Image.Image
    texts: ReadTexts

    def more_texts(self) -> Iterator[ReadTexts]:
        """The same texts with one more, another each time."""
        for others in self.other_texts():
            yield _read(torch.cat([self.texts.embeddings, others.embeddings[:1]]))

    def other_texts(self) -> Iterator[ReadTexts]:
        """As many texts, all of them others each time, and near enough to be found too."""
        own = self.texts.embeddings
        for seed in count(1):
            aside = _unit(len(own), own.shape[1], seed=seed).to(own.device)
            yield _read(F.normalize(own + ASIDE * aside, dim=1))


def subject(name: str, device: torch.device) -> Subject:
    """Texts are random directions that the picture has somewhere, as those are that people ask for:
    a text that nothing holds takes no time in the mask."""
    model = random_model(name, device)
    generator = torch.Generator().manual_seed(0)
    shape = (model.factors.n_heads, model.factors.n_neurons)
    segmenter = Segmenter(
        model,
        templates=["{}"],
        vocabulary=_texts(model, WORDS, seed=0).embeddings,
        sign=torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0),
    )
    width, height = PICTURE
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    offered = _texts(model, OFFERED, seed=-1)
    peaks = segmenter.segment(picture, offered).logits.max(axis=(1, 2))
    found = torch.from_numpy(np.argsort(-peaks)[:PROMPTS].copy())
    return Subject(model, segmenter, picture, _read(offered.embeddings[found]))


def segmentation_rows(name: str, device: torch.device, *, rounds: int) -> list[Row]:
    """A whole segmentation beside the backbone on the same windows, and another prompt."""
    asked = subject(name, device)
    seen = asked.segmenter.encode(asked.picture, WINDOWS_ALONE)
    windows = _windows(asked, seen)
    more, others = asked.more_texts(), asked.other_texts()

    def segment(texts: ReadTexts) -> None:
        fresh = asked.segmenter.encode(asked.picture, WINDOWS_ALONE)
        asked.segmenter.answer(fresh, texts)

    def backbone() -> None:
        for part in windows:
            asked.model.feature_map(part)

    times = in_turns(
        {
            "ours": lambda: segment(asked.texts),
            "new": lambda: segment(next(others)),
            "backbone": backbone,
        },
        rounds=rounds,
        device=device,
        warm=True,
    )
    asked.segmenter.answer(seen, asked.texts)
    prompt = in_turns(
        {"another": lambda: asked.segmenter.answer(seen, next(more))},
        rounds=5 * rounds,
        device=device,
        warm=True,
    )
    many = len(seen.layout.corners)
    how = f"a picture of {PICTURE[0]} x {PICTURE[1]} pixels, {many} windows, background of words"
    return [
        time_row(
            f"segment a picture by {PROMPTS} prompts, {name}",
            times,
            "ours",
            "backbone",
            beside="the backbone alone on the same windows",
            reach=SEGMENT_REACH,
            bound="at most",
            how=f"{how}; texts embedded, and their pairs chosen, for a picture before; "
            f"{rounds} rounds",
        ),
        time_row(
            f"the same by {PROMPTS} prompts that no picture was segmented by, {name}",
            times,
            "new",
            "backbone",
            beside="the backbone alone on the same windows",
            reach=SEGMENT_REACH,
            bound="at most",
            how=f"{how}; texts embedded before, not their pairs chosen; {rounds} rounds",
        ),
        own_row(
            f"another prompt on the same picture, {name}",
            "s",
            prompt.median("another"),
            meaning="ours",
            reach=PROMPT_REACH,
            how=f"{how}; an eleventh text, embedded before, mask of all; {5 * rounds} rounds",
            by_processor_time=prompt.processor_median("another"),
        ),
    ]


def heatmap_row(name: str, device: torch.device, *, rounds: int) -> Row:
    """Head heatmaps of an image for ten texts against open_clip's own attention pool."""
    pool = random_pool(name, device)
    texts = _unit(PROMPTS, pool.factors.d_out, seed=0).to(device)

    @torch.inference_mode()
    def ours() -> object:
        tokens = pool_tokens(pool.feature_map, pool.positions)[0, 1:]
        reading = clean_reading(head_values(tokens, pool.factors), pool.factors)
        return head_heatmaps(reading, fold_texts(texts, pool.factors))

    @torch.inference_mode()
    def theirs() -> object:
        return pool.pool(pool.feature_map)

    times = in_turns({"ours": ours, "theirs": theirs}, rounds=rounds, device=device, warm=True)
    return time_row(
        f"token x head maps of {PROMPTS} texts, {name}",
        times,
        "ours",
        "theirs",
        beside="open_clip's attention pool, forward",
        reach=HEATMAP_REACH,
        bound="at most",
        how=f"from the last block's output of one image, {rounds} rounds",
    )


def compiled_row(name: str, device: torch.device, *, rounds: int) -> Row:
    """The backbone compiled by ``torch.compile`` against the folded one that is used."""
    asked = subject(name, device)
    windows = _windows(asked, asked.segmenter.encode(asked.picture, WINDOWS_ALONE))
    visual = asked.model.model.visual
    layers = torch.nn.Sequential(
        visual.layer1, visual.layer2, visual.layer3, visual.layer4
    )  # fmt: skip
    compiled = torch.compile(layers)

    @torch.inference_mode()
    def run(tower: Callable[[Tensor], Tensor]) -> None:
        for part in windows:
            tower(visual.stem(part.to(memory_format=torch.channels_last)))

    times = in_turns(
        {"compiled": lambda: run(compiled), "plain": lambda: run(layers)},
        rounds=rounds,
        device=device,
        warm=True,
    )
    return time_row(
        f"the backbone under torch.compile, {name}",
        times,
        "compiled",
        "plain",
        beside="the same folded backbone, not compiled",
        reach=None,
        bound="at most",
        how=f"for comparison: it is not used; {rounds} rounds after compilation",
    )


def _windows(asked: Subject, seen: EncodedImage) -> list[Float[Tensor, "image 3 height width"]]:
    """Noise in the shape of the picture's windows, in the batches that they run in."""
    side = asked.model.image_size
    pixels = torch.randn(len(seen.layout.corners), 3, side, side)
    at_once = WINDOWS_AT_ONCE[asked.model.device.type]
    return list(torch.split(pixels.to(asked.model.device), at_once))


def _texts(model: ClipResNet, number: int, *, seed: int) -> ReadTexts:
    return _read(_unit(number, model.factors.d_out, seed=seed).to(model.device))


def _read(embeddings: Float[Tensor, "text d_out"]) -> ReadTexts:
    many = len(embeddings)
    return ReadTexts(embeddings, torch.ones(many), torch.ones(many, dtype=torch.bool))


def _unit(number: int, width: int, *, seed: int) -> Float[Tensor, "text d_out"]:
    generator = torch.Generator().manual_seed(seed & 0xFFFF)
    return F.normalize(torch.randn(number, width, generator=generator), dim=1)
