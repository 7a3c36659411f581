"""One open store with what its queries need at hand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from backend.pairs.factors import Factors, write_norms
from backend.pairs.similarity import centre, orientation_scale, pair_similarity
from backend.server.familiarity import Familiarity
from backend.server.head_words import WordCounts, count_words
from backend.server.map_file import MapFile
from backend.server.pair_table import PairTable
from backend.server.vocabulary import Vocabulary, sharing_no_part
from backend.store import Store

if TYPE_CHECKING:
    from backend.clip import ClipResNet
    from backend.clip.segmentation import Segmenter
    from backend.server.samples import Sample
    from backend.server.splits import Splits

NULL_WORDS = 2000
"""Vocabulary words that a text's similarity is compared with: 100 results cost 100 x 2,000 x d_out
multiply-adds, some 10 ms at d_out = 768."""

NULL_SEED = 0
"""The sample of words is the same in every process."""

EXAMPLE_SAMPLE = 500
"""Vocabulary words that may become examples: as many texts against all pairs, 6 G multiply-adds for
RN50x16, once."""

WORDS_AT_ONCE = 50
"""Texts whose similarities to all pairs are held at a time: 30 MB for RN50x16."""

LENGTHS_AT_ONCE = 4096
"""Vocabulary words that are centred at a time to measure them: 13 MB at d_out = 768."""

EXAMPLE_WORDS = 8

EXAMPLES = 2
"""Pairs that stand as examples: as few as can be compared."""

WORDS_LOOKED_AT = 200
"""Nearest words among which those that share no part are chosen."""

FEATURED = 12
"""Strongest and clearest pairs on a model's page."""

PREPARED = (
    "word_lengths",
    "splits",
    "word_counts",
    "null_words",
    "alike",
    "by_norm",
    "clearest",
    "example_words",
    "samples",
)
"""Attributes of an open store that are computed once, at their first use."""

ALIKE_SAMPLE = 500
"""Words whose nearest ones tell what alike means."""

CLEAR_PERCENTILE = 90.0
"""A pair is strong enough to be called clear from this percentile of the norm."""


class OpenStore:
    """One store with what its queries need at hand: a few arrays as big as one map of pairs."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.model_key: str = store.manifest.model.weights_sha256
        arrays = {name: torch.from_numpy(np.array(a)) for name, a in store.factors.items()}
        self.factors = Factors(
            value=arrays["value"],
            output=arrays["output"],
            value_bias=arrays["value_bias"],
            output_bias=arrays["output_bias"],
        )
        self.sign = torch.from_numpy(np.array(store.statistics["sign"])).float()
        self.norm: Float[np.ndarray, "head neuron"] = np.array(store.statistics["norm"])
        self.scale = orientation_scale(self.sign, write_norms(self.factors))
        self.vocabulary_embeddings = torch.from_numpy(np.array(store.vocabulary_embeddings))
        self.text_mean = self.vocabulary_embeddings.mean(dim=0)
        self._segmenter: Segmenter | None = None

    @property
    def n_heads(self) -> int:
        return self.factors.n_heads

    @property
    def n_neurons(self) -> int:
        return self.factors.n_neurons

    def prepare(self) -> None:
        """Compute what takes too long for the first visitor's request: seconds for RN50x16."""
        for name in PREPARED:
            getattr(self, name)

    def segmenter(self, model: ClipResNet) -> Segmenter:
        """Made at the first picture and kept; call it on the device's thread."""
        from backend.clip.segmentation import Segmenter  # late: importing open_clip takes seconds

        if self._segmenter is None:
            self._segmenter = Segmenter(
                model,
                templates=self.store.manifest.templates,
                vocabulary=self.vocabulary_embeddings,
                sign=self.sign,
                sinks=torch.from_numpy(np.array(self.store.statistics["sink_tokens"])),
            )
        return self._segmenter

    @cached_property
    def mean(self) -> Float[Tensor, "head neuron"]:
        """Mean coefficient of every pair over the data set, not oriented."""
        return torch.from_numpy(np.array(self.store.statistics["mean"])).float()

    @cached_property
    def familiarity(self) -> Familiarity:
        """Tells what the model may not know."""
        return Familiarity(self.store)

    @cached_property
    def pair_table(self) -> PairTable:
        """All pairs as a table that can be sorted and filtered."""
        return PairTable(self.store)

    @cached_property
    def deviation(self) -> Float[Tensor, "head neuron"]:
        """Standard deviation of every pair's coefficient over the data set."""
        statistics = self.store.statistics
        count = max(int(statistics["count"].item()), 1)
        deviation = np.sqrt(np.array(statistics["m2"], np.float64) / count)
        return torch.from_numpy(deviation.astype(np.float32))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words, to be searched as people type them."""
        return Vocabulary(self.store.vocabulary)

    @cached_property
    def map_file(self) -> MapFile:
        """Where every pair lies on the map, ready to send."""
        return MapFile(self.store)

    @cached_property
    def null_words(self) -> Float[Tensor, "word d_out"]:
        """The fixed sample of centred unit words that texts are compared with."""
        words = self.vocabulary_embeddings
        if len(words) > NULL_WORDS:
            chosen = np.random.default_rng(NULL_SEED).choice(len(words), NULL_WORDS, replace=False)
            words = words[torch.from_numpy(np.sort(chosen))]
        return centre(words, self.text_mean)

    @cached_property
    def alike(self) -> float:
        """The cosine from which two words count as names of one thing: as near as half of the
        words have their nearest."""
        words, nulls = self.vocabulary_embeddings, self.null_words
        # Vocabularies are in an order: the first are not like all.
        sample = nulls[np.random.default_rng(NULL_SEED).permutation(len(nulls))[:ALIKE_SAMPLE]]
        nearest = torch.zeros(len(sample), 2)
        for start in range(0, len(words), LENGTHS_AT_ONCE):
            part = centre(words[start : start + LENGTHS_AT_ONCE], self.text_mean)
            nearest = torch.cat([nearest, sample @ part.T], dim=1).topk(2, dim=1).values
        return float(nearest[:, 1].median())  # the first is the word itself

    @cached_property
    def word_lengths(self) -> Float[Tensor, " word"]:
        """Length of every vocabulary word less the vocabulary's mean; never zero."""
        words = self.vocabulary_embeddings
        lengths = torch.cat(
            [
                (words[start : start + LENGTHS_AT_ONCE] - self.text_mean).norm(dim=1)
                for start in range(0, len(words), LENGTHS_AT_ONCE)
            ]
        )
        return lengths.clamp_min(torch.finfo(lengths.dtype).tiny)

    @cached_property
    def word_counts(self) -> WordCounts:
        """How many pairs of each head point towards each word."""
        return count_words(self.store)

    @cached_property
    def head_shares(self) -> Float[np.ndarray, " head"]:
        """Each head's part of the sum of the norms of all pairs."""
        sums: np.ndarray = self.norm.sum(axis=1, dtype=np.float64)
        return sums / max(float(sums.sum()), np.finfo(np.float64).tiny)

    @cached_property
    def splits(self) -> Splits:
        """How every pair parts from its neuron, and the strongest splits: a second for RN50x16."""
        from backend.server.splits import find_splits  # late: it takes this class's arrays

        return find_splits(self)

    @cached_property
    def samples(self) -> list[Sample]:
        """Images of the data set to begin with in the lab: seconds for RN50x16."""
        from backend.server.samples import find_samples  # late: it takes this class's arrays

        return find_samples(self)

    @cached_property
    def by_norm(self) -> Int[np.ndarray, " pair"]:
        """Flat places (head * neurons + neuron) of all pairs, the largest norm first."""
        return np.argsort(-self.norm.ravel(), kind="stable")

    @cached_property
    def clearest(self) -> list[tuple[int, int]]:
        """(neuron, head) of strong pairs to begin with, most monosemantic first.

        Their first words and their top images are distinct, so that they show different things.
        Pairs that point towards their first word come before those that point away from it.
        """
        statistics = self.store.statistics
        clarity = np.nan_to_num(np.array(statistics["monosemanticity"]), nan=-1.0).ravel()
        strong = np.array(statistics["norm_percentile"]).ravel() >= CLEAR_PERCENTILE
        order = np.argsort(np.where(strong, -clarity, np.inf), kind="stable")[: int(strong.sum())]
        away = self.store.explanations["weights"][..., 0].ravel()[order] < 0
        chosen: list[tuple[int, int]] = []
        words: set[int] = set()
        images: set[int] = set()
        for place in order[np.argsort(away, kind="stable")]:
            head, neuron = divmod(int(place), self.n_neurons)
            word = int(self.store.explanations["word_ids"][head, neuron, 0])
            image = int(self.store.statistics["top_images"][head, neuron, 0])
            if word in words or image in images:
                continue
            words.add(word)
            images.add(image)
            chosen.append((neuron, head))
            if len(chosen) == FEATURED:
                break
        return chosen

    @cached_property
    def examples(self) -> list[tuple[int, int]]:
        """(neuron, head) of the pairs that stand as examples of how pairs are written."""
        strongest = [divmod(int(place), self.n_neurons) for place in self.by_norm[:EXAMPLES]]
        pairs = [*self.clearest, *((neuron, head) for head, neuron in strongest)]
        return list(dict.fromkeys(pairs))[:EXAMPLES]

    @cached_property
    def example_words(self) -> list[str]:
        """Vocabulary words that a strong pair points at most exactly: each is sure to find one.

        From a fixed sample of the vocabulary; no two share a word ("blue dove", "blue spoon").
        """
        words = np.arange(len(self.store.vocabulary))
        if len(words) > EXAMPLE_SAMPLE:
            words = np.random.default_rng(NULL_SEED).choice(words, EXAMPLE_SAMPLE, replace=False)
        percentile = torch.from_numpy(np.array(self.store.statistics["norm_percentile"]))
        weak = percentile < CLEAR_PERCENTILE
        texts = centre(self.vocabulary_embeddings[torch.from_numpy(words)], self.text_mean)
        best = torch.cat(
            [
                pair_similarity(texts[start : start + WORDS_AT_ONCE], self.factors, self.scale)
                .masked_fill(weak, -torch.inf)
                .amax(dim=(1, 2))
                for start in range(0, len(texts), WORDS_AT_ONCE)
            ]
        )
        order = best.argsort(descending=True, stable=True).tolist()
        return self._distinct([words[place] for place in order], EXAMPLE_WORDS)

    def words_like(self, embedding: Float[Tensor, " d_out"], wanted: int) -> list[str]:
        """Words whose centred embeddings an image's is most like; no two share a word."""
        return list(self.words_of_each(embedding[None], wanted)[0])

    def words_of_each(
        self, embeddings: Float[Tensor, "image d_out"], wanted: int
    ) -> list[dict[str, float]]:
        """The same of several images: the words of each with their cosines, the nearest first."""
        images = F.normalize(embeddings.float().cpu(), dim=1)
        products = images @ self.vocabulary_embeddings.T - (images @ self.text_mean)[:, None]
        cosines = products / self.word_lengths
        best = cosines.topk(min(WORDS_LOOKED_AT, cosines.shape[1]))
        found = []
        for values, places in zip(best.values.tolist(), best.indices.tolist(), strict=True):
            words = (self.store.vocabulary[place] for place in places)
            near = dict(zip(words, values, strict=True))
            found.append({word: near[word] for word in self._distinct(places, wanted)})
        return found

    def _distinct(self, places: Sequence[int], wanted: int) -> list[str]:
        """The first words at ``places`` of the vocabulary of which no two share a part."""
        words = [self.store.vocabulary[place] for place in places]
        return [words[place] for place in islice(sharing_no_part(words), wanted)]
