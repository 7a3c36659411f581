"""Masks of pictures from texts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from PIL import Image

from backend.cli import Checkpoint, CommandError, Device
from backend.clip.encoder import EncodingSettings
from backend.clip.options import Background, Centring, Orientation, SegmentationSettings
from backend.clip.segmentation import SegmentationMaps
from backend.clip.windows import View, layout
from backend.lab import Lab
from backend.lab_commands.files import area_shares, check_folder, open_upright, write_mask
from backend.lab_commands.options import (
    DEFAULT_STORE,
    Prompts,
    StoreFolder,
)
from backend.options import AsJson, Quiet
from backend.pairs.segmentation import PAPER_SHARE, Method, Mode
from backend.progress import Progress
from backend.tables import show

IMAGES_AT_ONCE = 4
"""Pictures whose windows share the backbone's batches; each is held decoded."""


def segment(
    images: Annotated[list[Path], typer.Argument(help="Pictures to segment.")],
    prompts: Prompts,
    out: Annotated[
        Path, typer.Option("--out", help="PNG to write, a folder for more than one picture.")
    ],
    store: StoreFolder = DEFAULT_STORE,
    method: Annotated[Method, typer.Option("--method", help="What a cell is read by.")] = "pairs",
    mode: Annotated[
        Mode,
        typer.Option(
            "--mode",
            help="Head heatmaps without the output bias, or as in the paper's "
            "code: with it, and sinks replaced.",
        ),
    ] = "clean",
    orientation: Annotated[
        Orientation,
        typer.Option(
            "--orientation",
            help="Pairs speak for their oriented direction, or for what they write when active.",
        ),
    ] = "sign",
    share: Annotated[
        float, typer.Option("--share", help="Share of all pairs that speak for a class.")
    ] = PAPER_SHARE,
    centring: Annotated[
        Centring, typer.Option("--centring", help="Whose mean is subtracted from every text.")
    ] = "vocabulary",
    background: Annotated[
        Background,
        typer.Option(
            "--background",
            help="What a pixel must beat: most random words, every "
            "background prompt, a probability, or nothing.",
        ),
    ] = "words",
    background_prompts: Annotated[
        list[str] | None,
        typer.Option("--background-prompt", help="Something that is not asked for; again."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold",
            help="Share of the random words to beat (0.95), or least probability (0.5).",
        ),
    ] = None,
    view: Annotated[
        View,
        typer.Option("--view", help="Overlapping native windows, or one piece."),
    ] = "windows",
    shorter_side: Annotated[
        int | None,
        typer.Option(
            "--shorter-side",
            min=1,
            help="Pixels that the shorter side is scaled to; 1.5 native inputs by default.",
        ),
    ] = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Segment pictures by texts; masks are PNGs whose values are the prompts' places, 255 none."""
    try:
        settings = SegmentationSettings(
            method=method, mode=mode, orientation=orientation, share=share, centring=centring,
            background=background, background_prompts=tuple(background_prompts or ()),
            threshold=threshold,
        )  # fmt: skip
    except ValueError as error:
        raise CommandError(str(error)) from error
    for path in images:
        if not path.is_file():
            raise CommandError(f"image {path} does not exist")
    places = _places(images, out)
    lab = Lab.open(store, checkpoint=checkpoint, device=device)
    encoding = EncodingSettings(view=view, shorter_side=shorter_side, whole_pass=False)
    progress = Progress(quiet=quiet or as_json or len(images) == 1)
    told = []
    with progress.stage("pictures", len(images)) as advance:
        for path, size, found in _segmented(lab, images, prompts, encoding, settings):
            write_mask(found.mask, places[path], classes=len(prompts))
            told.append({
                "image": str(path), "width": size[0], "height": size[1], "mask": str(places[path]),
                **area_shares(found, prompts),
            })  # fmt: skip
            advance(1)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = [
        (one["image"], kind["prompt"], f"{kind['area_share']:.1%}", f"{kind['peak']:.3g}")
        for one in told
        for kind in one["classes"]
    ]
    show(("picture", "prompt", ">of its area", ">highest logit"), rows)
    typer.echo(f"{len(told)} masks: {out}" if len(told) > 1 else f"mask: {out}")


def _segmented(
    lab: Lab,
    images: Sequence[Path],
    prompts: Sequence[str],
    encoding: EncodingSettings,
    settings: SegmentationSettings,
) -> Iterator[tuple[Path, tuple[int, int], SegmentationMaps]]:
    """Every picture with its (width, height) and what was found in it, in order."""
    try:
        read = lab.segmenter.read(prompts)
        behind = None
        if settings.background_prompts:
            behind = lab.segmenter.read(settings.background_prompts)
        for start in range(0, len(images), IMAGES_AT_ONCE):
            paths = images[start : start + IMAGES_AT_ONCE]
            pictures = [open_upright(path) for path in paths]
            for path, picture in zip(paths, pictures, strict=True):
                _check_extent(lab, path, picture, encoding)
            together = lab.segmenter.encode_many(pictures, encoding)
            for path, seen in zip(paths, together, strict=True):
                yield path, seen.size, lab.segmenter.answer(seen, read, settings, behind=behind)
    except CommandError:
        raise
    except ValueError as error:
        raise CommandError(str(error)) from error


def _check_extent(lab: Lab, path: Path, picture: Image.Image, encoding: EncodingSettings) -> None:
    """Raises a CommandError that names the picture if it needs too many windows or cells."""
    try:
        layout(
            picture.size,
            native=lab.model.image_size,
            view=encoding.view,
            shorter_side=encoding.shorter_side,
        )
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from error


def _places(images: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Where the mask of every picture goes.

    Raises:
        CommandError: the place cannot be written, or two pictures would share one.
    """
    if len(images) == 1 and not out.is_dir():
        check_folder(out)
        return {images[0]: out}
    twice = [name for name, count in Counter(path.stem for path in images).items() if count > 1]
    if twice:
        raise CommandError(
            f"several pictures are named {twice[0]!r}; their masks would be one file"
        )
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise CommandError(f"{out} cannot be made a folder: {error.strerror}") from error
    return {path: out / f"{path.stem}.png" for path in images}
