"""Pictures through the backbone, once: windows of several pictures share its batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from backend.clip.encoded import EncodedImage, WholePass, kept_rows
from backend.clip.models import ClipResNet
from backend.clip.windows import CELL, Layout, View, layout

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


@dataclass(frozen=True)
class PreparedImage:
    """A picture that is ready for the backbone.

    Attributes:
        size: (width, height) of the picture, in pixels.
        layout: how windows cover it.
        inputs: every window, uint8, and, if there is a whole pass, the model's own preprocessing of
            the picture; each ``[3, height, width]``, in main memory.
    """

    size: tuple[int, int]
    layout: Layout
    inputs: tuple[Tensor, ...]


def prepare_image(
    model: ClipResNet, image: Image.Image, settings: EncodingSettings
) -> PreparedImage:
    """Scales and cuts a picture; needs no device, and may be done on any thread.

    Raises:
        ValueError: the picture needs more windows or cells than are allowed.
    """
    covered = layout(
        image.size,
        native=model.image_size,
        view=settings.view,
        shorter_side=settings.shorter_side,
    )
    inputs = _windows(image, covered)
    if settings.whole_pass:
        inputs.append(model.preprocess(image))
    return PreparedImage(image.size, covered, tuple(inputs))


@torch.inference_mode()
def pass_inputs(
    model: ClipResNet, inputs: Sequence[Tensor], *, half: bool = False
) -> list[Float[Tensor, "neuron _ _"]]:
    """One pass of the backbone: the last block's output of every input of prepared pictures.

    Inputs of different shapes take a pass for each shape.

    Args:
        half: whether a GPU convolves in half precision; what comes out is float32, and everything
            after it is computed in that.  A processor does not.
    """
    by_shape: dict[torch.Size, list[int]] = defaultdict(list)
    for place, pixels in enumerate(inputs):
        by_shape[pixels.shape].append(place)
    found: dict[int, Tensor] = {}
    for places in by_shape.values():
        places.sort(key=lambda place: inputs[place].dtype != torch.uint8)
        stacked = _stacked(model, [inputs[place] for place in places])
        with torch.autocast("cuda", torch.float16, enabled=half and model.device.type == "cuda"):
            maps = model.feature_map(stacked)
        found |= zip(places, maps.float(), strict=True)
    return [found[place] for place in range(len(inputs))]


@torch.inference_mode()
def encoded_image(
    model: ClipResNet,
    prepared: PreparedImage,
    features: Sequence[Float[Tensor, "neuron _ _"]],
    *,
    precision: torch.dtype = torch.float16,
) -> EncodedImage:
    """A picture whose inputs have all been through the backbone.

    Args:
        precision: in which cells are kept.
    """
    windows = len(prepared.layout.corners)
    whole = _whole_pass(model, features[windows]) if len(features) > windows else None
    # Stacked with channels last, as the backbone leaves them: cells stay as they lie.
    own = torch.stack([each.permute(1, 2, 0) for each in features[:windows]]).permute(0, 3, 1, 2)
    return encoded_from_features(own, prepared.size, prepared.layout, whole, precision)


def inputs_at_once(model: ClipResNet) -> int:
    """Inputs that go into one pass of the backbone: more are no faster."""
    return WINDOWS_AT_ONCE[model.device.type]


def encode_images(
    model: ClipResNet,
    images: Sequence[Image.Image],
    settings: EncodingSettings,
    *,
    precision: torch.dtype = torch.float16,
    advance: Callable[[int], None] | None = None,
) -> list[EncodedImage]:
    """Runs the backbone over pictures; inputs of all of them share its passes.

    Args:
        precision: in which cells are kept.
        advance: is told how many inputs each pass had; what it raises ends the work.

    Raises:
        ValueError: a picture needs more windows or cells than are allowed.
    """
    prepared = [prepare_image(model, image, settings) for image in images]
    inputs = [pixels for each in prepared for pixels in each.inputs]
    # One shape after the other, so that every pass is as full as can be.
    order = sorted(range(len(inputs)), key=lambda place: inputs[place].shape)
    features: dict[int, Tensor] = {}
    at_once = inputs_at_once(model)
    for start in range(0, len(order), at_once):
        part = order[start : start + at_once]
        features |= zip(part, pass_inputs(model, [inputs[place] for place in part]), strict=True)
        if advance is not None:
            advance(len(part))
    places = iter(range(len(inputs)))
    return [
        encoded_image(
            model, each, [features[next(places)] for _ in each.inputs], precision=precision
        )
        for each in prepared
    ]


@torch.inference_mode()
def whole_pass(model: ClipResNet, image: Image.Image) -> WholePass:
    """A picture in the model's own preprocessing, taken apart."""
    return _whole_pass(model, model.feature_map(model.preprocess(image)[None])[0])


def encoded_from_features(
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
        activations=kept_rows(features.permute(0, 2, 3, 1).flatten(0, 2), precision),
        precision=precision,
        whole=whole,
    )


def _windows(image: Image.Image, covered: Layout) -> list[UInt8[Tensor, "3 height width"]]:
    """Pixels of every window; they share the memory of the scaled picture."""
    size = (covered.columns * CELL, covered.rows * CELL)
    plain = image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
    resized = plain.resize(size, Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.array(resized)).permute(2, 0, 1)
    height, width = (CELL * side for side in covered.window)
    return [
        pixels[:, CELL * top : CELL * top + height, CELL * left : CELL * left + width]
        for top, left in covered.corners
    ]


def _stacked(model: ClipResNet, inputs: Sequence[Tensor]) -> Float[Tensor, "input 3 height width"]:
    """Inputs of one shape as the backbone takes them, those in bytes first.

    They come to its device, and are normalised, together.
    """
    # Stacked with channels last: that is how they lie, and how they are wanted.
    lying = [pixels.permute(1, 2, 0) for pixels in inputs]
    raw = [pixels for pixels in lying if pixels.dtype == torch.uint8]
    parts = []
    if raw:
        parts.append(model.normalise(torch.stack(raw).permute(0, 3, 1, 2)))
    if len(raw) < len(lying):
        parts.append(torch.stack(lying[len(raw) :]).permute(0, 3, 1, 2).to(model.device))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _whole_pass(model: ClipResNet, features: Float[Tensor, "neuron row column"]) -> WholePass:
    parts = model.decompose_features(features[None])
    return WholePass(
        embedding=parts.embedding[0],
        coefficients=parts.coefficients[0],
        attention=parts.attention[0],
        feature_map=features.contiguous(),
    )
