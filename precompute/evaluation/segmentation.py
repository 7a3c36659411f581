"""Segmentation of demo scenes from the names of what they show: the paper's product and its rivals.

All five methods read the same features, 8 x 8 cells at 256 pixels, and the same texts, centred on
the vocabulary's mean. A pixel is background where no class beats what 95 % of random words get
there: one rule without a threshold to tune, which every method is given alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from backend.clip import ClipResNet
from backend.pairs.factors import write_norms
from backend.pairs.segmentation import head_heatmaps, pair_logits, top_pairs
from backend.pairs.similarity import centre, orientation_scale, pair_similarity
from precompute.demo_world.painting import NOTHING
from precompute.demo_world.scenes import SceneBatch, batches
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary
from precompute.evaluation.explanations import orientation

CALIBRATION = 300  # scenes that orient the pairs; of another seed than those measured
RANDOM_WORDS = 64
QUANTILE = 0.95


@dataclass(frozen=True)
class Scene:
    """One picture's features and the texts asked for.

    `activations` [cell, neuron] without positions, `tokens` [cell, neuron] with them, `texts` unit
    [text, d_out], `mask` bool [text, head, neuron]: the pairs most similar to each text.
    """

    activations: Tensor
    tokens: Tensor
    texts: Tensor
    mask: Tensor


Method = Callable[[ClipResNet, Scene], Tensor]


def pairs(model: ClipResNet, scene: Scene) -> Tensor:
    """Mean over the chosen pairs of neuron map times head heatmap, [cell, text]."""
    heatmaps = head_heatmaps(scene.tokens[None], scene.texts, model.factors)
    return pair_logits(scene.activations[None], heatmaps, scene.mask)[0]


def heads(model: ClipResNet, scene: Scene) -> Tensor:
    """Mean over the chosen pairs of their head's heatmap."""
    heatmaps = head_heatmaps(scene.tokens[None], scene.texts, model.factors)[0]
    chosen = scene.mask.sum(dim=2).T.float()
    return (heatmaps * chosen).sum(dim=1) / scene.mask[0].sum()


def neurons(model: ClipResNet, scene: Scene) -> Tensor:
    """Mean over the chosen pairs of their neuron's map."""
    return scene.activations @ scene.mask.sum(dim=1).T.float() / scene.mask[0].sum()


def maskclip(model: ClipResNet, scene: Scene) -> Tensor:
    """Cosine of every cell's value, through the output projection, with the texts: no attention."""
    pool = model.model.visual.attnpool
    return functional.normalize(pool.c_proj(pool.v_proj(scene.tokens)), dim=1) @ scene.texts.T


def selfself(model: ClipResNet, scene: Scene) -> Tensor:
    """The same after cells attend to their likes: softmax(qq) + softmax(kk), head by head."""
    pool = model.model.visual.attnpool
    cells = len(scene.tokens)

    def split(x: Tensor) -> Tensor:
        return x.reshape(cells, pool.num_heads, -1).transpose(0, 1)

    query, key, value = (
        split(projection(scene.tokens)) for projection in (pool.q_proj, pool.k_proj, pool.v_proj)
    )
    scale = query.shape[-1] ** -0.5
    attention = sum((scale * x @ x.transpose(1, 2)).softmax(dim=-1) for x in (query, key))
    mixed = (attention @ value).transpose(0, 1).reshape(cells, -1)
    return functional.normalize(pool.c_proj(mixed), dim=1) @ scene.texts.T


METHODS: dict[str, Method] = {
    "pairs": pairs,
    "heads": heads,
    "neurons": neurons,
    "maskclip": maskclip,
    "selfself": selfself,
}


@torch.inference_mode()
def segmentation(model: ClipResNet, *, seed: int, count: int) -> dict[str, dict[str, float]]:
    """`miou` of each method, in 0..1, over `count` scenes of one to four objects.

    The classes of a scene are the concepts in it and background; intersections and unions are
    summed over all scenes before the mean over the classes that occur. Raises ValueError for a
    negative seed.
    """
    names, randoms, mask = _texts(model, seed=seed)
    overlap = {method: Overlap(len(names)) for method in METHODS}
    for batch in batches(seed, count, size=model.image_size):
        features = model.feature_map(model.preprocess_batch(batch.images.numpy()))
        tokens = model.tokens(features)[:, 1:]
        for place in range(len(batch.images)):
            shown = _shown(batch, place)
            asked = torch.cat([shown, len(names) + torch.arange(len(randoms))])
            scene = Scene(
                features[place].flatten(1).T,
                tokens[place],
                torch.cat([names, randoms])[asked],
                mask[asked],
            )
            for method, run in METHODS.items():
                labels = label(run(model, scene), len(shown), size=model.image_size)
                overlap[method].add(labels, batch.masks[place], shown)
    return {"miou": {method: overlap[method].miou() for method in METHODS}}


def label(logits: Tensor, classes: int, *, size: int) -> Tensor:
    """Class places at every pixel, 255 for background, from logits [cell, class + random word]."""
    own, random = logits[:, :classes], logits[:, classes:]
    lead = own - random.quantile(QUANTILE, dim=1, keepdim=True)
    side = round(len(logits) ** 0.5)
    maps = lead.T.reshape(1, classes, side, side)
    maps = functional.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)[0]
    best, place = maps.max(dim=0)
    return torch.where(best > 0, place, NOTHING)


class Overlap:
    """Intersections and unions per class, background last, summed over pictures."""

    def __init__(self, classes: int) -> None:
        self.intersection = torch.zeros(classes + 1, dtype=torch.int64)
        self.union = torch.zeros(classes + 1, dtype=torch.int64)

    def add(self, labels: Tensor, truth: Tensor, shown: Tensor) -> None:
        """Count a picture: `labels` and `truth` hold places in `shown`, 255 for background."""
        for place, concept in [*enumerate(shown.tolist()), (NOTHING, -1)]:
            found, true = labels == place, truth == place
            self.intersection[concept] += (found & true).sum()
            self.union[concept] += (found | true).sum()

    def miou(self) -> float:
        """Mean of intersection over union, over the classes that occur."""
        seen = self.union > 0
        return float((self.intersection[seen] / self.union[seen]).mean())


def _texts(model: ClipResNet, *, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Centred unit texts of all concept names and of random words, and the pairs of each."""
    words = model.embed_texts(vocabulary(), TEMPLATES)
    mean = words.mean(dim=0)
    names = centre(model.embed_texts(lexicon().names, TEMPLATES), mean)
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(seed))
    randoms = centre(words[order[:RANDOM_WORDS]], mean)
    sign = orientation(model, seed=seed + 1, count=CALIBRATION)
    scale = orientation_scale(sign, write_norms(model.factors))
    return (
        names,
        randoms,
        top_pairs(pair_similarity(torch.cat([names, randoms]), model.factors, scale)),
    )


def _shown(batch: SceneBatch, place: int) -> Tensor:
    """Which concepts a scene shows, in the order of its mask."""
    return torch.from_numpy(batch.layout.concept[place, : batch.layout.count[place]])
