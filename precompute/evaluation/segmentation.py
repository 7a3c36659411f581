"""Segmentation of demo scenes from the names of what they show: the paper's product and its rivals.

All readings have the same features, 8 x 8 cells at 256 pixels, and the same texts, centred on the
vocabulary's mean. The demo has no sinks, so none are replaced. A pixel is background where no class
beats what 95 % of random words get there: one rule without a threshold to tune, for all alike.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from backend.clip import ClipResNet
from backend.clip.encoder import encoded_from_features
from backend.clip.options import SegmentationSettings
from backend.clip.segmentation import Segmenter
from backend.clip.text import ReadTexts
from backend.clip.windows import layout
from backend.pairs.segmentation import Method
from precompute.demo_world.painting import NOTHING
from precompute.demo_world.scenes import SceneBatch, batches
from precompute.demo_world.vocabulary import TEMPLATES, lexicon, vocabulary
from precompute.evaluation.explanations import orientation

CALIBRATION = 300  # scenes that orient the pairs; of another seed than those measured

READINGS: dict[str, SegmentationSettings] = {
    **{method: SegmentationSettings(method=method) for method in get_args(Method)},
    "pairs official": SegmentationSettings(mode="official"),
    "heads official": SegmentationSettings(method="heads", mode="official"),
    "pairs write": SegmentationSettings(orientation="write"),
}
"""Every method, the paper's own reading of those that have two, and pairs chosen by what they write
when active in place of what their oriented direction is like."""


@torch.inference_mode()
def segmentation(model: ClipResNet, *, seed: int, count: int) -> dict[str, dict[str, float]]:
    """`miou` of each reading, in 0..1, over `count` scenes of one to four objects.

    The classes of a scene are the concepts in it and background; intersections and unions are
    summed over all scenes before the mean over the classes that occur. Raises ValueError for a
    negative seed.
    """
    segmenter, names = _segmenter(model, seed=seed)
    overlap = {reading: Overlap(len(names.embeddings)) for reading in READINGS}
    side = model.image_size
    covered = layout((side, side), native=side, view="whole", shorter_side=side)
    for batch in batches(seed, count, size=side):
        features = model.feature_map(model.preprocess_batch(batch.images.numpy()))
        for place in range(len(batch.images)):
            shown = _shown(batch, place)
            encoded = encoded_from_features(
                features[place : place + 1], (side, side), covered, precision=torch.float32
            )
            for reading, settings in READINGS.items():
                found = segmenter.answer(encoded, names.of(shown.tolist()), settings)
                overlap[reading].add(torch.from_numpy(found.mask), batch.masks[place], shown)
    return {"miou": {reading: overlap[reading].miou() for reading in READINGS}}


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


def _segmenter(model: ClipResNet, *, seed: int) -> tuple[Segmenter, ReadTexts]:
    """The engine that everybody uses, and all concept names as it reads them."""
    segmenter = Segmenter(
        model,
        templates=TEMPLATES,
        vocabulary=model.embed_texts(vocabulary(), TEMPLATES),
        sign=orientation(model, seed=seed + 1, count=CALIBRATION),
        precision=torch.float32,
        null_seed=seed,
    )
    return segmenter, model.read_texts(lexicon().names, TEMPLATES)


def _shown(batch: SceneBatch, place: int) -> Tensor:
    """Which concepts a scene shows, in the order of its mask."""
    return torch.from_numpy(batch.layout.concept[place, : batch.layout.count[place]])
