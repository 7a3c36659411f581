"""The whole exactness report of a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip import DEMO, ClipResNet
from backend.lab import load_model_of
from backend.progress import Progress
from backend.store import Store
from backend.store.integrity import check_integrity
from precompute.datasets import DemoScenes, ImageSet
from precompute.errors import InputError
from precompute.verification.derived import index_checks, neighbour_checks
from precompute.verification.orientation import orientation_checks
from precompute.verification.passes import Passes, factor_check, line_checks, sum_checks
from precompute.verification.pursuit import pursuit_checks
from precompute.verification.reference import reference_model
from precompute.verification.report import Check, Report
from precompute.verification.statistics import (
    fits,
    listed_images,
    recompute,
    statistics_checks,
    value_check,
)
from precompute.verification.units import neuron_checks

PICTURES = 8
"""Images of the forward passes; the sum over pairs holds image by image."""

LISTED_IMAGES = 64
"""Images that are run again when a whole data set is too large: a few minutes for RN50x64."""


@dataclass(frozen=True)
class Request:
    """What to verify a store with.

    Attributes:
        images: pictures for the forward passes; None for the demo world's or random ones.
        samples: pairs that are compared with PCA and with scikit-learn, 1 or more.
    """

    store: Store
    checkpoint: Path | None = None
    images: ImageSet | None = None
    samples: int = 16
    device: str = "auto"


def verify_store(request: Request, progress: Progress) -> Report:
    """Runs every check that can be run.

    Raises:
        ModelError: the store's model cannot be loaded, or has other weights than the store's.
        InputError: no image can be read.
    """
    store = request.store
    model = load_model_of(store, checkpoint=request.checkpoint, device=request.device)
    left_out: list[str] = []
    with _true_float32():
        passes = _passes(request, model)
        checks = [factor_check(store, model), *sum_checks(store, passes)]
        checks += line_checks(store, passes, samples=request.samples)
        with progress.stage("words", request.samples) as advance:
            checks += pursuit_checks(store, samples=request.samples, advance=advance)
        checks += orientation_checks(store)
        checks += [*neighbour_checks(store, samples=request.samples), *index_checks(store)]
        dataset = _dataset(request, model)
        if dataset is None:
            left_out.append("statistics: the store's images are not at hand; give --images")
        else:
            checks += _statistics(request, model, dataset, progress)
    checks.append(_file_check(store))
    return Report(str(store.path), store.data_version, checks, left_out)


def _passes(request: Request, model: ClipResNet) -> Passes:
    identity = request.store.manifest.model
    reference = reference_model(
        identity.architecture,
        identity.pretrained,
        checkpoint=request.checkpoint,
        device=model.device,
    )
    return Passes(_pixels(request, model), model, reference)


def _pixels(request: Request, model: ClipResNet) -> Float[Tensor, "image 3 row column"]:
    """The first readable images given; else scenes of the demo world, which suit its model."""
    if request.images is None and request.store.manifest.model.architecture != DEMO:
        generator = torch.Generator().manual_seed(0)
        return torch.randn(PICTURES, 3, model.image_size, model.image_size, generator=generator)
    images = request.images or DemoScenes(PICTURES, seed=0, size=model.image_size)
    read: list[Tensor] = []
    for part in images.blocks(model.preprocess, size=PICTURES):
        read += list(part.pixels)
        if len(read) >= PICTURES:
            break
    if not read:
        raise InputError(f"none of the {len(images)} images could be read")
    return torch.stack(read[:PICTURES])


def _dataset(request: Request, model: ClipResNet) -> ImageSet | None:
    """The images that the store was made from, if they are at hand."""
    from precompute.commands import DEMO_SEED

    told = request.store.manifest.dataset
    images = request.images
    if images is None and told.name == DemoScenes.name:
        images = DemoScenes(told.images, seed=DEMO_SEED, size=model.image_size)
    return images if images is not None and images.digest() == told.sha256 else None


def _statistics(
    request: Request, model: ClipResNet, dataset: ImageSet, progress: Progress
) -> list[Check]:
    store = request.store
    if fits(store):
        with progress.stage("images", len(dataset)) as advance:
            again = recompute(store, model, dataset, advance=advance)
        units = neuron_checks(store, again, samples=request.samples)
        return [*statistics_checks(store, again), *units]
    numbers = listed_images(store, samples=LISTED_IMAGES)
    with progress.stage("images", len(numbers)) as advance:
        again = recompute(store, model, dataset, numbers=numbers, advance=advance)
    return [value_check(store, again)]


def _file_check(store: Store) -> Check:
    found = check_integrity(store.path)
    return Check(
        "files that are not what the manifest says",
        len(found.wrong_files),
        0,
        f"{found.files} files",
    )


@contextmanager
def _true_float32() -> Iterator[None]:
    """No TF32 while this runs: a GPU's default rounds convolutions to 1e-3."""
    convolutions, products = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)
