"""The command line of finished stores: verify, info, export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.options import AsJson
from backend.store import Store, open_store
from backend.store.integrity import Integrity, check_integrity
from backend.tables import show, size_text
from precompute.errors import InputError
from precompute.store.export import (
    check_target,
    export_directions,
    export_explanations,
    export_statistics,
    table_writer,
)
from precompute.store.facts import facts

app = typer.Typer(no_args_is_help=True, help="Check, describe and export finished stores.")

StorePath = Annotated[Path, typer.Argument(help="Folder of a finished store.")]


@app.command()
def verify(
    stores: Annotated[list[Path], typer.Argument(help="Folders of finished stores.")],
    as_json: AsJson = False,
) -> None:
    """Compare every file of a store with its manifest; exit code 1 if any differs."""
    reports = [check_integrity(path) for path in stores]
    if as_json:
        typer.echo(json.dumps([report.as_dict() for report in reports], indent=2))
    else:
        for report in reports:
            typer.echo(_told(report))
    if not all(report.ok for report in reports):
        raise typer.Exit(1)


def _told(report: Integrity) -> str:
    if report.ok:
        return (
            f"{report.path}: {report.files} files, {size_text(report.size)}, "
            f"as written (data version {report.data_version})"
        )
    lines = [f"{report.path}: {len(report.wrong_files)} of its files are not right"]
    lines += [f"  {found.file}: {found.problem}; {found.remedy}" for found in report.findings]
    return "\n".join(lines)


@app.command()
def info(store: StorePath, as_json: AsJson = False) -> None:
    """Tell what a store is: model, data, parameters, sizes, timings."""
    told = facts(open_store(store))
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    show(("what", "value"), _summary(told), title=f"store {told['name']}")
    files = [
        (file, size_text(entry["size"]), _arrays_text(entry["arrays"]))
        for file, entry in told["files"].items()
    ]
    show(("file", ">size", "arrays"), files)


def _summary(told: dict[str, Any]) -> list[tuple[str, str]]:
    model, dataset, counts = told["model"], told["dataset"], told["counts"]
    seconds = ", ".join(f"{stage} {taken:.3g} s" for stage, taken in told["timings"].items())
    return [
        ("model", " ".join(filter(None, (model["architecture"], model["pretrained"])))),
        ("weights", model["weights_sha256"]),
        ("pairs", "{pairs:,} ({neurons:,} neurons, {heads} heads)".format(**counts)),
        ("data set", f"{dataset['name']}, {counts['images']:,} images"),
        ("unreadable", f"{counts['unreadable_images']:,}"),
        ("vocabulary", f"{counts['words']:,} words in {len(told['templates'])} templates"),
        ("parameters", json.dumps(told["parameters"])),
        ("data version", told["data_version"]),
        ("made", f"{told['created']} by version {told['code_version']}"),
        ("timings", seconds),
        ("size", size_text(told["size"])),
    ]


def _arrays_text(arrays: dict[str, list[Any]]) -> str:
    return ", ".join(
        f"{name} {kind}[{', '.join(map(str, shape))}]" for name, (kind, *shape) in arrays.items()
    )


Export = Callable[..., int]


@app.command()
def export(
    store: StorePath,
    directions: Annotated[
        Path | None,
        typer.Option(help="safetensors file for the oriented unit directions of all pairs."),
    ] = None,
    explanations: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file for the words of all pairs.")
    ] = None,
    statistics: Annotated[
        Path | None, typer.Option(help="CSV or Parquet file for the figures of all pairs.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write a store's data as plain files for other programs."""
    wanted: list[tuple[Export, Path, str]] = [
        (run, out, unit)
        for run, out, unit in (
            (export_directions, directions, "bytes"),
            (export_explanations, explanations, "rows"),
            (export_statistics, statistics, "rows"),
        )
        if out is not None
    ]
    if not wanted:
        raise InputError("nothing to export: add --directions, --explanations or --statistics")
    opened: Store = open_store(store)
    for run, out, _ in wanted:  # before the long work
        check_target(out, force=force)
        if run is not export_directions:
            table_writer(out)
    for run, out, unit in wanted:
        typer.echo(f"{out}: {run(opened, out, force=force):,} {unit}")
