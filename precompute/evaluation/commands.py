"""The command line of evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.clip.models import DEMO_FOLDER
from backend.options import AsJson
from precompute.demo_world.drawings import MEASURED, described
from precompute.errors import InputError
from precompute.evaluation.report import DRAWINGS, TASKS, flatten, shown, sources, write_into_card
from precompute.evaluation.report import evaluate as run

CARD = DEMO_FOLDER / "MODEL_CARD.md"


def evaluate(
    task: Annotated[str, typer.Argument(help=f"What to measure: {', '.join((*TASKS, DRAWINGS))}.")],
    model: Annotated[str, typer.Option(help="Model to measure.")] = "demo",
    dataset: Annotated[str, typer.Option(help="Data to measure it on: demo.")] = "demo",
    seed: Annotated[int, typer.Option(help="Seed of the scenes; 0 or more.")] = 0,
    count: Annotated[int, typer.Option(help="Scenes of each kind; 1 or more.")] = 1000,
    folders: Annotated[
        list[Path] | None,
        typer.Option(
            "--drawings",
            help="For drawings: a folder of images named by code points (1f98b.png, 1F98B.svg) or "
            "of an Iconify icon set (icons.json, chars.json); may be given again. None is shipped; "
            f"openly licensed ones are {described(MEASURED)}.",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: AsJson = False,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the figures into the demo model's card.")
    ] = False,
) -> None:
    """Measure a model on pictures with known contents."""
    try:
        notes = sources(folders) if folders and write_card else ""
        report = run(
            task,
            model=model,
            dataset=dataset,
            seed=seed,
            count=count,
            device=device,
            folders=folders or (),
        )
        if write_card:
            write_into_card(Path(CARD), report, notes)
    except ValueError as error:
        raise InputError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    typer.echo(f"{task} of {model} on {report.dataset}, seed {seed}, {count} scenes")
    for name, value in flatten(report.metrics).items():
        typer.echo(f"  {name:<32} {shown(value)}")
