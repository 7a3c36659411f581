"""Stages on neurons and heads as units: their own components, images and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.components import UNITS_AT_ONCE, UnitComponents, unit_components
from backend.pairs.factors import Factors
from backend.pairs.held_out import scores
from backend.pairs.statistics import NO_IMAGE, monosemanticity
from backend.store.format import HEADS, NEURONS, word_dtype
from precompute.stages.collect import Collected
from precompute.stages.explain import explain_directions, reconstructions
from precompute.stages.pairs import dictionary_of
from precompute.work import Work

CHUNK = 64
"""Neurons whose contributions are held against images at once: 25 MB (RN50x16), and a few as
much."""


@dataclass(frozen=True)
class Units:
    """Some neurons, or all heads: ``weights`` on ``vectors`` are their contributions."""

    weights: Float[Tensor, "unit image term"]
    vectors: Float[Tensor, "unit term d_out"]


def write_neurons(work: Work) -> None:
    """Every neuron over the calibration images."""
    factors = work.job.model.factors.to("cpu")
    dictionary = dictionary_of(work).cpu()
    parts = []
    with work.progress.stage("neurons", factors.n_neurons) as advance:
        for start in range(0, factors.n_neurons, UNITS_AT_ONCE):
            chosen = range(start, min(start + UNITS_AT_ONCE, factors.n_neurons))

            def compute(chosen: range = chosen) -> dict[str, np.ndarray]:
                units = neurons(factors, work.collected(), chosen)
                found = unit_components(units.weights, units.vectors)
                told = unit_arrays(work, found, dictionary)
                words = reconstructions(
                    torch.from_numpy(told["word_ids"]),
                    torch.from_numpy(told["weights"]),
                    dictionary,
                )
                held_out = unit_scores(units, found.direction, words.double(), work.collected())
                return told | {"held_out": held_out.float().numpy()}

            parts.append(work.part(f"{start:05}", compute))
            advance(len(chosen))
    work.writer.arrays(
        NEURONS, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    )


def write_heads(work: Work) -> None:
    """Every head over the calibration images."""
    factors = work.job.model.factors.to("cpu")
    with work.progress.stage("heads", factors.n_heads) as advance:
        units = heads(factors, work.collected())
        found = unit_components(units.weights, units.vectors)
        advance(factors.n_heads)
    work.writer.arrays(HEADS, unit_arrays(work, found, dictionary_of(work).cpu()))


def neurons(factors: Factors, collected: Collected, chosen: range) -> Units:
    """Neurons as coefficients on the write vectors of their pairs."""
    part = slice(chosen.start, chosen.stop)
    coefficients = torch.from_numpy(np.array(collected.calibration.coefficients[:, :, part]))
    vectors = torch.einsum(
        "hod,hdn->nho", factors.output.double(), factors.value[:, :, part].double()
    )
    return Units(coefficients.permute(2, 0, 1).double(), vectors)


def heads(factors: Factors, collected: Collected) -> Units:
    """Heads as values on the columns of their output factors."""
    coefficients = collected.calibration.coefficients
    values = [
        torch.from_numpy(np.array(coefficients[:, head])).double() @ value.double().T
        for head, value in enumerate(factors.value)
    ]
    return Units(torch.stack(values), factors.output.double().transpose(1, 2))


def unit_arrays(
    work: Work, found: UnitComponents, dictionary: Float[Tensor, "word d_out"]
) -> dict[str, np.ndarray]:
    """A file's arrays but for ``held_out``, images by their numbers in the set."""
    collected = work.collected()
    numbers = torch.tensor(collected.calibration.numbers)
    direction = found.direction.float()
    code = explain_directions(direction, dictionary, atoms=work.job.parameters.atoms)
    top_images = _renamed(found.top_images, numbers)
    alike = monosemanticity(top_images[None], collected.unit_embeddings, overall=collected.spread)[
        0
    ]
    told = {
        "components": found.components.float(),
        "variance_share": found.variance_share.float(),
        "direction": direction,
        "norm": found.norm.float(),
        "mean": found.mean.float(),
        "monosemanticity": alike,
        "top_images": top_images.int(),
        "top_values": found.top_values.float(),
        "bottom_images": _renamed(found.bottom_images, numbers).int(),
        "bottom_values": found.bottom_values.float(),
        "weights": code.weights,
        "cosine": code.cosine,
    }
    word_ids = code.word_ids.numpy().astype(word_dtype(len(dictionary)))
    return {name: array.numpy() for name, array in told.items()} | {"word_ids": word_ids}


def unit_scores(
    units: Units,
    direction: Float[Tensor, "unit d_out"],
    words: Float[Tensor, "unit d_out"],
    collected: Collected,
) -> Float[Tensor, " unit"]:
    """Held-out scores of units, each one's whole contribution left out of the embedding."""
    embeddings = collected.calibration.embeddings.double()
    centred = embeddings - embeddings.mean(dim=0)
    found = []
    for start in range(0, len(direction), CHUNK):
        part = slice(start, start + CHUNK)
        weights, vectors = units.weights[part], units.vectors[part]
        deviation = weights - weights.mean(dim=1, keepdim=True)
        on_image = (centred @ vectors.flatten(0, 1).T).view(-1, *vectors.shape[:2])
        found.append(
            scores(
                (weights @ (vectors @ direction[part, :, None]))[..., 0].T,
                centred,
                words[part],
                own_on_words=(deviation @ (vectors @ words[part, :, None]))[..., 0].T,
                own_on_image=(deviation * on_image.transpose(0, 1)).sum(dim=2).T,
                own_squared=((deviation @ (vectors @ vectors.mT)) * deviation).sum(dim=2).T,
            )
        )
    return torch.cat(found)


def _renamed(places: Tensor, names: Tensor) -> Tensor:
    return torch.where(places == NO_IMAGE, NO_IMAGE, names[places.clamp_min(0)])
