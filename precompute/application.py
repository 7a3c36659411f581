"""All commands in one application: the backend's and the offline ones."""

from __future__ import annotations

import sys

import typer

from backend import cli as backend_cli
from backend import lab_commands
from backend.cli import CommandError
from backend.clip import ModelError
from backend.store import StoreError
from precompute import commands
from precompute.bench import commands as bench_commands
from precompute.demo_world.commands import demo_images, demo_train
from precompute.errors import InputError
from precompute.evaluation.commands import evaluate
from precompute.explain import explain
from precompute.store import commands as store_commands
from precompute.verification.commands import verify

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Explore the neuron-head pairs inside CLIP-ResNet models.",
)
app.command()(commands.demo)
app.command()(commands.precompute)
app.add_typer(backend_cli.app)
app.add_typer(lab_commands.app)
app.command()(demo_images)
app.command()(demo_train)
app.command()(evaluate)
app.command()(verify)
app.command()(explain)
app.add_typer(store_commands.app, name="store")
app.add_typer(bench_commands.app, name="bench")


def run() -> None:
    """Runs the command line; what people can mend is one sentence on stderr and exit code 2."""
    try:
        app()
    except (CommandError, InputError, ModelError, StoreError) as error:
        typer.echo(f"pairscope: {error}", err=True)
        sys.exit(2)
