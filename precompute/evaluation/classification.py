"""Zero-shot classification of demo scenes: does the model find the concept's name?"""

from __future__ import annotations

import torch
from torch import Tensor

from backend.clip import ClipResNet
from precompute.demo_world.layout import CLASSIFICATION
from precompute.demo_world.scenes import SceneBatch, batches
from precompute.demo_world.vocabulary import TEMPLATES, lexicon

CROWD = 3  # objects in the scenes that average precision is measured on
BATCH = 64  # images encoded at once: bounds memory at about 1 GB


def classification(model: ClipResNet, *, seed: int, count: int) -> dict[str, float]:
    """`top1` and `top5` on single-object scenes, `average_precision` on three-object scenes.

    `count` scenes of each kind, at the model's own image size; every concept of the demo world is a
    class. Single objects have 0.5 to 0.95 of the scene's side, up to 20° of turn, no tint, any
    background. Average precision is that of each scene's ranking of the concepts, averaged over the
    scenes. All are shares in 0..1. Raises ValueError for a count below 1 or a negative seed.
    """
    if count < 1:
        raise ValueError(f"The count must be 1 or more, not {count}.")
    names = model.embed_texts(lexicon().names, TEMPLATES)
    size = model.image_size
    single = batches(seed, count, size=size, objects=1, style=CLASSIFICATION)
    hits = torch.cat([_hits(_scores(model, batch, names), batch) for batch in single])
    crowd = batches(seed, count, size=size, objects=CROWD)
    precisions = torch.cat([_precisions(_scores(model, batch, names), batch) for batch in crowd])
    return {
        "top1": float(hits[:, 0].float().mean()),
        "top5": float(hits.any(dim=1).float().mean()),
        "average_precision": float(precisions.mean()),
    }


def average_precision(scores: Tensor, relevant: Tensor) -> Tensor:
    """Average precision of each row's ranking: `scores` and bool `relevant` [row, item] → [row]."""
    order = scores.argsort(dim=1, descending=True, stable=True)
    found = relevant.gather(1, order).double()
    precision = found.cumsum(dim=1) / torch.arange(1, found.shape[1] + 1)
    return (precision * found).sum(dim=1) / found.sum(dim=1)


def _scores(model: ClipResNet, batch: SceneBatch, names: Tensor) -> Tensor:
    """Cosines of scenes and concept names, up to each scene's norm: the order is the same."""
    images = batch.images.numpy()
    embeddings = [
        model.encode_images(model.preprocess_batch(images[start : start + BATCH]))
        for start in range(0, len(images), BATCH)
    ]
    return (torch.cat(embeddings) @ names.T).cpu()


def _hits(scores: Tensor, batch: SceneBatch) -> Tensor:
    best = scores.topk(5, dim=1).indices
    return best == torch.from_numpy(batch.layout.concept[:, :1])


def _precisions(scores: Tensor, batch: SceneBatch) -> Tensor:
    relevant = torch.zeros_like(scores, dtype=torch.bool)
    relevant.scatter_(1, torch.from_numpy(batch.layout.concept[:, :CROWD]), True)
    return average_precision(scores, relevant)
