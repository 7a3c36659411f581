"""The vocabulary as people type it: completions, and what was perhaps meant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from rapidfuzz import process
from rapidfuzz.distance import OSA

SIMILAR_ENOUGH = 0.6
"""Least likeness of a word to what was typed: one slip in three letters, two in five."""


def sharing_no_part(words: Iterable[str]) -> Iterator[int]:
    """Places of the words of which no part stands in one before ("blue dove", "blue spoon")."""
    seen: set[str] = set()
    for place, word in enumerate(words):
        parts = set(word.casefold().split())
        if not parts & seen:
            seen |= parts
            yield place


class Vocabulary:
    """The words of one store, in its order; case does not matter."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = list(words)
        self._folded = [word.casefold() for word in words]
        self._with_part: defaultdict[str, list[int]] = defaultdict(list)
        for number, word in enumerate(self._folded):
            for part in dict.fromkeys(word.split()):
                self._with_part[part].append(number)

    def having(self, text: str) -> list[int]:
        """Numbers of the entries that are ``text`` or hold it as a whole part.

        ``dog`` finds ``dog`` and ``hot dog``, not ``dogma``.
        """
        parts = text.casefold().split()
        if not parts:
            return []
        sought = f" {' '.join(parts)} "
        candidates = self._with_part.get(parts[0], [])
        return [number for number in candidates if sought in f" {self._folded[number]} "]

    def completions(self, text: str, wanted: int) -> list[int]:
        """Numbers of the entries that begin with ``text``, then of those with a part that does."""
        start = text.casefold()
        begun = [number for number, word in enumerate(self._folded) if word.startswith(start)]
        if len(begun) < wanted:
            inner = f" {start}"
            begun += [number for number, word in enumerate(self._folded) if inner in word]
        return begun[:wanted]

    def similar(self, text: str, wanted: int) -> list[int]:
        """Numbers of the entries that ``text`` may be a misspelling of, the likeliest first.

        Likeness is 1 less the share of letters inserted, deleted, exchanged or swapped.
        """
        found = process.extract(
            text.casefold(),
            self._folded,
            scorer=OSA.normalized_similarity,
            score_cutoff=SIMILAR_ENOUGH,
            limit=wanted + 1,
        )
        others = [place for word, _, place in found if word != text.casefold()]
        return others[:wanted]
