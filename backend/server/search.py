"""Search of pairs by text: by what they point at, and by the words of their explanations.

The two are kept apart, since they say different things.  A pair points at a text whose embedding
lies in its direction, whether or not the words of its explanation name it; and a word may help to
explain a direction that it is not very similar to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from backend.pairs.similarity import (
    centre,
    null_percentiles,
    oriented_directions,
    pair_similarity,
)
from backend.server import schemas
from backend.server.cards import as_cosine, pair_fields, words_of
from backend.server.engine import EngineError
from backend.server.familiarity import Verdict
from backend.server.live import LiveModels
from backend.server.open_store import OpenStore
from backend.server.text import check_text
from backend.server.urls import Urls
from backend.store.format import INDEX_ATOMS

ALTERNATIVES = 4
"""Words offered instead of a misspelt one."""

MAX_PARTS = 8
"""Parts of a text that are looked for one by one; later ones are passed over."""

_QUOTED = re.compile(r'"(.+)"|“(.+)”')


def search_pairs(
    opened: OpenStore, urls: Urls, live: LiveModels, asked: schemas.SearchQuery
) -> schemas.SearchResults:
    """The pairs that answer to a text, best first.

    A vocabulary word uses its stored embedding; any other text needs the live model and waits for
    it.  Where that cannot answer, pairs found by words are still given; with none of these its
    :class:`~backend.server.engine.EngineError` is raised.  Call it from a worker thread.
    """
    given = check_text("query", "A query", asked.q, schemas.MAX_QUERY_CHARACTERS)
    text, exact = _unquoted(given)
    chosen = opened.pair_table.chosen(
        neuron=asked.neuron, head=asked.head, percentile_min=asked.percentile_min
    )
    by_words = None
    if asked.by != "meaning":
        by_words = _by_words(opened, urls, asked, _parts(opened, text, exact=exact), chosen)
    results, reading, unavailable = [], None, None
    if asked.by != "words":
        try:
            reading = _read(opened, live, text)
            results = _by_meaning(opened, urls, asked, reading.embedding, chosen)
        except EngineError as error:
            if by_words is None or not by_words.results:
                raise
            unavailable = str(error)
    verdict = reading.verdict if reading else None
    return schemas.SearchResults(
        query=given,
        source=reading.source if reading else None,
        may_not_know=verdict is not None and not verdict.known,
        doubt=verdict.doubt if verdict else None,
        standing=verdict.standing if verdict else None,
        unavailable=unavailable,
        total=int(chosen.sum()) if chosen is not None else opened.factors.n_pairs,
        results=results,
        by_words=by_words,
        did_you_mean=_alternatives(opened, text),
        next_limit=_next_limit(asked, len(results), by_words),
    )


def suggest(opened: OpenStore, text: str, limit: int) -> schemas.Suggestions:
    """Words of the vocabulary for a text that is being typed: completions, then similar ones."""
    folded = check_text("query", "A query", text, schemas.MAX_QUERY_CHARACTERS)
    words, offsets = opened.vocabulary, opened.store.index["offsets"]
    begun = words.completions(folded, limit)
    known = set(begun)
    alike = [word for word in words.similar(folded, limit) if word not in known]
    return schemas.Suggestions(
        query=folded,
        suggestions=[
            schemas.Suggestion(
                word=opened.store.vocabulary[word],
                kind="begins" if word in known else "similar",
                pairs=int(offsets[word + 1] - offsets[word]),
            )
            for word in [*begun, *alike][:limit]
        ],
    )


@dataclass(frozen=True)
class _Reading:
    """A text as the model understands it."""

    embedding: Float[Tensor, " d_out"]
    source: Literal["vocabulary", "text tower"]
    verdict: Verdict


def _read(opened: OpenStore, live: LiveModels, text: str) -> _Reading:
    word = opened.store.word_ids.get(text.casefold())
    if word is not None:
        embedding = opened.vocabulary_embeddings[word]
        return _Reading(embedding, "vocabulary", opened.familiarity.word(word))
    read = live.read_text(opened.store, text)
    return _Reading(read.embeddings[0], "text tower", opened.familiarity.read(read))


def _unquoted(text: str) -> tuple[str, bool]:
    """A text without the quotation marks round all of it, and whether there were any."""
    quoted = _QUOTED.fullmatch(text)
    inner = " ".join((quoted[1] or quoted[2]).split()) if quoted else ""
    return (inner, True) if inner else (text, False)


def _by_meaning(
    opened: OpenStore,
    urls: Urls,
    asked: schemas.SearchQuery,
    embedding: Float[Tensor, " d_out"],
    chosen: Bool[np.ndarray, " pair"] | None,
) -> list[schemas.SearchResult]:
    text = centre(embedding[None], opened.text_mean)
    similarity = pair_similarity(text, opened.factors, opened.scale)[0].flatten()
    norm = torch.from_numpy(opened.norm).flatten()
    scores = similarity * norm if asked.rank == "weighted" else similarity.clone()
    searched = scores.numel()
    if chosen is not None:
        scores[torch.from_numpy(~chosen)] = -torch.inf
        searched = int(chosen.sum())
    places = scores.topk(min(asked.limit, searched)).indices
    heads, neurons = places // opened.n_neurons, places % opened.n_neurons
    directions = oriented_directions(opened.factors, opened.scale, head=heads, neuron=neurons)
    nulls = null_percentiles(similarity[places], directions, opened.null_words)
    return [
        schemas.SearchResult(
            **pair_fields(opened, urls, neuron, head),
            similarity=as_cosine(float(similarity[place])),
            weighted=float(similarity[place] * norm[place]),
            null_percentile=round(null, 2),
        )
        for place, neuron, head, null in zip(
            places.tolist(), neurons.tolist(), heads.tolist(), nulls.tolist(), strict=True
        )
    ]


def _by_words(
    opened: OpenStore,
    urls: Urls,
    asked: schemas.SearchQuery,
    parts: list[list[int]],
    chosen: Bool[np.ndarray, " pair"] | None,
) -> schemas.WordMatches:
    """Pairs whose explanation names each of ``parts``; of ``chosen`` alone."""
    table, index = opened.pair_table, opened.store.index
    found = np.full(len(table), bool(parts)) if chosen is None else chosen & bool(parts)
    weight = np.zeros(len(table), np.float32)
    for part in parts:
        held, weights = table.weights_of(part)
        found = found & held
        weight += weights
    places = np.flatnonzero(found)
    scores = weight[places]
    if asked.rank == "weighted":
        scores = scores * table.column("norm")[places]
    best = places[np.argsort(-scores, kind="stable")[: asked.limit]]
    words = {word for part in parts for word in part}
    return schemas.WordMatches(
        total=len(places),
        entries=len(words),
        typical=float(np.median(np.diff(index["offsets"]))),
        results=[
            _word_match(opened, urls, place, float(weight[place]), words) for place in best.tolist()
        ],
    )


def _parts(opened: OpenStore, text: str, *, exact: bool) -> list[list[int]]:
    """Vocabulary entries for each thing that an explanation must name; none where one has none.

    The whole text where an entry holds it, else each of its words.
    """
    whole = opened.vocabulary.having(text)
    if whole or exact:
        return [whole] if whole else []
    parts = [opened.vocabulary.having(word) for word in text.split()[:MAX_PARTS]]
    return parts if all(parts) else []


def _word_match(
    opened: OpenStore, urls: Urls, place: int, weight: float, words: set[int]
) -> schemas.WordMatch:
    head, neuron = divmod(place, opened.n_neurons)
    ids = opened.store.explanations["word_ids"][head, neuron, :INDEX_ATOMS].tolist()
    first = words_of(opened, neuron, head, INDEX_ATOMS)
    named = [word for word in ids if word >= 0]
    matched = [word for number, word in zip(named, first, strict=True) if number in words]
    fields = pair_fields(opened, urls, neuron, head)
    return schemas.WordMatch(
        **fields,
        matched=matched,
        weight=weight,
        weighted=weight * fields["norm"],
        null_percentile=round(opened.pair_table.weight_percentile(weight), 2),
    )


def _alternatives(opened: OpenStore, text: str) -> list[str]:
    """Words that are spelt alike, for a text that no entry of the vocabulary holds."""
    if opened.vocabulary.having(text):
        return []
    return [opened.store.vocabulary[w] for w in opened.vocabulary.similar(text, ALTERNATIVES)]


def _next_limit(
    asked: schemas.SearchQuery, by_meaning: int, by_words: schemas.WordMatches | None
) -> int | None:
    """Twice as many, where either list may go on."""
    goes_on = by_meaning == asked.limit or (by_words is not None and by_words.total > asked.limit)
    more = min(2 * asked.limit, schemas.MAX_RESULTS)
    return more if goes_on and more > asked.limit else None
