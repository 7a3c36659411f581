"""The command line of evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from backend.clip.models import DEMO_FOLDER
from precompute.errors import InputError
from precompute.evaluation.report import TASKS, flatten, write_into_card
from precompute.evaluation.report import evaluate as run

CARD = DEMO_FOLDER / "MODEL_CARD.md"


def evaluate(
    task: Annotated[str, typer.Argument(help=f"What to measure: {', '.join(TASKS)}.")],
    model: Annotated[str, typer.Option(help="Model to measure.")] = "demo",
    dataset: Annotated[str, typer.Option(help="Data to measure it on: demo.")] = "demo",
    seed: Annotated[int, typer.Option(help="Seed of the scenes; 0 or more.")] = 0,
    count: Annotated[int, typer.Option(help="Scenes of each kind; 1 or more.")] = 1000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    write_card: Annotated[
        bool, typer.Option("--write-card", help="Write the figures into the demo model's card.")
    ] = False,
) -> None:
    """Measure a model on pictures with known contents."""
    try:
        report = run(task, model=model, dataset=dataset, seed=seed, count=count, device=device)
        if write_card:
            write_into_card(Path(CARD), report)
    except ValueError as error:
        raise InputError(str(error)) from error
    if as_json:
        typer.echo(json.dumps(report.as_dict()))
        return
    typer.echo(f"{task} of {model} on {dataset}, seed {seed}, {count} scenes")
    for name, value in flatten(report.metrics).items():
        typer.echo(f"  {name:<24} {value:.3f}")
