"""What would be of a picture without some pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from backend.cli import Checkpoint, CommandError, Device
from backend.clip.segmentation import SegmentationMaps
from backend.lab import Ablation, Lab
from backend.lab_commands.files import area_shares, check_folder, open_upright, write_mask
from backend.lab_commands.options import (
    DEFAULT_STORE,
    HELD_FIXED,
    FromBaseline,
    Picture,
    Prompts,
    StoreFolder,
)
from backend.options import AsJson
from backend.pairs.ablation import Part
from backend.tables import show


def ablate(
    image: Picture,
    prompts: Prompts,
    off: Annotated[
        list[str] | None,
        typer.Option("--off", help="Switch off a pair (3.4), neuron:3 or head:4; again."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", help="Switch off all but these; again.")
    ] = None,
    scale: Annotated[
        list[str] | None, typer.Option("--scale", help="Scale a part, as in 3.4=0.5; again.")
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
        check_folder(out)
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
        write_mask(masks[1].mask, out, classes=len(prompts))
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


def _factors(scale: Sequence[str]) -> dict[str, float]:
    """Parts with their factors from ``3.4=0.5``."""
    found = {}
    for text in scale:
        part, equals, factor = text.partition("=")
        try:
            found[part] = float(factor)
        except ValueError:
            equals = ""
        if not equals or not np.isfinite(found[part]):
            raise CommandError(f"--scale is a part and a factor, as in 3.4=0.5, not {text!r}")
    return found


def _ablated(
    image: str, prompts: Sequence[str], found: Ablation, masks: Sequence[SegmentationMaps]
) -> dict[str, Any]:
    times = {}
    for when, scores, probabilities, maps in (
        ("before", found.scores_before, found.probabilities_before, masks[0]),
        ("after", found.scores, found.probabilities, masks[1]),
    ):
        shares = area_shares(maps, prompts)
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
