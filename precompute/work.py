"""A job, and the work on it: stages that each leave files, so that it can be taken up again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.clip import DEMO, ClipResNet
from backend.pairs.statistics import RANKS
from backend.progress import Progress
from backend.store import StoreWriter
from backend.store.format import slug
from backend.store.reader import Arrays
from backend.store.writer import SCRATCH
from precompute.datasets import ImageSet
from precompute.engines.local import LocalEngine
from precompute.estimate import Shapes, images_in_pass, model_shapes
from precompute.scratch import Scratch, StageRecord
from precompute.stages.collect import Collected, Engine, collect
from precompute.stages.explain import SIGNALS_AT_ONCE, cosine_steps
from precompute.stages.plan import CALIBRATION_IMAGES, Plan

IMAGES_AT_ONCE = 32
SEGMENT_IMAGES = 1024
"""Images whose statistics are gathered before they are added to the running ones: what a killed
job has to compute again, and what a worker takes at a time."""

HISTOGRAM_BINS = 32
ATOMS = 64


@dataclass(frozen=True)
class Parameters:
    """Everything that the numbers of a store depend on beside model, images and vocabulary."""

    atoms: int = ATOMS
    ranks: int = RANKS
    histogram_bins: int = HISTOGRAM_BINS
    images_at_once: int = IMAGES_AT_ONCE
    segment_images: int = SEGMENT_IMAGES
    threads: int = field(default_factory=torch.get_num_threads)

    def recorded(self) -> dict[str, Any]:
        fixed = {"calibration_images": CALIBRATION_IMAGES, "signals_at_once": SIGNALS_AT_ONCE}
        return {**asdict(self), **fixed, "cosine_steps": cosine_steps(self.atoms)}


@dataclass(frozen=True)
class Job:
    """One run of the offline job.

    Attributes:
        name: address slug; None for model-tag-dataset, or ``demo`` for the demo model.
        vocabulary_source: where the words are from, and under which licence; for the manifest.
        exemplars: False leaves thumbnails and maps out, for images that may not be shown.
        resume: whether ``out`` may hold this job unfinished or finished.
        engine: who computes; gives the same bytes as any other.
    """

    model: ClipResNet
    images: ImageSet
    vocabulary: list[str]
    templates: list[str]
    out: Path
    name: str | None = None
    exemplars: bool = True
    parameters: Parameters = field(default_factory=Parameters)
    resume: bool = False
    vocabulary_source: str = "a list given"
    engine: Engine = field(default_factory=LocalEngine)

    def plan(self) -> Plan:
        """How the images are cut."""
        return Plan(
            images=len(self.images),
            segment=self.parameters.segment_images,
            block=self.parameters.images_at_once,
            bins=self.parameters.histogram_bins,
            threads=self.parameters.threads,
        )

    def shapes(self) -> Shapes:
        """What the job's size depends on."""
        parameters = self.parameters
        return Shapes(
            **model_shapes(self.model),
            images=len(self.images),
            words=len(self.vocabulary),
            atoms=parameters.atoms,
            bins=parameters.histogram_bins,
            block=parameters.images_at_once,
            exemplars=self.exemplars,
            workers=self.engine.workers,
            processes=self.engine.processes,
        )

    def recorded(self) -> dict[str, Any]:
        """The parameters, with the kind of device: sums on another have other last digits."""
        more = {
            "device": self.model.device.type,
            "images_in_pass": images_in_pass(self.model),
            "vocabulary_source": self.vocabulary_source,
        }
        return {**self.parameters.recorded(), **more}

    def slug(self) -> str:
        identity = self.model.identity
        if self.name is not None:
            return self.name
        if identity.architecture == DEMO:
            return DEMO
        return slug(identity.architecture, identity.pretrained, self.images.name)

    def identity(self) -> dict[str, Any]:
        """What must be the same for a job to be taken up."""
        return {
            "name": self.slug(),
            "model": asdict(self.model.identity),
            "images": {"name": self.images.name, "sha256": self.images.digest()},
            "vocabulary": {
                "words": len(self.vocabulary),
                "sha256": text_sha256(self.vocabulary),
            },
            "templates": self.templates,
            "exemplars": self.exemplars,
            "parameters": self.recorded(),
            "code_version": importlib.metadata.version("pairscope"),
        }


def text_sha256(lines: Sequence[str]) -> str:
    """Of the lines as the store writes them."""
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


class Work:
    """What stages share.  A stage reads what earlier ones have left, and leaves files of its own.

    Attributes:
        told: small facts from all finished stages, by name.
        seconds: how long each finished stage took.
    """

    def __init__(self, job: Job, writer: StoreWriter, progress: Progress) -> None:
        self.job = job
        self.writer = writer
        self.progress = progress
        self.scratch = Scratch(job.out / SCRATCH)
        self.told: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}
        self._stage = ""
        self._told_now: dict[str, Any] = {}
        self._collected: Collected | None = None

    def collected(self) -> Collected:
        """What the pass over the images has left."""
        if self._collected is None:
            plan = self.job.plan()
            with self.progress.stage("images", plan.images) as advance:
                self._collected = collect(
                    self.job.model,
                    self.job.images,
                    plan,
                    engine=self.job.engine,
                    folder=self.scratch.folder / "collect",
                    advance=advance,
                )
        return self._collected

    def arrays(self, file: str) -> Arrays:
        """Read-only memory maps of a store file that an earlier stage has written."""
        return self.writer.read(file)

    def part(
        self, name: str, compute: Callable[[], Mapping[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """Arrays of one part of the present stage, computed once even if the job is killed.

        For stages that take minutes: cut the work into fixed parts, each a call of this.
        """
        return self.scratch.part(self._stage, name, compute)

    def tell(self, **facts: Any) -> None:
        """Leaves small facts (plain JSON) for later stages and for the manifest."""
        self._told_now |= facts

    def perform(self, stage: Stage) -> None:
        """Does a stage, or takes over what it left when it was done before."""
        record = self.scratch.record(stage.name)
        if record is None:
            record = self._do(stage)
        else:
            for file, written in record.files.items():
                self.writer.take_over(file, written)
        self.told |= record.told
        self.seconds[stage.name] = record.seconds

    def _do(self, stage: Stage) -> StageRecord:
        before = set(self.writer.files)
        self._stage, self._told_now = stage.name, {}
        begun = time.perf_counter()
        stage.do(self)
        seconds = round(time.perf_counter() - begun, 3)
        files = {name: told for name, told in self.writer.files.items() if name not in before}
        record = StageRecord(seconds, files, self._told_now)
        self.scratch.finish(stage.name, record)
        return record


@dataclass(frozen=True)
class Stage:
    """One stage of a job.

    Attributes:
        name: as in the manifest's timings.
        do: reads what earlier stages left, writes files of the store; may run again if killed.
        wanted: whether a job has this stage.
    """

    name: str
    do: Callable[[Work], None]
    wanted: Callable[[Job], bool] = field(default=lambda job: True)
