"""Stages on pairs: what their directions say, held against nulls, and the index from words."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.factors import Factors, write_norms
from backend.pairs.held_out import pair_scores
from backend.pairs.similarity import orientation_scale, oriented_directions
from backend.pairs.sparse_coding import centred_dictionary
from backend.store.format import (
    EMBEDDINGS,
    EXPLANATIONS,
    INDEX,
    INDEX_ATOMS,
    NULLS,
    STATISTICS,
    word_dtype,
)
from backend.store.reader import Arrays
from precompute.stages.explain import (
    NULL_SAMPLES,
    explain_directions,
    explain_head,
    reconstructions,
)
from precompute.work import Work

NULL_SEED = 0


def dictionary_of(work: Work) -> Float[Tensor, "word d_out"]:
    """The store's vocabulary, centred and normalised, where the model is."""
    embeddings = torch.from_numpy(np.array(work.arrays(EMBEDDINGS)["embeddings"]))
    return centred_dictionary(embeddings.to(work.job.model.device))[0]


def write_explanations(work: Work) -> None:
    """Words for every pair's direction, and how they do on images they have not seen."""
    factors, atoms = work.job.model.factors, work.job.parameters.atoms
    dictionary = dictionary_of(work)
    heads = []
    with work.progress.stage("pairs", factors.n_pairs) as advance:
        for head in range(factors.n_heads):

            def compute(head: int = head) -> dict[str, np.ndarray]:
                return _explained_head(work, dictionary, head=head, atoms=atoms)

            heads.append(work.part(f"{head:03}", compute))
            advance(factors.n_neurons)
    work.writer.arrays(
        EXPLANATIONS, {name: np.stack([head[name] for head in heads]) for name in heads[0]}
    )


def _explained_head(
    work: Work, dictionary: Float[Tensor, "word d_out"], *, head: int, atoms: int
) -> dict[str, np.ndarray]:
    factors, collected = work.job.model.factors, work.collected()
    device = factors.value.device
    sign = torch.from_numpy(np.array(work.arrays(STATISTICS)["sign"][head])).float()
    found = explain_head(factors, dictionary, head=head, atoms=atoms)
    weights = found.weights * sign[:, None]
    calibration = collected.calibration
    held_out = pair_scores(
        torch.from_numpy(np.array(calibration.coefficients[:, head])).to(device) * sign.to(device),
        calibration.embeddings.to(device),
        (factors.output[head] @ factors.value[head]).T * sign.to(device)[:, None],
        reconstructions(found.word_ids.to(device), weights.to(device), dictionary),
    )
    return {
        "word_ids": found.word_ids.numpy().astype(word_dtype(len(dictionary))),
        "weights": weights.numpy(),
        "cosine": found.cosine.numpy(),
        "held_out": held_out.cpu().numpy(),
    }


def write_nulls(work: Work) -> None:
    """What the same pursuit reaches where there is nothing to find."""
    factors, dictionary = work.job.model.factors, dictionary_of(work)
    with work.progress.stage("nulls", 2 * NULL_SAMPLES) as advance:
        cosines = {}
        for name, (directions, words) in {
            "random_cosine": (random_directions(factors), dictionary),
            "shuffled_cosine": (sampled_directions(factors), shuffled(dictionary)),
        }.items():
            found = explain_directions(directions, words, atoms=work.job.parameters.atoms)
            cosines[name] = found.cosine.numpy()
            advance(NULL_SAMPLES)
    work.writer.arrays(NULLS, cosines)


def random_directions(factors: Factors) -> Float[Tensor, "sample d_out"]:
    """Uniform on the unit sphere of what a head can write at all; heads in turn."""
    generator = torch.Generator().manual_seed(NULL_SEED)
    noise = torch.randn(NULL_SAMPLES, factors.d_head, generator=generator)
    samples = []
    bases: dict[int, Tensor] = {}
    for place, row in enumerate(noise.to(factors.output.device)):
        head = place % factors.n_heads
        if head not in bases:
            bases[head] = torch.linalg.qr(factors.output[head])[0]
        samples.append(bases[head] @ row)
    return F.normalize(torch.stack(samples), dim=1)


def sampled_directions(factors: Factors) -> Float[Tensor, "sample d_out"]:
    """Directions of random pairs."""
    generator = torch.Generator().manual_seed(NULL_SEED)
    chosen = torch.randint(factors.n_pairs, (NULL_SAMPLES,), generator=generator)
    chosen = chosen.to(factors.value.device)
    norms = write_norms(factors)
    return oriented_directions(
        factors,
        orientation_scale(torch.ones_like(norms), norms),
        head=chosen // factors.n_neurons,
        neuron=chosen % factors.n_neurons,
    )


def shuffled(dictionary: Float[Tensor, "word d_out"]) -> Float[Tensor, "word d_out"]:
    """As many unit words that mean nothing: each dimension's numbers dealt anew among the words.

    Every dimension keeps its distribution over the vocabulary; what goes with what is lost.
    """
    generator = torch.Generator().manual_seed(NULL_SEED)
    columns = [
        dictionary[torch.randperm(len(dictionary), generator=generator), dimension]
        for dimension in range(dictionary.shape[1])
    ]
    return F.normalize(torch.stack(columns, dim=1), dim=1)


def write_index(work: Work) -> None:
    """From every word to the pairs that it is among the first words of."""
    words = len(work.job.vocabulary)
    work.writer.arrays(INDEX, inverse_index(work.arrays(EXPLANATIONS), words=words))


def inverse_index(explanations: Arrays, *, words: int) -> dict[str, np.ndarray]:
    """CSR of words over the pairs' first INDEX_ATOMS words, the largest |weight| first."""
    ids = explanations["word_ids"][..., :INDEX_ATOMS]
    weights = np.asarray(explanations["weights"][..., :INDEX_ATOMS]).reshape(-1)
    flat = np.asarray(ids).reshape(-1).astype(np.int32)
    pairs = np.repeat(np.arange(ids.shape[0] * ids.shape[1], dtype=np.int32), ids.shape[2])
    order = np.lexsort((pairs, -np.abs(weights), flat))
    order = order[flat[order] >= 0]
    counts = np.bincount(flat[order], minlength=words)
    return {
        "offsets": np.concatenate([[0], counts.cumsum()]).astype(np.int64),
        "pairs": pairs[order],
        "weights": weights[order],
    }
