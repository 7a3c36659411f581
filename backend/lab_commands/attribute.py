"""The score of a picture and a text as an exact sum."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from torch import Tensor

from backend.cli import Checkpoint, CommandError, Device
from backend.lab import Lab
from backend.lab_commands.files import open_upright
from backend.lab_commands.options import (
    DEFAULT_STORE,
    HELD_FIXED,
    FromBaseline,
    Picture,
    Shown,
    StoreFolder,
)
from backend.options import AsJson
from backend.pairs.attribution import largest_parts
from backend.store import Store
from backend.tables import show

WORDS_SHOWN = 3


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
