"""Which words the pairs of a head share, and which set it apart from other heads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from backend.server import schemas
from backend.server.csv_files import Cell
from backend.store import Store
from backend.store.format import INDEX_ATOMS

WORDS_HEADER = ("word", "pairs", "share", "elsewhere", "z")
"""Columns of a head's words as a table."""

FEWEST_PAIRS = 2
"""Of a head, to call a word its own: one pair alone may have any word."""


@dataclass(frozen=True)
class WordCounts:
    """How many pairs of each head point towards a word among the first words of their explanation.

    6 MB for 48 heads and 30,000 words.
    """

    pairs: Int[np.ndarray, "head word"]
    neurons: int

    @property
    def _others(self) -> int:
        """Pairs of all heads but one; 1 where there is no other head."""
        return max((len(self.pairs) - 1) * self.neurons, 1)

    def share(self, head: int) -> Float[np.ndarray, " word"]:
        """Of the head's pairs."""
        shares: np.ndarray = self.pairs[head] / self.neurons
        return shares

    def elsewhere(self, head: int) -> Float[np.ndarray, " word"]:
        """Share of the other heads' pairs; zero where there is no other head."""
        shares: np.ndarray = (self.pairs.sum(axis=0) - self.pairs[head]) / self._others
        return shares

    def z(self, head: int) -> Float[np.ndarray, " word"]:
        """Difference of both shares in its standard errors, were they equal; 0 for an unused word.

        The usual test of two proportions, with the pooled share.
        """
        pooled = self.pairs.sum(axis=0) / (self.neurons + self._others)
        error = np.sqrt(pooled * (1 - pooled) * (1 / self.neurons + 1 / self._others))
        difference = self.share(head) - self.elsewhere(head)
        found: np.ndarray = np.divide(
            difference, error, out=np.zeros_like(difference), where=error > 0
        )
        return found


def count_words(store: Store) -> WordCounts:
    """Words with a positive weight among the first INDEX_ATOMS of every pair."""
    ids, weights = store.explanations["word_ids"], store.explanations["weights"]
    words, heads = len(store.vocabulary), store.n_heads
    counts = np.zeros((heads, words), np.int32)
    for head in range(heads):
        towards = np.asarray(weights[head, :, :INDEX_ATOMS]) > 0
        chosen = np.asarray(ids[head, :, :INDEX_ATOMS])
        counts[head] = np.bincount(chosen[towards & (chosen >= 0)], minlength=words)
    return WordCounts(counts, store.n_neurons)


def head_words(
    store: Store, counts: WordCounts, head: int, *, wanted: int
) -> tuple[list[schemas.HeadWord], list[schemas.HeadWord]]:
    """The words that the most pairs of a head share, and those that stand out from other heads."""
    z, pairs = counts.z(head), counts.pairs[head]
    common = np.argsort(-pairs, kind="stable")[:wanted]
    own = np.argsort(np.where(pairs >= FEWEST_PAIRS, -z, np.inf), kind="stable")[:wanted]
    return (
        _words(store, counts, head, z, common[pairs[common] > 0]),
        _words(store, counts, head, z, own[(pairs[own] >= FEWEST_PAIRS) & (z[own] > 0)]),
    )


def word_rows(store: Store, counts: WordCounts, head: int) -> Iterator[list[Cell]]:
    """All words of a head's pairs under WORDS_HEADER, the most common first."""
    order = np.argsort(-counts.pairs[head], kind="stable")
    used = order[counts.pairs[head][order] > 0]
    for word in _words(store, counts, head, counts.z(head), used):
        yield [getattr(word, column) for column in WORDS_HEADER]


def _words(
    store: Store,
    counts: WordCounts,
    head: int,
    z: Float[np.ndarray, " word"],
    chosen: Int[np.ndarray, " chosen"],
) -> list[schemas.HeadWord]:
    share, elsewhere = counts.share(head), counts.elsewhere(head)
    return [
        schemas.HeadWord(
            word=store.vocabulary[word],
            pairs=int(counts.pairs[head, word]),
            share=float(share[word]),
            elsewhere=float(elsewhere[word]),
            z=float(z[word]),
        )
        for word in chosen.tolist()
    ]
