"""Commands of the offline job: from what a person types to a checked job."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import torch
import typer

from backend.cli import Checkpoint, Device, Model, Pretrained
from backend.clip import DEMO, ClipResNet, load_model
from backend.clip.models import demo_fingerprint, resolve_device
from backend.clip.text import FEW_TEMPLATES, IMAGENET_TEMPLATES, PLAIN_TEMPLATES
from backend.options import Quiet
from backend.progress import Progress
from backend.server.commands import serve
from backend.store import Manifest, StoreError, open_store
from backend.store.format import MANIFEST, VOCABULARY
from backend.store.writer import SCRATCH
from precompute.datasets import DemoScenes, ImageSet, open_images
from precompute.demo_world.vocabulary import TEMPLATES as DEMO_TEMPLATES
from precompute.demo_world.vocabulary import vocabulary as demo_vocabulary
from precompute.engines import ENGINES, RAY_WORKERS, make_engine
from precompute.errors import InputError
from precompute.estimate import images_at_once
from precompute.job import ATOMS, Job, Parameters, can_resume, run
from precompute.scratch import JOB, Scratch
from precompute.stages.vocabulary import (
    COMMON_WORDS,
    COMMON_WORDS_SOURCE,
    common_words,
    read_vocabulary,
)

DEMO_IMAGES = 1000
DEMO_SEED = 0
DEMO_ATOMS = 16
"""The demo's vocabulary is small and its heads are 64 wide: many words would fit anything."""

MOST_THREADS = 1024
"""Each thread takes memory; no machine has more processors to run them."""

DEMO_STORE = Path("stores/demo")

DEMO_WORDS_SOURCE = "the demo world's own words"

TEMPLATE_SETS = {
    "imagenet": IMAGENET_TEMPLATES,
    "few": FEW_TEMPLATES,
    "plain": PLAIN_TEMPLATES,
}


def precompute(
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="Folder of the store to make.")],
    pretrained: Pretrained = None,
    checkpoint: Checkpoint = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Folder of images, tar shards (DIR, 'DIR/*.tar', 'DIR/{000..012}.tar') or a "
            "Hugging Face data set on disk; the demo makes its own.",
        ),
    ] = None,
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            "--vocabulary",
            help="Words or phrases, one a line; without it the "
            f"{COMMON_WORDS:,} most common English words. The demo has its own.",
        ),
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(
            "--templates",
            help="imagenet (80 prompts a word, the default: hours of 30,000 words on a processor), "
            "few (seven: the quick choice) or plain.",
        ),
    ] = None,
    atoms: Annotated[
        int | None,
        typer.Option("--atoms", help=f"Words per explanation: {ATOMS}, for the demo {DEMO_ATOMS}."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of the store in addresses.")
    ] = None,
    no_exemplars: Annotated[
        bool, typer.Option("--no-exemplars", help="Keep no pictures in the store.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Take up what was interrupted; a new folder is begun."),
    ] = False,
    engine: Annotated[
        str, typer.Option("--engine", help=f"Who computes: {' or '.join(ENGINES)}.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option("--workers", help=f"Ray's; {RAY_WORKERS} by default.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", help="Processor threads of every worker.")
    ] = None,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:N, or several: cuda:0,cuda:1.")
    ] = "auto",
    quiet: Quiet = False,
) -> None:
    """Compute a store: directions, statistics and text explanations of every pair."""
    is_demo = model == DEMO
    if not is_demo and images is None:
        raise InputError(f"{model} needs --images DIR; only the demo model brings its own")
    devices = tuple(device.split(","))
    worker = make_engine(engine, devices=devices, workers=workers)
    _settle_threads(threads)
    words, source = _vocabulary(vocabulary, is_demo=is_demo)
    prompts = _templates(templates, demo_words=is_demo and vocabulary is None)
    folder = open_images(images) if images else None
    clip = load_model(model, pretrained, checkpoint=checkpoint, device=devices[0])
    for other in devices[1:]:
        resolve_device(other)
    standard = DEMO_ATOMS if is_demo else ATOMS
    job = Job(
        model=clip,
        images=folder or _demo_scenes(clip),
        vocabulary=words,
        vocabulary_source=source,
        templates=prompts,
        out=out,
        name=name,
        exemplars=not no_exemplars,
        parameters=Parameters(
            atoms=standard if atoms is None else atoms, images_at_once=images_at_once(clip)
        ),
        resume=resume,
        engine=worker,
    )
    manifest = run(job, Progress(quiet=quiet))
    typer.echo(_summary(out, manifest))


def demo(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on.")] = 8000,
    store: Annotated[
        Path, typer.Option("--store", help="Where the demo's store is kept.")
    ] = DEMO_STORE,
    data: Annotated[Path, typer.Option("--data", help="Where uploads and shares are kept.")] = Path(
        "data"
    ),
    device: Device = "auto",
) -> None:
    """Serve the demo model, computing its store first unless a current one is there."""
    if not _is_current(store):
        typer.echo(f"Computing the demo's store in {store} (once, about a minute)")
        clip = load_model(DEMO, device=device)
        job = Job(
            model=clip,
            images=_demo_scenes(clip),
            vocabulary=demo_vocabulary(),
            vocabulary_source=DEMO_WORDS_SOURCE,
            templates=list(DEMO_TEMPLATES),
            out=store,
            parameters=Parameters(atoms=DEMO_ATOMS, images_at_once=images_at_once(clip)),
            resume=True,
        )
        if not can_resume(job):
            _remove_store(store)
        typer.echo(_summary(store, run(job, Progress())))
    serve([store], host=host, port=port, device=device, data=data)


def _settle_threads(threads: int | None) -> None:
    if threads is None:
        return
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"--threads must be between 1 and {MOST_THREADS}, got {threads}")
    torch.set_num_threads(threads)


def _demo_scenes(model: ClipResNet) -> ImageSet:
    return DemoScenes(DEMO_IMAGES, seed=DEMO_SEED, size=model.image_size)


def _vocabulary(file: Path | None, *, is_demo: bool) -> tuple[list[str], str]:
    """The words, and where they are from."""
    if file is not None:
        return read_vocabulary(file), file.name
    if is_demo:
        return demo_vocabulary(), DEMO_WORDS_SOURCE
    return common_words(), COMMON_WORDS_SOURCE


def _templates(choice: str | None, *, demo_words: bool) -> list[str]:
    if choice is None:
        return list(DEMO_TEMPLATES if demo_words else IMAGENET_TEMPLATES)
    if choice not in TEMPLATE_SETS:
        raise InputError(f"--templates is one of {', '.join(TEMPLATE_SETS)}, not {choice!r}")
    return list(TEMPLATE_SETS[choice])


def _is_current(store: Path) -> bool:
    """Whether a store is there that this code and the shipped weights would make again."""
    try:
        manifest = open_store(store).manifest
    except StoreError:
        return False
    parameters = Parameters(atoms=DEMO_ATOMS).recorded()
    machine = {"threads", "device", "images_at_once", "images_in_pass", "vocabulary_source"}
    return (
        manifest.model.weights_sha256 == demo_fingerprint()
        and manifest.dataset.images == DEMO_IMAGES
        and manifest.templates == list(DEMO_TEMPLATES)
        and {k: v for k, v in manifest.parameters.items() if k not in machine}
        == {k: v for k, v in parameters.items() if k not in machine}
    )


def _remove_store(store: Path) -> None:
    """Removes an outdated or unfinished demo store, and nothing that is no store.

    Raises:
        InputError: the store is not the demo's, or cannot be removed.
    """
    marks = (MANIFEST, VOCABULARY, f"{SCRATCH}/{JOB}")
    if not any((store / mark).exists() for mark in marks):
        return
    # One that does not tell is kept too, wherever it lies: another model's may be days of work.
    if _made_of(store) != (DEMO, DemoScenes.name):
        raise InputError(
            f"{store} holds a store that is not known to be the demo's; "
            "choose another folder with --store, or remove it"
        )
    scratch = Scratch(store / SCRATCH)
    try:
        with scratch.held():
            # What tells whose store it is goes last, so that a removal can be interrupted.
            for entry in store.iterdir():
                if entry.is_dir() and entry.name != SCRATCH:
                    shutil.rmtree(entry)
                elif entry.is_file() and entry.name != MANIFEST:
                    entry.unlink()
            scratch.remove()
        (store / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{store} cannot be removed: {error.strerror}") from error


def _made_of(store: Path) -> tuple[str, str] | None:
    """Model and images of a store of any format version, finished or not; None if it is silent."""
    for file, images in ((store / MANIFEST, "dataset"), (store / SCRATCH / JOB, "images")):
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            return told["model"]["architecture"], told[images]["name"]
        except FileNotFoundError:
            continue
        except (OSError, ValueError, KeyError, TypeError):
            return None
    return None


def _summary(out: Path, manifest: Manifest) -> str:
    size = sum(record.size for record in manifest.files.values())
    seconds = sum(manifest.timings.values())
    unreadable = len(manifest.dataset.unreadable)
    return (
        f"{out}: store {manifest.name!r}, {manifest.dataset.images:,} images, "
        f"{unreadable:,} unreadable, {size / 1e6:.0f} MB, {seconds:.0f} s"
    )
