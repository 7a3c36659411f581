"""A store and its model together: pictures segmented, explained and ablated from Python.

    lab = Lab.open("stores/demo")
    seen = lab.encode(Image.open("photo.jpg"))
    mask = lab.segment(seen, ["pizza", "butterfly"]).mask
    parts = lab.attribute(seen, "pizza", against="butterfly").pairs
    after = lab.ablate(seen, ["pizza", "butterfly"], off=["3.4", "head:2"])

Attention is held fixed in attribution and ablation: they say what each pair wrote, and what the
embedding would be without it, not what a network without it would have computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from backend.clip import ClipResNet, ModelError, load_model
from backend.clip.encoded import EncodedImage, WholePass
from backend.clip.encoder import IN_WINDOWS, EncodingSettings, whole_pass
from backend.clip.options import DEFAULT, SegmentationSettings
from backend.clip.segmentation import SegmentationMaps, Segmenter
from backend.pairs.ablation import Part, ablated_embedding, gains, scores
from backend.pairs.attribution import (
    Attribution,
    PlacedAttribution,
    attribute_places,
    attribute_score,
    attribute_token,
)
from backend.store import Store, open_store

Baseline = Literal["zero", "mean"]

SHOWN_DIGITS = 12
"""Digits of a fingerprint that a sentence shows."""


@dataclass(frozen=True)
class Ablation:
    """Scores of one picture with all pairs, and with some switched off or scaled.

    Attributes:
        gain: factor of every pair; for the picture's masks, see :meth:`Lab.segment`.
        embedding: the new one, un-normalised.
        norm_before, norm: length of the embedding before and after.
        scores_before, scores: cosine with each prompt.
        probabilities_before, probabilities: softmax over the prompts, at the model's own scale.
    """

    gain: Float[Tensor, "head neuron"]
    embedding: Float[Tensor, " d_out"]
    norm_before: float
    norm: float
    scores_before: Float[Tensor, " text"]
    scores: Float[Tensor, " text"]
    probabilities_before: Float[Tensor, " text"]
    probabilities: Float[Tensor, " text"]


class Lab:
    """What may be asked of pictures with one store and its model."""

    def __init__(self, store: Store, model: ClipResNet) -> None:
        self.store = store
        self.model = model
        self.segmenter = Segmenter(
            model,
            templates=store.manifest.templates,
            vocabulary=_tensor(store.vocabulary_embeddings),
            sign=_tensor(store.statistics["sign"]).float(),
            sinks=_tensor(store.statistics["sink_tokens"]),
        )
        self.mean = _tensor(store.statistics["mean"]).to(model.device, torch.float32)

    @classmethod
    def open(
        cls, store: Path | str, *, checkpoint: Path | None = None, device: str = "auto"
    ) -> Lab:
        """Opens a store and loads the very weights that it was made with.

        Raises:
            StoreError: there is no such store.
            ModelError: its weights cannot be had.
        """
        opened = open_store(Path(store))
        return cls(opened, load_model_of(opened, checkpoint=checkpoint, device=device))

    def encode(self, image: Image.Image, settings: EncodingSettings = IN_WINDOWS) -> EncodedImage:
        """Runs the backbone over a picture; the other methods then need milliseconds."""
        return self.segmenter.encode(image, settings)

    def take_apart(self, image: Image.Image) -> WholePass:
        """All that attribution and the scores of an ablation need: one pass, and no windows."""
        return whole_pass(self.model, image)

    def segment(
        self,
        seen: EncodedImage,
        prompts: Sequence[str],
        settings: SegmentationSettings = DEFAULT,
        *,
        gain: Float[Tensor, "head neuron"] | None = None,
    ) -> SegmentationMaps:
        """Logits and mask; ``gain`` is an ablation's, whose pairs then leave the classes."""
        return self.segmenter.answer(seen, prompts, settings, gain=gain)

    def attribute(
        self,
        seen: EncodedImage | WholePass,
        text: str,
        *,
        against: str | None = None,
        baseline: Baseline = "zero",
    ) -> Attribution:
        """The score of a text, or its lead over another's, as an exact sum over pairs.

        Args:
            baseline: ``mean`` measures every pair from its mean over the store's images.
        """
        whole = _whole(seen)
        return attribute_score(
            whole.coefficients,
            whole.embedding,
            self._direction(text, against),
            self.model.factors,
            baseline=self.mean if baseline == "mean" else None,
        )

    def attribute_places(
        self, seen: EncodedImage | WholePass, text: str, *, against: str | None = None
    ) -> PlacedAttribution:
        """The same score over the cells of the picture, cropped as the model is used to."""
        whole = _whole(seen)
        return attribute_places(
            whole.feature_map,
            whole.attention,
            self.model.grid_positions(*whole.feature_map.shape[1:]),
            whole.embedding,
            self._direction(text, against),
            self.model.factors,
        )

    def attribute_token(
        self,
        seen: EncodedImage | WholePass,
        text: str,
        *,
        row: int,
        column: int,
        against: str | None = None,
    ) -> Float[Tensor, "head neuron"]:
        """What every pair adds to the score at one of the cells of :meth:`attribute_places`.

        Raises:
            ValueError: there is no such cell.
        """
        whole = _whole(seen)
        return attribute_token(
            whole.feature_map,
            whole.attention,
            whole.embedding,
            self._direction(text, against),
            self.model.factors,
            row=row,
            column=column,
        )

    def ablate(
        self,
        seen: EncodedImage | WholePass,
        prompts: Sequence[str],
        *,
        off: Iterable[str | Part] = (),
        keep: Iterable[str | Part] = (),
        scale: Mapping[str, float] | None = None,
        baseline: Baseline = "zero",
    ) -> Ablation:
        """Scores of prompts before and after, in closed form.

        Args:
            off, keep, scale: parts as :meth:`Part.parse` reads them (``3.4``, ``neuron:3``,
                ``head:4``); with ``keep`` all others are switched off.
            baseline: what a pair that is switched off holds: nothing, or its mean over the store's
                images.

        Raises:
            ValueError: a part that the model does not have.
        """
        whole, factors = _whole(seen), self.model.factors
        scaled = [(_part(part), 0.0) for part in off]
        scaled += [(Part.parse(part), factor) for part, factor in (scale or {}).items()]
        gain = gains(
            heads=factors.n_heads,
            neurons=factors.n_neurons,
            keep=[_part(part) for part in keep],
            scaled=scaled,
        ).to(self.model.device)
        base = self.mean if baseline == "mean" else None
        new = ablated_embedding(whole.embedding, whole.coefficients, gain, factors, base=base)
        texts = self.segmenter.read(prompts).embeddings
        before, after = scores(whole.embedding, texts), scores(new, texts)
        scale_of_softmax = self.model.logit_scale
        return Ablation(
            gain=gain,
            embedding=new,
            norm_before=float(whole.embedding.norm()),
            norm=float(new.norm()),
            scores_before=before,
            scores=after,
            probabilities_before=(scale_of_softmax * before).softmax(dim=0),
            probabilities=(scale_of_softmax * after).softmax(dim=0),
        )

    def _direction(self, text: str, against: str | None) -> Float[Tensor, " d_out"]:
        read = self.segmenter.read([text] if against is None else [text, against]).embeddings
        return read[0] if against is None else read[0] - read[1]


def load_model_of(
    store: Store, *, checkpoint: Path | None = None, device: str = "auto"
) -> ClipResNet:
    """The model of a store, with the weights that it was made with and no others.

    Raises:
        ModelError: they cannot be loaded, or are others.
    """
    wanted = store.manifest.model
    model = load_model(wanted.architecture, wanted.pretrained, checkpoint=checkpoint, device=device)
    found = model.identity.weights_sha256
    if found != wanted.weights_sha256:
        raise ModelError(
            f"the weights at hand ({found[:SHOWN_DIGITS]}…) are not those that the store was made "
            f"with ({wanted.weights_sha256[:SHOWN_DIGITS]}…); give them with --checkpoint"
        )
    return model


def _whole(seen: EncodedImage | WholePass) -> WholePass:
    whole = seen if isinstance(seen, WholePass) else seen.whole
    if whole is None:
        raise ValueError("the picture was encoded without its whole pass, which this needs")
    return whole


def _part(part: str | Part) -> Part:
    return part if isinstance(part, Part) else Part.parse(part)


def _tensor(array: np.ndarray) -> Tensor:
    """A copy of a read-only memory map."""
    return torch.from_numpy(np.array(array))
