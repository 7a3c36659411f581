"""Collections: lists of pairs that people make."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from backend.server.schemas.base import Wire
from backend.server.schemas.pairs import PairSummary
from backend.server.schemas.shares import MAX_NOTE_CHARACTERS, MAX_TITLE_CHARACTERS

MAX_COLLECTED = 60
"""Pairs of a collection: each is a card, 0.3 ms and 0.3 KB of a page."""

MAX_ENTRY_NOTE_CHARACTERS = 500


class CollectionEntry(PairSummary):
    note: str = Field(description="what the collector wrote of this pair")


class Collection(Wire):
    """A list of pairs with a title and notes.  It lives in its address and nowhere else."""

    model: str
    title: str
    about: str = Field(description="what the collector wrote of the whole")
    entries: list[CollectionEntry]
    data_version: str
    url: str


class CollectedPair(BaseModel):
    """One pair of a file that is read in."""

    model_config = ConfigDict(frozen=True)

    neuron: int = Field(ge=0)
    head: int = Field(ge=0)
    note: Annotated[str, Field(max_length=MAX_ENTRY_NOTE_CHARACTERS)] = ""


class CollectionFile(BaseModel):
    """What is read of a file that was saved as JSON; whatever else it holds is left out."""

    model_config = ConfigDict(frozen=True)

    title: Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS)] = ""
    about: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = ""
    entries: Annotated[list[CollectedPair], Field(max_length=MAX_COLLECTED)]
