"""The offline job: model + images + vocabulary -> store."""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backend.clip import DEMO, ClipResNet
from backend.pairs.factors import write_norms
from backend.pairs.statistics import RANKS, OrientedStatistics, monosemanticity, orient, percentiles
from backend.store import Manifest, StoreWriter
from backend.store.format import (
    BOTTOM_SHOWN,
    EMBEDDINGS,
    EXPLANATIONS,
    FACTORS,
    MAPS,
    STATISTICS,
    THUMBNAILS,
    TOP_SHOWN,
    VOCABULARY,
    DatasetRecord,
    ModelRecord,
    check_name,
    slug,
)
from precompute.datasets import ImageSet
from precompute.errors import InputError
from precompute.progress import Progress
from precompute.stages.collect import Collected, collect, statistics_arrays
from precompute.stages.exemplars import exemplar_maps, thumbnails
from precompute.stages.explain import SIGNALS_AT_ONCE, Explanations, cosine_steps, explain
from precompute.stages.vocabulary import embed_vocabulary

IMAGES_AT_ONCE = 32
HISTOGRAM_BINS = 32
ATOMS = 64


@dataclass(frozen=True)
class Parameters:
    """Everything that the numbers of a store depend on beside model, images and vocabulary."""

    atoms: int = ATOMS
    ranks: int = RANKS
    histogram_bins: int = HISTOGRAM_BINS
    images_at_once: int = IMAGES_AT_ONCE
    signals_at_once: int = SIGNALS_AT_ONCE
    threads: int = field(default_factory=torch.get_num_threads)

    def recorded(self) -> dict[str, Any]:
        return {**asdict(self), "cosine_steps": cosine_steps(self.atoms)}


@dataclass(frozen=True)
class Job:
    """One run of the offline job.

    Attributes:
        name: address slug; None for model-tag-dataset, or ``demo`` for the demo model.
        exemplars: False leaves thumbnails and maps out, for images that may not be shown.
    """

    model: ClipResNet
    images: ImageSet
    vocabulary: list[str]
    templates: list[str]
    out: Path
    name: str | None = None
    exemplars: bool = True
    parameters: Parameters = field(default_factory=Parameters)

    def slug(self) -> str:
        identity = self.model.identity
        if self.name is not None:
            return self.name
        if identity.architecture == DEMO:
            return DEMO
        return slug(identity.architecture, identity.pretrained, self.images.name)


def run(job: Job, progress: Progress) -> Manifest:
    """Computes and writes a store.

    Raises:
        InputError: the parameters do not fit the model or vocabulary, or no image can be read.
        StoreError: the output folder cannot be used.
    """
    name = check_name(job.slug())
    limit = min(len(job.vocabulary), job.model.factors.d_out)
    if not 1 <= job.parameters.atoms <= limit:
        raise InputError(
            f"--atoms must be between 1 and {limit} (vocabulary and width of the joint space), "
            f"got {job.parameters.atoms}"
        )
    writer = StoreWriter(job.out)
    clock = _Clock()

    with clock("vocabulary"), progress.stage("words", len(job.vocabulary)) as advance:
        embeddings = embed_vocabulary(job.model, job.vocabulary, job.templates, advance)
    writer.text(VOCABULARY, job.vocabulary)
    writer.arrays(EMBEDDINGS, {"embeddings": embeddings.numpy()})
    writer.arrays(FACTORS, _factor_arrays(job.model))

    with clock("collect"), progress.stage("images", len(job.images)) as advance:
        collected = collect(
            job.model,
            job.images,
            block=job.parameters.images_at_once,
            bins=job.parameters.histogram_bins,
            advance=advance,
        )
    with clock("summarise"):
        oriented = orient(collected.statistics, write_norms(job.model.factors))
        writer.arrays(STATISTICS, _statistics_arrays(collected, oriented))

    with clock("explain"), progress.stage("pairs", job.model.factors.n_pairs) as advance:
        explanations = explain(
            job.model.factors, embeddings, atoms=job.parameters.atoms, advance=advance
        )
    writer.arrays(EXPLANATIONS, _explanation_arrays(explanations, oriented.sign.cpu()))

    if job.exemplars:
        with clock("exemplars"):
            _write_exemplars(job, writer, collected, oriented, progress)

    return writer.finish(
        name=name,
        model=ModelRecord(**asdict(job.model.identity)),
        preprocessing=asdict(job.model.preprocessing),
        dataset=DatasetRecord(job.images.name, collected.statistics.count, collected.unreadable),
        templates=job.templates,
        parameters=job.parameters.recorded(),
        code_version=importlib.metadata.version("pairscope"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        timings=clock.seconds,
    )


class _Clock:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 3)


def _factor_arrays(model: ClipResNet) -> dict[str, np.ndarray]:
    factors = model.factors.to("cpu")
    return {
        "value": factors.value.numpy(),
        "output": factors.output.numpy(),
        "value_bias": factors.value_bias.numpy(),
        "output_bias": factors.output_bias.numpy(),
        "constant": factors.constant.numpy(),
    }


def _statistics_arrays(collected: Collected, oriented: OrientedStatistics) -> dict[str, np.ndarray]:
    top_images = oriented.top_images.cpu()
    # Rows of unreadable images must not pull the spread over all images towards zero.
    places = collected.readable.cumsum(0) - 1
    compact = torch.where(top_images >= 0, places[top_images.clamp_min(0)], top_images)
    told = {
        "sign": oriented.sign.to(torch.int8),
        "norm": oriented.norm,
        "norm_percentile": percentiles(oriented.norm),
        "monosemanticity": monosemanticity(compact, collected.embeddings[collected.readable]),
        "top_images": oriented.top_images.to(torch.int32),
        "top_values": oriented.top_values,
        "bottom_images": oriented.bottom_images.to(torch.int32),
        "bottom_values": oriented.bottom_values,
    }
    return statistics_arrays(collected) | {name: told[name].cpu().numpy() for name in told}


def _explanation_arrays(explanations: Explanations, sign: Tensor) -> dict[str, np.ndarray]:
    return {
        "word_ids": explanations.word_ids.numpy(),
        "weights": (explanations.weights * sign[..., None]).numpy(),
        "cosine": explanations.cosine.numpy(),
    }


def _write_exemplars(
    job: Job,
    writer: StoreWriter,
    collected: Collected,
    oriented: OrientedStatistics,
    progress: Progress,
) -> None:
    shown = torch.cat(
        [oriented.top_images[..., :TOP_SHOWN], oriented.bottom_images[..., :BOTTOM_SHOWN]], dim=-1
    ).cpu()
    numbers = [int(number) for number in np.unique(shown.numpy()) if number >= 0]
    block = job.parameters.images_at_once
    with progress.stage("heatmaps", len(numbers)) as advance:
        maps = exemplar_maps(
            job.model,
            job.images,
            collected.features,
            shown=shown,
            sign=oriented.sign.cpu(),
            block=block,
            advance=advance,
        )
    writer.arrays(MAPS, {"maps": maps.numpy()})
    with progress.stage("thumbnails", len(numbers)) as advance:
        arrays = thumbnails(job.model, job.images, numbers=numbers, block=block, advance=advance)
    writer.arrays(THUMBNAILS, arrays)
