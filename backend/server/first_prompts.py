"""Prompts that the lab begins with: what a picture is most like, names of one thing together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.similarity import centre
from backend.server.open_store import OpenStore

BEGUN_WITH = 3
"""Of the nearest words; further ones are more often wrong."""

MOST_NAMES = 3
"""Names of one thing in a prompt."""


def first_prompts(opened: OpenStore, suggestions: Sequence[str]) -> list[str]:
    """The nearest of a picture's suggested words, those that are alike joined by commas.

    As prompts of their own, names of one thing would share its pixels among them.
    """
    places = [opened.store.vocabulary.index(word) for word in suggestions]
    words = centre(opened.vocabulary_embeddings[torch.tensor(places)], opened.text_mean)
    groups = grouped(words @ words.T, opened.alike)
    begun = [group[:MOST_NAMES] for group in groups if group[0] < BEGUN_WITH]
    return [", ".join(suggestions[place] for place in group) for group in begun]


def grouped(cosines: Float[Tensor, "word word"], least: float) -> list[list[int]]:
    """Places of words in groups: each joins the first whose first word it is as like as ``least``,
    or begins one of its own."""
    groups: list[list[int]] = []
    for place, row in enumerate(cosines.tolist()):
        joined = next((group for group in groups if row[group[0]] >= least), None)
        if joined is None:
            groups.append([place])
        else:
            joined.append(place)
    return groups
