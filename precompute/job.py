"""The offline job: model + images + vocabulary -> store, as a list of stages."""

from __future__ import annotations

import importlib.metadata
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from backend.clip import ClipResNet
from backend.pairs.factors import write_norms
from backend.pairs.sinks import sink_tokens
from backend.pairs.statistics import OrientedStatistics, monosemanticity, orient, percentiles
from backend.progress import Progress
from backend.store import Manifest, StoreError, StoreWriter, open_store
from backend.store.format import (
    BOTTOM_SHOWN,
    EMBEDDINGS,
    FACTORS,
    HEADS,
    MANIFEST,
    MAPS,
    NEURONS,
    STATISTICS,
    THUMBNAILS,
    TOP_SHOWN,
    VOCABULARY,
    DatasetRecord,
    ModelRecord,
    check_name,
)
from backend.store.writer import SCRATCH
from backend.tables import size_text
from precompute.errors import InputError
from precompute.estimate import Estimate, estimate
from precompute.scratch import Scratch, differences, refuse_another
from precompute.stages.collect import Collected, statistics_arrays
from precompute.stages.exemplars import exemplar_maps, thumbnails
from precompute.stages.familiarity import write_familiarity
from precompute.stages.neighbours import write_map, write_neighbours
from precompute.stages.pairs import write_explanations, write_index, write_nulls
from precompute.stages.units import write_heads, write_neurons
from precompute.stages.vocabulary import vocabulary_arrays
from precompute.work import ATOMS, Job, Parameters, Stage, Work

__all__ = ["ATOMS", "STAGES", "Job", "Parameters", "can_resume", "run"]


def run(job: Job, progress: Progress) -> Manifest:
    """Computes and writes a store, or takes up one that was interrupted.

    Raises:
        InputError: the parameters do not fit the model or vocabulary, no image can be read, or
            the folder belongs to another job.
        StoreError: the output folder cannot be used.
    """
    check(job)
    if job.resume and (job.out / MANIFEST).exists():
        manifest = finished(job)
        remove_leftovers(job)
        progress.note(f"{job.out} is finished already, and is this very job")
        return manifest
    writer = StoreWriter(job.out, resume=job.resume)
    work = Work(job, writer, progress)
    work.scratch.refuse_another(job.identity())
    expected = estimate(job.shapes())
    check_space(job.out, expected)
    for sentence in (*job.images.notes, *job.images.damaged, expected.sentence()):
        progress.note(sentence)
    with work.scratch.held():
        work.scratch.begin(job.identity())
        stages = [stage for stage in STAGES if stage.wanted(job)]
        done = [stage.name for stage in stages if work.scratch.record(stage.name)]
        if done:
            progress.note(f"taken over: {', '.join(done)}")
        try:
            for stage in stages:
                work.perform(stage)
            manifest = finish(work)
        except StoreError as error:
            raise StoreError(f"{error}; what is done is kept: go on with --resume") from error
        # Not before the store exists: in between, a kill would cost the whole job.
        work.scratch.remove()
    return manifest


def remove_leftovers(job: Job) -> None:
    """Removes what a job that was killed after its last step has left beside its finished store."""
    scratch = Scratch(job.out / SCRATCH)
    if scratch.folder.exists():
        with scratch.held():
            scratch.remove()


def can_resume(job: Job) -> bool:
    """Whether the job's folder holds this very job, unfinished."""
    if (job.out / MANIFEST).exists():
        return False
    begun = Scratch(job.out / SCRATCH).begun()
    return begun is not None and not differences(begun, job.identity())


def check(job: Job) -> None:
    """Finds out before the long work whether it can succeed."""
    check_name(job.slug())
    limit = min(len(job.vocabulary), job.model.factors.d_out)
    if not 1 <= job.parameters.atoms <= limit:
        raise InputError(
            f"--atoms must be between 1 and {limit} (vocabulary and width of the joint space), "
            f"got {job.parameters.atoms}"
        )


def check_space(out: Path, expected: Estimate) -> None:
    """Raises InputError if the disk has less room than the job needs beside what is there."""
    there = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    needed = expected.scratch + expected.store - there
    free = shutil.disk_usage(out).free
    if needed > free:
        raise InputError(
            f"the disk of {out} has {size_text(free)} free "
            f"where about {size_text(needed)} are needed"
        )


def finished(job: Job) -> Manifest:
    """The manifest of the finished store of this very job.

    Raises:
        InputError: the store is of another job.
    """
    manifest = open_store(job.out).manifest
    mine = job.identity()
    there = {
        "name": manifest.name,
        "model": asdict(manifest.model),
        "images": {
            "name": manifest.dataset.name,
            "sha256": manifest.dataset.sha256,
        },
        "vocabulary": {
            "words": len(job.vocabulary),
            "sha256": manifest.files[VOCABULARY].sha256,
        },
        "templates": manifest.templates,
        "exemplars": THUMBNAILS in manifest.files,
        "parameters": manifest.parameters,
        "code_version": manifest.code_version,
    }
    refuse_another(there, mine, folder=job.out)
    return manifest


def finish(work: Work) -> Manifest:
    """Writes the manifest, which makes the store exist."""
    job = work.job
    return work.writer.finish(
        name=job.slug(),
        model=ModelRecord(**asdict(job.model.identity)),
        preprocessing=asdict(job.model.preprocessing),
        dataset=DatasetRecord(
            name=job.images.name,
            images=work.told["images"],
            unreadable=[*job.images.damaged, *work.told["unreadable"]],
            sha256=job.images.digest(),
        ),
        templates=job.templates,
        parameters=job.recorded(),
        code_version=importlib.metadata.version("pairscope"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        timings=work.seconds,
    )


def write_vocabulary(work: Work) -> None:
    """The words and their embeddings, in parts: with 80 templates a large list takes hours."""
    words = work.job.vocabulary
    in_part = max(1, PROMPTS_IN_PART // len(work.job.templates))
    parts = []
    with work.progress.stage("words", len(words)) as advance:
        for start in range(0, len(words), in_part):
            part = words[start : start + in_part]

            def embed(part: list[str] = part) -> dict[str, np.ndarray]:
                return vocabulary_arrays(work.job.model, part, work.job.templates)

            parts.append(work.part(f"{start:07}", embed))
            advance(len(part))
    work.writer.text(VOCABULARY, words)
    told = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    work.writer.arrays(EMBEDDINGS, told)


MOST_NAMED = 3
"""Unreadable images named on the screen; the manifest names all."""

PROMPTS_IN_PART = 1024
"""Prompts that a killed job may have to embed again, and after which progress is told: seconds."""


def write_factors(work: Work) -> None:
    """The model's two weight matrices, from which every direction follows."""
    work.writer.arrays(FACTORS, _factor_arrays(work.job.model))


def collect_images(work: Work) -> None:
    """One pass over the images."""
    collected = work.collected()
    work.tell(images=collected.statistics.count, unreadable=collected.unreadable)
    if collected.unreadable:
        named = ", ".join(collected.unreadable[:MOST_NAMED])
        more = len(collected.unreadable) - MOST_NAMED
        work.progress.note(
            f"{len(collected.unreadable):,} of {collected.plan.images:,} images cannot be read: "
            f"{named}{f' and {more:,} more' if more > 0 else ''}"
        )


def write_statistics(work: Work) -> None:
    """Moments, sign, norm and extreme images of every pair."""
    collected = work.collected()
    oriented = orient(collected.statistics, write_norms(work.job.model.factors))
    work.writer.arrays(STATISTICS, _statistics_arrays(collected, oriented))


def write_exemplars(work: Work) -> None:
    """Thumbnails of the images that pages show, and maps of every pair on its own."""
    job, block = work.job, work.job.parameters.images_at_once
    statistics = work.arrays(STATISTICS)
    shown = np.concatenate(
        [
            statistics["top_images"][..., :TOP_SHOWN],
            statistics["bottom_images"][..., :BOTTOM_SHOWN],
        ],
        axis=-1,
    )
    numbers = [int(number) for number in np.unique(shown) if number >= 0]
    pictured = sorted({*numbers, *_images_of_units(work)})
    with work.progress.stage("heatmaps", len(numbers)) as advance:
        maps = exemplar_maps(
            job.model,
            job.images,
            work.collected().features,
            work.collected().plan,
            shown=torch.from_numpy(shown).long(),
            sign=torch.from_numpy(np.array(statistics["sign"])).long(),
            advance=advance,
        )
    work.writer.arrays(MAPS, {"maps": maps.numpy()})
    with work.progress.stage("thumbnails", len(pictured)) as advance:
        arrays = thumbnails(
            job.model,
            job.images,
            numbers=pictured,
            block=block,
            file=work.scratch.folder / "thumbnails",
            advance=advance,
        )
    work.writer.arrays(THUMBNAILS, arrays)


def _images_of_units(work: Work) -> set[int]:
    """Images that the pages of neurons and heads show: thumbnails alone, since no map is theirs."""
    shown = [
        work.arrays(file)[f"{end}_images"][:, :places]
        for file in (NEURONS, HEADS)
        for end, places in (("top", TOP_SHOWN), ("bottom", BOTTOM_SHOWN))
    ]
    return {int(number) for part in shown for number in np.unique(part) if number >= 0}


STAGES = (
    Stage("vocabulary", write_vocabulary),
    Stage("factors", write_factors),
    Stage("collect", collect_images),
    Stage("summarise", write_statistics),
    Stage("explain", write_explanations),
    Stage("nulls", write_nulls),
    Stage("index", write_index),
    Stage("neurons", write_neurons),
    Stage("heads", write_heads),
    Stage("neighbours", write_neighbours),
    Stage("map", write_map),
    Stage("familiarity", write_familiarity),
    Stage("exemplars", write_exemplars, wanted=lambda job: job.exemplars),
)
"""In order: each may read what those before it have left."""


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
    told = {
        "sign": oriented.sign.to(torch.int8),
        "norm": oriented.norm,
        "norm_percentile": percentiles(oriented.norm),
        "monosemanticity": monosemanticity(
            oriented.top_images.cpu(), collected.unit_embeddings, overall=collected.spread
        ),
        "top_images": oriented.top_images.to(torch.int32),
        "top_values": oriented.top_values,
        "bottom_images": oriented.bottom_images.to(torch.int32),
        "bottom_values": oriented.bottom_values,
        "token_norm": collected.token_norm.float(),
        "token_attention": collected.token_attention.float(),
        "sink_tokens": sink_tokens(collected.token_norm, collected.token_attention).int(),
    }
    return statistics_arrays(collected) | {name: told[name].cpu().numpy() for name in told}
