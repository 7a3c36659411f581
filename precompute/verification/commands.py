"""The command line of the exactness report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from backend.cli import Checkpoint, Device
from backend.options import AsJson, Quiet
from backend.progress import Progress
from backend.store import open_store
from backend.store.exactness import keep_report
from backend.tables import show
from precompute.datasets import open_images
from precompute.errors import InputError
from precompute.verification.report import Report
from precompute.verification.run import Request, verify_store


def verify(
    store: Annotated[Path, typer.Argument(help="Folder of a finished store.")],
    checkpoint: Checkpoint = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            help="Pictures for the forward passes; if they are the store's own, its statistics are "
            "computed again. The demo makes its own.",
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Pairs compared with PCA and with scikit-learn; 1 or more.")
    ] = 16,
    device: Device = "auto",
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Leave the report beside the store, for its server to show."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove on real passes that a store is exact; exit code 1 if any figure is beyond its bound."""
    if samples < 1:
        raise InputError(f"--samples must be 1 or more, not {samples}")
    request = Request(
        store=open_store(store),
        checkpoint=checkpoint,
        images=open_images(images) if images else None,
        samples=samples,
        device=device,
    )
    report = verify_store(request, Progress(quiet=quiet or as_json))
    if keep:
        made = {"made": datetime.now(UTC).isoformat(timespec="seconds")}
        keep_report(store, report.as_dict() | made)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show(report)
    if not report.ok:
        raise typer.Exit(1)


def _show(report: Report) -> None:
    rows = [
        ("ok" if check.ok else "FAILS", check.name, f"{check.figure:.2g}", f"{check.bound:.2g}",
         check.over)
        for check in report.checks
    ]  # fmt: skip
    title = f"{report.store}, data version {report.data_version}"
    show(("", "largest difference", ">found", ">bound", "over"), rows, title=title)
    for reason in report.left_out:
        typer.echo(f"left out: {reason}")
    failed = sum(not check.ok for check in report.checks)
    typer.echo(
        "every figure is within its bound" if report.ok else f"{failed} figures are not right"
    )
