"""The words of the demo world, and of which scenes each is true.

The model knows these words and no others, so they are also the dictionary that explains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from precompute.demo_world.atlas import Concept, load_atlas
from precompute.demo_world.layout import MOST_OBJECTS, NO_TINT, Layout
from precompute.demo_world.palette import BACKGROUND_COLOURS, PATTERNS, TINTS

# Sentences that a word is put into before it is embedded; the model was trained with each of them.
TEMPLATES: tuple[str, ...] = (
    "{}",
    "a {}",
    "a picture of a {}",
    "a drawing of a {}",
    "a scene with a {}",
)
MOST_WORDS = 2000
COMPOUNDS_PER_CONCEPT = 3


@dataclass(frozen=True)
class Lexicon:
    """Words by what they are about.

    Plain words are, in this order, `names`, `keywords`, `categories`, `tints`, `backgrounds`
    (colour, then pattern). A compound is (concept, tint), as in "blue butterfly". `concept_words`
    is bool [concept, word]: which names, keywords and categories fit a concept.
    """

    names: tuple[str, ...]
    keywords: tuple[str, ...]
    categories: tuple[str, ...]
    tints: tuple[str, ...]
    backgrounds: tuple[str, ...]
    concept_words: Tensor
    compounds: tuple[tuple[int, int], ...]

    @property
    def plain(self) -> tuple[str, ...]:
        """Every word that is no compound."""
        return self.names + self.keywords + self.categories + self.tints + self.backgrounds

    def compound(self, concept: int, tint: int) -> str:
        """The compound of a concept and a tint, as a word."""
        return f"{self.tints[tint]} {self.names[concept]}"

    def truth(self, layout: Layout) -> Tensor:
        """Of which scenes each plain word is true, bool [scene, plain word]."""
        present = torch.from_numpy(np.arange(MOST_OBJECTS) < layout.count[:, None])
        concept, tint = torch.from_numpy(layout.concept), torch.from_numpy(layout.tint)
        scenes = len(concept)
        shown = torch.zeros(scenes, len(self.names)).scatter_add_(1, concept, present.float())
        tinted = torch.zeros(scenes, len(self.tints) + 1)
        place = torch.where(tint == NO_TINT, len(self.tints), tint)
        tinted.scatter_add_(1, place, present.float())
        ground = torch.zeros(scenes, len(self.backgrounds))
        ground.scatter_(1, torch.from_numpy(layout.colour)[:, None], 1.0)
        pattern = torch.from_numpy(layout.pattern) + len(BACKGROUND_COLOURS)
        ground.scatter_(1, pattern[:, None], 1.0)
        about_objects = shown @ self.concept_words.float()
        return torch.cat([about_objects, tinted[:, :-1], ground], dim=1) > 0

    def compound_truth(self, layout: Layout, compounds: Tensor) -> Tensor:
        """Of which scenes each compound [n, 2] (concept, tint) is true, bool [scene, n]."""
        present = torch.from_numpy(np.arange(MOST_OBJECTS) < layout.count[:, None])
        concept, tint = torch.from_numpy(layout.concept), torch.from_numpy(layout.tint)
        same = (concept[:, :, None] == compounds[:, 0]) & (tint[:, :, None] == compounds[:, 1])
        return (same & present[:, :, None]).any(dim=1)


@cache
def lexicon() -> Lexicon:
    """The lexicon of the shipped atlas."""
    concepts = load_atlas().concepts
    names = tuple(concept.name for concept in concepts)
    keywords = tuple(sorted({word for concept in concepts for word in concept.keywords}))
    categories = tuple(sorted({word for concept in concepts for word in concept.categories}))
    backgrounds = tuple(f"{word} background" for word in (*BACKGROUND_COLOURS, *PATTERNS))
    place = {word: i for i, word in enumerate(names + keywords + categories)}
    fits = torch.zeros(len(names), len(place), dtype=torch.bool)
    for row, concept in enumerate(concepts):
        for word in (concept.name, *concept.keywords, *concept.categories):
            fits[row, place[word]] = True
    return Lexicon(
        names=names,
        keywords=keywords,
        categories=categories,
        tints=tuple(TINTS),
        backgrounds=backgrounds,
        concept_words=fits,
        compounds=_chosen_compounds(concepts),
    )


def _chosen_compounds(concepts: tuple[Concept, ...]) -> tuple[tuple[int, int], ...]:
    """A few tints for every concept that takes one, so that each tint is met equally often."""
    step = len(TINTS) // COMPOUNDS_PER_CONCEPT
    return tuple(
        (row, (row + step * turn) % len(TINTS))
        for turn in range(COMPOUNDS_PER_CONCEPT)
        for row, concept in enumerate(concepts)
        if concept.tintable
    )


def vocabulary() -> list[str]:
    """Unique words of the demo world, at most 2,000: plain words, then compounds."""
    words = lexicon()
    compounds = [words.compound(concept, tint) for concept, tint in words.compounds]
    return list(dict.fromkeys([*words.plain, *compounds]))[:MOST_WORDS]
