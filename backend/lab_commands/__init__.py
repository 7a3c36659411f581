"""The lab on the command line: segment, attribute, ablate."""

from __future__ import annotations

import typer

from backend.lab_commands.ablate import ablate
from backend.lab_commands.attribute import attribute
from backend.lab_commands.segment import segment

app = typer.Typer()
app.command()(segment)
app.command()(attribute)
app.command()(ablate)
