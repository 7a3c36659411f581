"""The command line of the demo world: pictures of it, and the training of its model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from precompute.demo_world.drawings import LEARNT, described
from precompute.demo_world.images import write_images
from precompute.errors import InputError


def demo_images(
    count: Annotated[int, typer.Option(help="How many scenes; 1 or more.")],
    out: Annotated[Path, typer.Option(help="Folder to write them into.")],
    seed: Annotated[int, typer.Option(help="Seed; 0 or more. Never meets training's scenes.")] = 0,
    objects: Annotated[
        int | None, typer.Option(help="Objects in every scene, 1 to 4; varied when not given.")
    ] = None,
    size: Annotated[int, typer.Option(help="Side of the pictures, 32 to 384 pixels.")] = 256,
) -> None:
    """Write seeded scenes of the demo world, with masks and labels."""
    try:
        labels = write_images(out, count=count, seed=seed, objects=objects, size=size)
    except ValueError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from error
    typer.echo(f"{count} scenes written, described in {labels}")


def demo_train(
    out: Annotated[Path, typer.Option(help="File to write the weights to (safetensors).")],
    seed: Annotated[int, typer.Option(help="Seed of weights and scenes; 0 or more.")] = 0,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Where to keep the run; by default beside the weights.")
    ] = None,
    log: Annotated[
        Path | None, typer.Option(help="Log, JSON lines; by default beside the weights.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with in place of fresh ones.")
    ] = None,
    first_step: Annotated[
        int, typer.Option(help="Step of the schedule to begin at; with --start.")
    ] = 0,
    drawings: Annotated[
        list[Path] | None,
        typer.Option(
            help="Other artists' drawings to train with as well: a folder of images named by code "
            "points or of an Iconify icon set; may be given again. None is shipped; the demo's "
            f"weights were made with {described(LEARNT)}.",
        ),
    ] = None,
) -> None:
    """Train the demo model from scratch, or go on with an interrupted run (hours on a CPU)."""
    from precompute.demo_world.training import TrainingSettings, train  # torch and open_clip: slow

    settings = TrainingSettings(
        out=out,
        checkpoint=checkpoint or out.with_suffix(".checkpoint.pt"),
        log=log or out.with_suffix(".jsonl"),
        seed=seed,
        start=start,
        first_step=first_step,
        drawings=drawings or (),
    )
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=None)

        def report(step: int, steps: int, figures: dict[str, float]) -> None:
            progress.update(task, completed=step, total=steps)
            if "top1" in figures:
                progress.console.print(
                    f"step {step}: top-1 {figures['top1']:.3f}, top-5 {figures['top5']:.3f} "
                    f"at {figures['size']} pixels"
                )
            elif "naming" in figures:
                progress.update(task, description=f"loss {figures['naming']:.3f}")

        try:
            train(settings, report=report)
        except (ValueError, OSError) as error:
            raise InputError(str(error)) from error
    typer.echo(f"Weights written to {out}")
