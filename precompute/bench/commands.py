"""The command line of benchmarks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import Device
from backend.options import AsJson
from backend.progress import Progress
from backend.tables import show, size_text
from precompute.bench.models import SMALL, vision_config
from precompute.bench.precompute import BACKBONE, bench, full_extent, quick_extent
from precompute.bench.segmentation import bench_segment
from precompute.bench.serve import bench_serve
from precompute.bench.uploads import bench_uploads
from precompute.errors import InputError

app = typer.Typer(
    no_args_is_help=True, help="Measure speed and memory beside what one would run instead."
)

ROUNDS = 3
IMAGES = 1024
REQUESTS = 60
OVERLOAD_SECONDS = 60.0
QUICK_OVERLOAD_SECONDS = 3.0
LONGEST_OVERLOAD = 600


Architecture = Annotated[str, typer.Option("--model", help="Architecture; its weights are random.")]
Rounds = Annotated[int, typer.Option("--rounds", help="Repetitions; 1 or more.")]
Quick = Annotated[bool, typer.Option("--quick", help="Small sizes: that it runs, not how fast.")]


@app.command()
def precompute(
    model: Architecture = "RN50x16",
    quick: Quick = False,
    rounds: Rounds = ROUNDS,
    images: Annotated[
        int, typer.Option("--images", help="Pictures of the pass over images; 1 or more.")
    ] = IMAGES,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Precompute and store, minutes on a CPU; needs 12 GB of memory for scikit-learn's part."""
    _check_least("rounds", rounds, 1)
    _check_least("images", images, 1)
    vision_config(model)
    extent = quick_extent() if quick else full_extent(model, rounds=rounds, images=images)
    _tell(bench(extent, device, Progress(quiet=as_json).note), as_json=as_json)


@app.command()
def segment(
    model: Architecture = BACKBONE,
    quick: Quick = False,
    rounds: Rounds = ROUNDS,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Also measure torch.compile, which needs a C++ compiler."),
    ] = False,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Segmentation of a picture, another prompt, and the maps it is made of."""
    _check_least("rounds", rounds, 1)
    vision_config(model)
    told = bench_segment(
        SMALL if quick else model,
        device,
        Progress(quiet=as_json).note,
        rounds=1 if quick else rounds,
        compiled=compiled,
        quick=quick,
    )
    _tell(told, as_json=as_json)


@app.command()
def uploads(
    model: Architecture = BACKBONE,
    quick: Quick = False,
    rounds: Rounds = ROUNDS,
    seconds: Annotated[
        float, typer.Option(help="How long too many requests come; 1 to 600.")
    ] = OVERLOAD_SECONDS,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Uploads at once against batches without a server, and three times too many; on loopback."""
    _check_least("rounds", rounds, 1)
    if not 1 <= seconds <= LONGEST_OVERLOAD:
        raise InputError(f"--seconds must be 1 to {LONGEST_OVERLOAD}, not {seconds:g}")
    vision_config(model)
    told = bench_uploads(
        SMALL if quick else model,
        device,
        Progress(quiet=as_json).note,
        rounds=1 if quick else rounds,
        seconds=QUICK_OVERLOAD_SECONDS if quick else seconds,
        quick=quick,
    )
    _tell(told, as_json=as_json)


@app.command()
def serve(
    store: Annotated[
        list[Path] | None,
        typer.Option("--store", help="A finished store to measure as well; may be repeated."),
    ] = None,
    requests: Annotated[
        int, typer.Option(help="Requests of each kind that are counted; 2 or more.")
    ] = REQUESTS,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Stored pages of a synthetic RN50x16-sized store, minutes; needs 2 GB of memory and disk."""
    _check_least("requests", requests, 2)
    note = Progress(quiet=as_json).note
    told = bench_serve(store or [], requests=requests, quick=quick, note=note)
    _tell(told, as_json=as_json)


def _check_least(option: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"--{option} must be {least} or more, not {value}")


def _tell(told: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)


def _show(told: dict[str, Any]) -> None:
    machine = told["machine"]
    typer.echo(
        f"{machine['processor']}, {machine['threads']} threads, load {machine['load']}, "
        f"{machine.get('gpu', machine['device'])}, torch {machine['torch']}, {told['date']}"
    )
    rows = [
        (
            row["work"],
            _amount(row["ours"], row["unit"]),
            row["beside"],
            _amount(row["theirs"], row["unit"]),
            f"{row['meaning']}: {_number(row['figure'], row['unit'], row['meaning'])}"
            + _processor(row),
            _reach(row),
            {True: "reached", False: "NOT reached", None: ""}[row["reached"]],
        )
        for row in told["rows"]
    ]
    show(("work", ">ours", "beside", ">theirs", "figure", "reach", ""), rows)


def _processor(row: dict[str, Any]) -> str:
    figure = row["by_processor_time"]
    if figure is None:
        return ""
    return f" (processor time {_number(figure, row['unit'], row['meaning'])})"


def _reach(row: dict[str, Any]) -> str:
    if row["reach"] is None:
        return ""
    return f"{row['bound']} {_number(row['reach'], row['unit'], row['meaning'])}"


def _number(value: float | None, unit: str, meaning: str) -> str:
    if value is None:
        return "not measured"
    plain = "/" in meaning or "share" in meaning
    return f"{value:.3g}" if plain else _amount(value, unit)


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    if unit == "bytes":
        return size_text(value)
    if unit == "s":
        return f"{value:.3g} s" if value >= 1 else f"{1e3 * value:.3g} ms"
    return f"{value:g} {unit}"
