"""Words for any direction: the vocabulary's nearest ones, and those that set two directions apart.

Unlike an explanation, which is a sum of words, these are single words, each with its own cosine.
"""

from __future__ import annotations

from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.similarity import centre
from backend.server import schemas
from backend.server.open_store import OpenStore
from backend.server.vocabulary import sharing_no_part

CANDIDATES = 64
"""A direction is told apart from another by one of its own nearest words: a word far from both says
nothing of it, however much further it is from the other."""


def word_similarities(
    opened: OpenStore, directions: Float[Tensor, "direction d_out"]
) -> Float[Tensor, "direction word"]:
    """cos(unit(word - mean), direction) of unit directions with the whole vocabulary, in [-1, 1].

    30,000 words of 768 numbers are read once for all directions, some 10 ms.
    """
    products = torch.addmm(
        -(directions @ opened.text_mean), opened.vocabulary_embeddings, directions.T
    )
    return products.T.div_(opened.word_lengths).clamp_(-1, 1)


def nearest_words(
    opened: OpenStore, similarity: Float[Tensor, " word"], *, wanted: int
) -> list[schemas.NearWord]:
    """The words with the largest similarity, of which no two share a part ("red fox", "red owl").

    ``similarity`` is a row of :func:`word_similarities`.
    """
    near = similarity.topk(min(CANDIDATES, len(similarity)))
    words = [opened.store.vocabulary[place] for place in near.indices.tolist()]
    return [
        schemas.NearWord(word=words[place], similarity=float(near.values[place]))
        for place in islice(sharing_no_part(words), wanted)
    ]


def distinct_words(
    opened: OpenStore,
    own: Float[Tensor, " word"],
    other: Float[Tensor, " d_out"],
    *,
    wanted: int,
) -> list[schemas.DistinctWord]:
    """What a direction has that another has not: the largest similarity less that of the other.

    ``own`` is a row of :func:`word_similarities`, ``other`` a unit direction.  Chosen among the
    CANDIDATES words nearest to the first direction; a word must be nearer to it than to the other,
    and no two share a part.
    """
    near = own.topk(min(CANDIDATES, len(own)))
    words = centre(opened.vocabulary_embeddings[near.indices], opened.text_mean)
    gain = near.values - words @ other
    order = gain.argsort(descending=True, stable=True)
    order = order[(gain[order] > 0) & (near.values[order] > 0)]
    names = [opened.store.vocabulary[place] for place in near.indices[order].tolist()]
    chosen = order[list(islice(sharing_no_part(names), wanted))].tolist()
    return [
        schemas.DistinctWord(
            word=opened.store.vocabulary[int(near.indices[place])],
            similarity=float(near.values[place]),
            gain=float(gain[place]),
        )
        for place in chosen
    ]
