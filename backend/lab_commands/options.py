"""What the lab's commands take alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.lab import Baseline

HELD_FIXED = "attention is held fixed"

StoreFolder = Annotated[Path, typer.Option("--store", help="Store to read pairs and model from.")]
Prompts = Annotated[
    list[str],
    typer.Option(
        "--prompt", help='A class; may be given again. Synonyms by comma: "car, automobile".'
    ),
]
Picture = Annotated[Path, typer.Argument(help="A picture.")]
FromBaseline = Annotated[
    Baseline,
    typer.Option("--baseline", help="Pairs are measured from, or switched off to, zero or their "
                 "mean over the store's images."),
]  # fmt: skip
Shown = Annotated[int, typer.Option("--top", help="Parts that are listed; 0 or more.")]

DEFAULT_STORE = Path("stores/demo")
"""Where `pairscope demo` keeps its own."""
