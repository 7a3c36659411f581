"""Do pairs mean what their words say? Words against what is in the picture.

A pair's word is the word of the vocabulary most similar to its direction. It is put to the test on
scenes whose contents are known: does the pair's oriented coefficient tell the scenes that the word
is true of from the others? The measure is the AUROC: 1 always, 0.5 no better than chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from backend.clip import ClipResNet
from backend.pairs.factors import Factors
from backend.pairs.similarity import centre
from precompute.demo_world.layout import Layout
from precompute.demo_world.scenes import batches
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary

STRONGEST = 500
WIDER, BEST = 4000, 500  # of the WIDER strongest pairs, the BEST whose word fits best
SEARCHED, FOUND = 60, 10  # concept names looked up, pairs looked at for each
DEVIATING = 50  # images that set a pair's orientation and norm
BATCH = 32
LEAST_TRUE = 3  # scenes a word must be true of, or its AUROC is noise


@dataclass(frozen=True)
class Pairs:
    """All pairs of a model, in one row: oriented unit directions and norms, largest norm first.

    `place` is head · neurons + neuron; `sign` the orientation; `direction` [pair, d_out].
    """

    place: Tensor
    sign: Tensor
    direction: Tensor


def explanations(model: ClipResNet, *, seed: int, count: int) -> dict[str, float]:
    """How well words fit pairs, as medians of AUROCs in 0..1.

    Orientation and norms come from `count` single-object scenes (tints and any background), the
    AUROCs from as many others. `auroc_strongest`: the 500 pairs of largest norm. `auroc_best`: of
    the 4,000 largest, the 500 whose word is most similar. `auroc_random`: the 500 strongest with a
    random word. `search_auroc`: for 60 concept names, the best of the ten most similar pairs. Words
    true of fewer than three of the scenes are left out. Raises ValueError for fewer than 100
    scenes.
    """
    if count < 100:
        raise ValueError(f"The count must be 100 or more for explanations, not {count}.")
    coefficients, truth = _measure(model, seed=seed, count=2 * count)
    pairs = _orient(coefficients[:count], model.factors)
    known = truth[count:].sum(dim=0) >= LEAST_TRUE
    words = model.embed_texts(vocabulary(), TEMPLATES)
    words = centre(words, words.mean(dim=0))[known]
    values = coefficients[count:, pairs.place].T * pairs.sign[:, None]
    true = truth[count:, known].T
    similarity = pairs.direction[:WIDER] @ words.T
    fit, word = similarity.max(dim=1)
    best = fit.topk(min(BEST, len(fit))).indices
    generator = torch.Generator().manual_seed(seed)
    random = torch.randint(len(words), word[:STRONGEST].shape, generator=generator)
    return {
        "auroc_strongest": _median(auroc(values[:STRONGEST], true[word[:STRONGEST]])),
        "auroc_best": _median(auroc(values[best], true[word[best]])),
        "auroc_random": _median(auroc(values[:STRONGEST], true[random])),
        "search_auroc": _search(pairs, values, words, true, known),
    }


def orientation(model: ClipResNet, *, seed: int, count: int) -> Tensor:
    """The sign of every pair, +1 or -1 [head, neuron], from single-object scenes of a seed."""
    coefficients, _ = _measure(model, seed=seed, count=count)
    pairs = _orient(coefficients, model.factors)
    signs = torch.empty(len(pairs.place))
    signs[pairs.place] = pairs.sign
    return signs.reshape(model.factors.n_heads, model.factors.n_neurons)


def auroc(values: Tensor, true: Tensor) -> Tensor:
    """Area under the ROC curve of each row: `values` and bool `true` [row, image] → [row].

    Equal values count half, as in the rank-sum form.
    """
    values = values.contiguous()
    ordered = values.sort(dim=1).values.contiguous()
    below = torch.searchsorted(ordered, values, right=False)
    upto = torch.searchsorted(ordered, values, right=True)
    rank = (below + upto + 1).double() / 2
    positive = true.sum(dim=1).double()
    negative = true.shape[1] - positive
    return ((rank * true).sum(dim=1) - positive * (positive + 1) / 2) / (positive * negative)


def _measure(model: ClipResNet, *, seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Coefficients [scene, pair] and truth of the vocabulary [scene, word] of single objects."""
    rows, truths = [], []
    for batch in batches(seed, count, size=model.image_size, objects=1):
        images = batch.images.numpy()
        for start in range(0, len(images), BATCH):
            pixels = model.preprocess_batch(images[start : start + BATCH])
            rows.append(model.decompose(pixels).coefficients.flatten(1).cpu())
        truths.append(_truth(batch.layout))
    return torch.cat(rows), torch.cat(truths)


def _truth(layout: Layout) -> Tensor:
    """Of which scenes each word of the vocabulary is true, bool [scene, word]."""
    words = lexicon()
    compounds = torch.tensor(words.compounds)
    true = torch.cat([words.truth(layout), words.compound_truth(layout, compounds)], dim=1)
    texts = [*words.plain, *(words.compound(c, t) for c, t in words.compounds)]
    place = {text: i for i, text in reversed(list(enumerate(texts)))}
    return true[:, [place[word] for word in vocabulary()]]


def _orient(coefficients: Tensor, factors: Factors) -> Pairs:
    """Orientation, norm and direction of all pairs, as the store defines them; strongest first."""
    deviation = coefficients - coefficients.mean(dim=0)
    top = deviation.abs().topk(min(DEVIATING, len(deviation)), dim=0).indices
    extreme = deviation.gather(0, top)
    above = (extreme > 0).sum(dim=0)
    sign = torch.where(2 * above >= len(extreme), 1.0, -1.0)
    write = torch.einsum("hod,hdn->hno", factors.output, factors.value).flatten(0, 1).cpu()
    length = write.norm(dim=1)
    norm = extreme.abs().mean(dim=0) * length
    order = norm.argsort(descending=True)
    direction = (write * (sign / length.clamp_min(1e-12))[:, None])[order]
    return Pairs(order, sign[order], direction)


def _search(pairs: Pairs, values: Tensor, words: Tensor, true: Tensor, known: Tensor) -> float:
    """Median over concept names of the best AUROC among the pairs most similar to the name."""
    texts = [word for word, use in zip(vocabulary(), known.tolist(), strict=True) if use]
    names = set(lexicon().names)
    rows = [row for row, text in enumerate(texts) if text in names]
    chosen = rows[:: max(1, len(rows) // SEARCHED)][:SEARCHED]
    best = []
    for row in chosen:
        found = (pairs.direction @ words[row]).topk(min(FOUND, len(pairs.direction))).indices
        best.append(auroc(values[found], true[row].expand(len(found), -1)).max())
    return _median(torch.stack(best))


def _median(values: Tensor) -> float:
    return float(values.median())
