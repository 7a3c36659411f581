"""The lab on the command line: segment, attribute, ablate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from backend.cli import Checkpoint, CommandError, Device
from backend.clip.encoder import EncodingSettings
from backend.clip.masks import BACKGROUND as NOTHING
from backend.clip.options import Background, Centring, Orientation, SegmentationSettings
from backend.clip.segmentation import SegmentationMaps
from backend.clip.windows import View, layout
from backend.lab import Ablation, Baseline, Lab
from backend.pairs.ablation import Part
from backend.pairs.attribution import largest_parts
from backend.pairs.segmentation import PAPER_SHARE, Method, Mode
from backend.progress import Progress
from backend.server.errors import ApiError
from backend.server.heatmaps import class_colour, rgb
from backend.server.uploads import decode_image
from backend.store import Store
from backend.tables import show

app = typer.Typer()

IMAGES_AT_ONCE = 4
"""Pictures whose windows share the backbone's batches; each is held decoded."""

MAX_PIXELS = 200_000_000
"""Of one's own pictures: 600 MB decoded."""

MAX_ASPECT = 10_000.0

WORDS_SHOWN = 3

HELD_FIXED = "attention is held fixed"

StoreFolder = Annotated[Path, typer.Option("--store", help="Store to read pairs and model from.")]
Prompts = Annotated[
    list[str],
    typer.Option(
        "--prompt", help='A class; may be given again. Synonyms by comma: "car, automobile".'
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Picture = Annotated[Path, typer.Argument(help="A picture.")]
FromBaseline = Annotated[
    Baseline,
    typer.Option("--baseline", help="Pairs are measured from, or switched off to, zero or their "
                 "mean over the store's images."),
]  # fmt: skip
Shown = Annotated[int, typer.Option("--top", help="Parts that are listed; 0 or more.")]

DEFAULT_STORE = Path("stores/demo")
"""Where `pairscope demo` keeps its own."""


@app.command()
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
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
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
            _write_mask(found.mask, places[path], classes=len(prompts))
            told.append({
                "image": str(path), "width": size[0], "height": size[1], "mask": str(places[path]),
                **_shares(found, prompts),
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


@app.command()
def attribute(
    image: Picture,
    text: Annotated[str, typer.Option("--text", help="Whose score with the picture is explained.")],
    against: Annotated[
        str | None, typer.Option("--against", help="Explain the lead over this text instead.")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
    baseline: FromBaseline = "zero",
    top: Shown = 20,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Explain the score of a picture and a text as an exact sum over pairs, and over places."""
    if top < 0:
        raise CommandError(f"--top must be 0 or more, not {top}")
    picture = open_upright(image)
    lab = Lab.open(store, checkpoint=checkpoint, device=device)
    seen = lab.take_apart(picture)
    found = lab.attribute(seen, text, against=against, baseline=baseline)
    placed = lab.attribute_places(seen, text, against=against)
    pairs = largest_parts(found.pairs, top)
    told: dict[str, Any] = {
        "image": str(image),
        "text": text,
        "against": against,
        "baseline": baseline,
        "score": float(found.score),
        "constant": float(found.constant),
        "pairs": [
            {"neuron": place % lab.store.n_neurons, "head": place // lab.store.n_neurons,
             "part": part, "words": _words(lab.store, place)}
            for place, part in zip(pairs.places.tolist(), pairs.values.tolist(), strict=True)
        ],
        "remainder": float(pairs.remainder),
        "heads": _units("head", found.heads, top),
        "neurons": _units("neuron", found.neurons, top),
        "places": {
            "cells": placed.cells.tolist(),
            "position": float(placed.position),
            "constant": float(placed.constant),
        },
        "note": HELD_FIXED,
    }  # fmt: skip
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = [
        (f"{pair['neuron']}.{pair['head']}", ", ".join(pair["words"]), f"{pair['part']:+.5f}")
        for pair in told["pairs"]
    ]
    rest = lab.model.factors.n_pairs - len(rows)
    rows.append((f"{rest:,} others", "", f"{told['remainder']:+.5f}"))
    rows.append(("no pair", "", f"{told['constant']:+.5f}"))
    rows.append(("sum", "", f"{told['score']:+.5f}"))
    lead = f"“{text}”" if against is None else f"“{text}” before “{against}”"
    show(("pair", "words", ">part"), rows, title=f"{image}: {lead} ({HELD_FIXED})")


@app.command()
def ablate(
    image: Picture,
    prompts: Prompts,
    off: Annotated[
        list[str] | None,
        typer.Option("--off", help="Switch off a pair (624.21), neuron:624 or head:21; again."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Switch off all but these; again.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", help="Scale a part, as in 624.21=0.5; again.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="PNG of the mask without the ablated pairs.")
    ] = None,
    store: StoreFolder = DEFAULT_STORE,
    baseline: FromBaseline = "zero",
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Switch off or scale pairs, and see scores, ranking and areas of the prompts change."""
    if not (off or keep or scale):
        raise CommandError("say what changes with --off, --keep or --scale")
    factors = _factors(scale or ())
    try:
        for part in (*(off or ()), *(keep or ()), *factors):
            Part.parse(part)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if out is not None:
        _check_folder(out)
    picture = open_upright(image)
    lab = Lab.open(store, checkpoint=checkpoint, device=device)
    try:
        seen = lab.encode(picture)
        found = lab.ablate(
            seen, prompts, off=off or (), keep=keep or (), scale=factors,
            baseline=baseline,
        )  # fmt: skip
        masks = [lab.segment(seen, prompts, gain=gain) for gain in (None, found.gain)]
    except ValueError as error:
        raise CommandError(str(error)) from error
    if out is not None:
        _write_mask(masks[1].mask, out, classes=len(prompts))
    told = _ablated(str(image), prompts, found, masks)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    rows = [
        (one["prompt"], *(
            f"{one[when][name]:{shape}}"
            for name, shape in (("score", ".4f"), ("rank", "d"), ("area_share", ".1%"))
            for when in ("before", "after")
        ))
        for one in told["prompts"]
    ]  # fmt: skip
    heads = ("prompt", ">score", ">after", ">rank", ">after", ">area", ">after")
    changed = f"{told['pairs_changed']:,} of {lab.model.factors.n_pairs:,} pairs changed"
    norms = f"length {told['norm']['before']:.3g} to {told['norm']['after']:.3g}"
    show(heads, rows, title=f"{image}: {changed}, {norms} ({HELD_FIXED})")


def open_upright(path: Path) -> Image.Image:
    """A picture as the server would take it: upright RGB, transparency over white.

    Raises:
        CommandError: it is not there or cannot be read.
    """
    try:
        return decode_image(path.read_bytes(), max_pixels=MAX_PIXELS, max_aspect=MAX_ASPECT)
    except FileNotFoundError:
        raise CommandError(f"image {path} does not exist") from None
    except OSError as error:
        raise CommandError(f"image {path} cannot be read: {error.strerror}") from error
    except ApiError as error:
        raise CommandError(f"{path}: {error.message}") from error


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
        _check_folder(out)
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


def _check_folder(out: Path) -> None:
    if not out.parent.is_dir():
        raise CommandError(f"the folder of {out} does not exist")


def _write_mask(mask: UInt8[np.ndarray, "height width"], out: Path, *, classes: int) -> None:
    """An indexed PNG: values are the prompts' places, drawn in the lab's colours."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:classes] = [rgb(class_colour(place)) for place in range(classes)]
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette(palette.tobytes())
    try:
        picture.save(out, "PNG")
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}") from error


def _shares(found: SegmentationMaps, prompts: Sequence[str]) -> dict[str, Any]:
    pixels = np.bincount(found.mask.ravel(), minlength=256) / found.mask.size
    classes = [
        {"prompt": prompt, "area_share": float(pixels[place]), "peak": float(logits.max())}
        for place, (prompt, logits) in enumerate(zip(prompts, found.logits, strict=True))
    ]
    return {"classes": classes, "background_share": float(pixels[NOTHING])}


def _units(kind: str, parts: Tensor, top: int) -> dict[str, Any]:
    found = largest_parts(parts, top)
    listed = zip(found.places.tolist(), found.values.tolist(), strict=True)
    return {
        "parts": [{kind: number, "part": part} for number, part in listed],
        "remainder": float(found.remainder),
    }


def _words(store: Store, place: int) -> list[str]:
    """First words of the pair at a flat place."""
    head, neuron = divmod(place, store.n_neurons)
    numbers = store.explanations["word_ids"][head, neuron, :WORDS_SHOWN].tolist()
    return [store.vocabulary[number] for number in numbers if number >= 0]


def _factors(scale: Sequence[str]) -> dict[str, float]:
    """Parts with their factors from ``624.21=0.5``."""
    found = {}
    for text in scale:
        part, equals, factor = text.partition("=")
        try:
            found[part] = float(factor)
        except ValueError:
            equals = ""
        if not equals or not np.isfinite(found[part]):
            raise CommandError(f"--scale is a part and a factor, as in 624.21=0.5, not {text!r}")
    return found


def _ablated(
    image: str, prompts: Sequence[str], found: Ablation, masks: Sequence[SegmentationMaps]
) -> dict[str, Any]:
    times = {}
    for when, scores, probabilities, maps in (
        ("before", found.scores_before, found.probabilities_before, masks[0]),
        ("after", found.scores, found.probabilities, masks[1]),
    ):
        shares = _shares(maps, prompts)
        ranks = (scores[None, :] > scores[:, None]).sum(dim=1) + 1
        times[when] = [
            {"score": score, "rank": rank, "probability": probability,
             "area_share": kind["area_share"]}
            for score, rank, probability, kind in zip(
                scores.tolist(), ranks.tolist(), probabilities.tolist(), shares["classes"],
                strict=True,
            )
        ]  # fmt: skip
    return {
        "image": image,
        "pairs_changed": int((found.gain != 1).sum()),
        "norm": {"before": found.norm_before, "after": found.norm},
        "prompts": [
            {"prompt": prompt, "before": before, "after": after}
            for prompt, before, after in zip(prompts, times["before"], times["after"], strict=True)
        ],
        "note": HELD_FIXED,
    }
