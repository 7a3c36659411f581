"""The score of a picture and a text as an exact sum."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from jaxtyping import Float
from torch import Tensor

from backend.cli import Checkpoint, CommandError, Device
from backend.clip.encoded import WholePass
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
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="ROW,COLUMN",
            help="Tell too what every pair adds, from zero, at this one of the places.",
        ),
    ] = None,
    top: Shown = 20,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    as_json: AsJson = False,
) -> None:
    """Explain the score of a picture and a text as an exact sum over pairs, and over places."""
    if top < 0:
        raise CommandError(f"--top must be 0 or more, not {top}")
    place = None if token is None else _place(token)
    picture = open_upright(image)
    lab = Lab.open(store, checkpoint=checkpoint, device=device)
    seen = lab.take_apart(picture)
    found = lab.attribute(seen, text, against=against, baseline=baseline)
    placed = lab.attribute_places(seen, text, against=against)
    told: dict[str, Any] = {
        "image": str(image),
        "text": text,
        "against": against,
        "baseline": baseline,
        "score": float(found.score),
        "constant": float(found.constant),
        **_pairs(lab.store, found.pairs, top),
        "heads": _units("head", found.heads, top),
        "neurons": _units("neuron", found.neurons, top),
        "places": {
            "cells": placed.cells.tolist(),
            "position": float(placed.position),
            "constant": float(placed.constant),
        },
        "token": None,
        "note": HELD_FIXED,
    }
    if place is not None:
        told["token"] = _token(lab, seen, text, against, place, top)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    lead = f"“{text}”" if against is None else f"“{text}” before “{against}”"
    if place is not None:
        lead = f"{lead} from row {place[0]}, column {place[1]}"
    rows = _rows(told if place is None else told["token"], lab.model.factors.n_pairs)
    show(("pair", "words", ">part"), rows, title=f"{image}: {lead} ({HELD_FIXED})")


def _place(given: str) -> tuple[int, int]:
    row, _, column = given.partition(",")
    if not (row.strip().isdecimal() and column.strip().isdecimal()):
        raise CommandError(f"--token is ROW,COLUMN, for example 3,4, not {given!r}")
    return int(row), int(column)


def _token(
    lab: Lab, seen: WholePass, text: str, against: str | None, place: tuple[int, int], top: int
) -> dict[str, Any]:
    row, column = place
    try:
        parts = lab.attribute_token(seen, text, row=row, column=column, against=against)
    except ValueError as exc:
        raise CommandError(f"--token: {exc}") from None
    told = _pairs(lab.store, parts, top)
    return {"row": row, "column": column, "part": float(parts.sum()), **told}


def _pairs(store: Store, parts: Float[Tensor, "head neuron"], top: int) -> dict[str, Any]:
    """The largest parts with their words, and the exact rest."""
    found = largest_parts(parts, top)
    pairs = [
        {
            "neuron": place % store.n_neurons,
            "head": place // store.n_neurons,
            "part": part,
            "words": _words(store, place),
        }
        for place, part in zip(found.places.tolist(), found.values.tolist(), strict=True)
    ]
    return {"pairs": pairs, "remainder": float(found.remainder)}


def _rows(told: dict[str, Any], n_pairs: int) -> list[tuple[str, str, str]]:
    """The parts of a score, or of one place, and their sum."""
    rows = [
        (f"{pair['neuron']}.{pair['head']}", ", ".join(pair["words"]), f"{pair['part']:+.5f}")
        for pair in told["pairs"]
    ]
    rows.append((f"{n_pairs - len(rows):,} others", "", f"{told['remainder']:+.5f}"))
    if "constant" in told:
        rows.append(("no pair", "", f"{told['constant']:+.5f}"))
    total = told["score"] if "score" in told else told["part"]
    return [*rows, ("sum", "", f"{total:+.5f}")]


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
