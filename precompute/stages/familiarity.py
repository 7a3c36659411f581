"""What tells later whether the model knows a text or a picture that it is given."""

from __future__ import annotations

import string

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip import ClipResNet
from backend.pairs.familiarity import usual_images
from backend.store.format import FAMILIARITY
from precompute.stages.exemplars import features_of
from precompute.stages.plan import FITTED_CELLS, FITTED_IMAGES
from precompute.stages.segments import grid_side
from precompute.work import Work

MEANINGLESS_TEXTS = 512
"""Their 95th percentile then has a standard error of one percent; they take as long as as many
words of the vocabulary."""

FEWEST_TEXTS = 100
"""A smaller null sample would have no 95th percentile worth the name, and is left out."""

LETTERS = (3, 9)
WORDS = (1, 3)
"""Fewest and most of a meaningless word, and of a meaningless text."""

SEED = 0

QUANTILES = 101


def write_familiarity(work: Work) -> None:
    """Meaningless texts, and what the cells of the images are usually like."""
    null = text_null(work.job.model, work.job.templates)
    work.writer.arrays(FAMILIARITY, familiarity_arrays(null, _cells(work)))


def familiarity_arrays(
    null: Float[Tensor, " sample"], cells: Float[Tensor, "image cell neuron"]
) -> dict[str, np.ndarray]:
    """What the store keeps, of meaningless texts and of cells of the images."""
    usual, strange = usual_images(cells)
    levels = torch.linspace(0, 1, QUANTILES)
    return {
        "text_null": null.numpy(),
        "cell_mean": usual.mean.numpy(),
        "cell_axes": usual.axes.numpy(),
        "cell_variance": usual.variance.numpy(),
        "cell_rest": usual.rest.numpy(),
        "image_strangeness": torch.quantile(strange, levels).numpy(),
    }


def text_null(model: ClipResNet, templates: list[str]) -> Float[Tensor, " sample"]:
    """Agreement over the templates of texts that mean nothing, ascending.

    Only those whose tokens the model was trained on: the others are told from that alone.  Empty
    with a single template, which agrees with itself, and where few are left.
    """
    texts = meaningless_texts(MEANINGLESS_TEXTS)
    trained = model.trained_texts(texts).tolist()
    left = [text for text, known in zip(texts, trained, strict=True) if known]
    if len(templates) < 2 or len(left) < FEWEST_TEXTS:
        return torch.empty(0)
    return model.read_texts(left, templates).agreement.cpu().sort().values


def meaningless_texts(count: int, *, seed: int = SEED) -> list[str]:
    """Seeded texts of random letters."""
    rng = np.random.default_rng(seed)
    letters = np.array(list(string.ascii_lowercase))

    def word() -> str:
        return "".join(rng.choice(letters, rng.integers(LETTERS[0], LETTERS[1] + 1)))

    return [
        " ".join(word() for _ in range(rng.integers(WORDS[0], WORDS[1] + 1))) for _ in range(count)
    ]


def _cells(work: Work) -> Float[Tensor, "image cell neuron"]:
    """Features of evenly spread readable images, evenly spread cells of each."""
    collected = work.collected()
    readable = collected.readable.nonzero()[:, 0]
    wanted = min(FITTED_IMAGES, len(readable))
    numbers = [int(readable[place * len(readable) // wanted]) for place in range(wanted)]
    places = {number: place for place, number in enumerate(numbers)}
    model, images = work.job.model, work.job.images
    kept = max(1, min(grid_side(model) ** 2, FITTED_CELLS // wanted))
    found = torch.zeros(wanted, kept, model.factors.n_neurons)
    with work.progress.stage("familiarity", wanted) as advance:
        for number, feature_map, _ in features_of(
            model, images, collected.features, numbers, collected.plan
        ):
            cells = feature_map.flatten(1).T
            spread = torch.linspace(0, len(cells) - 1, kept).round().long()
            found[places[number]] = cells[spread]
            advance(1)
    return found
