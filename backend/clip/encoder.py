"""Pictures through the backbone, once: windows of several pictures share its batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from backend.clip.encoded import EncodedImage, Packed, WholePass
from backend.clip.models import ClipResNet
from backend.clip.windows import CELL, Layout, View, layout
from backend.pairs.coefficients import pooled_attention

WINDOWS_AT_ONCE = {"cpu": 4, "cuda": 32}
"""Windows in one pass of the backbone: more are no faster."""


@dataclass(frozen=True)
class EncodingSettings:
    """How a picture is shown to the backbone.

    Attributes:
        view, shorter_side: see :func:`backend.clip.windows.layout`.
        whole_pass: whether the picture is also taken apart in the model's own preprocessing, which
            attribution and ablation need; costs one window.
    """

    view: View = "windows"
    shorter_side: int | None = None
    whole_pass: bool = True


IN_WINDOWS = EncodingSettings()


@torch.inference_mode()
def encode_images(
    model: ClipResNet,
    images: Sequence[Image.Image],
    settings: EncodingSettings,
    *,
    precision: torch.dtype = torch.float16,
    advance: Callable[[int], None] | None = None,
) -> list[EncodedImage]:
    """Runs the backbone over pictures.

    Args:
        precision: in which cells are kept.
        advance: is told how many windows each batch had; what it raises ends the work.

    Raises:
        ValueError: a picture needs more windows or cells than are allowed.
    """
    layouts = [
        layout(
            image.size,
            native=model.image_size,
            view=settings.view,
            shorter_side=settings.shorter_side,
        )
        for image in images
    ]
    inputs: list[Tensor] = []
    for image, covered in zip(images, layouts, strict=True):
        inputs += _windows(model, image, covered)
        if settings.whole_pass:
            inputs.append(model.preprocess(image).to(model.device))
    features = _features(model, inputs, advance)
    encoded, place = [], 0
    for image, covered in zip(images, layouts, strict=True):
        own = torch.stack(features[place : place + len(covered.corners)])
        place += len(own)
        whole = None
        if settings.whole_pass:
            whole = _whole_pass(model, features[place])
            place += 1
        encoded.append(encoded_from_features(model, own, image.size, covered, whole, precision))
    return encoded


def encoded_from_features(
    model: ClipResNet,
    features: Float[Tensor, "window neuron row column"],
    size: tuple[int, int],
    covered: Layout,
    whole: WholePass | None = None,
    precision: torch.dtype = torch.float16,
) -> EncodedImage:
    """A picture whose windows have been through the backbone already."""
    return EncodedImage(
        size=size,
        layout=covered,
        activations=Packed.of(features.flatten(2).transpose(1, 2).contiguous(), precision),
        attention=pooled_attention(model.tokens(features), model.query_key),
        whole=whole,
    )


def _windows(model: ClipResNet, image: Image.Image, covered: Layout) -> list[Tensor]:
    """Normalised pixels of every window, ``[3, height, width]``."""
    size = (covered.columns * CELL, covered.rows * CELL)
    resized = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    pixels = model.preprocess_batch(np.asarray(resized)[None])[0]
    height, width = (CELL * side for side in covered.window)
    return [
        pixels[:, CELL * top : CELL * top + height, CELL * left : CELL * left + width]
        for top, left in covered.corners
    ]


def _features(
    model: ClipResNet, inputs: Sequence[Tensor], advance: Callable[[int], None] | None
) -> list[Tensor]:
    """The last block's output of every input, in order; inputs of one shape run together."""
    by_shape: dict[torch.Size, list[int]] = defaultdict(list)
    for place, pixels in enumerate(inputs):
        by_shape[pixels.shape].append(place)
    found: dict[int, Tensor] = {}
    at_once = WINDOWS_AT_ONCE[model.device.type]
    for places in by_shape.values():
        for start in range(0, len(places), at_once):
            part = places[start : start + at_once]
            found |= zip(
                part, model.feature_map(torch.stack([inputs[p] for p in part])), strict=True
            )
            if advance is not None:
                advance(len(part))
    return [found[place] for place in range(len(inputs))]


def _whole_pass(model: ClipResNet, features: Float[Tensor, "neuron row column"]) -> WholePass:
    parts = model.decompose_features(features[None])
    return WholePass(
        embedding=parts.embedding[0],
        coefficients=parts.coefficients[0],
        attention=parts.attention[0],
        feature_map=features.contiguous(),
    )
