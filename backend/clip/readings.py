"""What the methods read from an encoded picture; each is made at its first use and kept with it."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from backend.clip.encoded import EncodedImage
from backend.clip.models import ClipResNet
from backend.clip.windows import CELL
from backend.pairs.coefficients import pooled_attention
from backend.pairs.segmentation import (
    HeadReading,
    Method,
    Mode,
    clean_reading,
    head_values,
    official_reading,
    place_embeddings,
    self_self_values,
)
from backend.pairs.sinks import sinks_on_grid


def window_tokens(model: ClipResNet, encoded: EncodedImage) -> Float[Tensor, "window cell neuron"]:
    """Activations with positions, without the mean token."""
    return encoded.cells() + model.grid_positions(*encoded.layout.window)[1:]


def spatial_values(model: ClipResNet, encoded: EncodedImage) -> Float[Tensor, "head d_head place"]:
    """W_V x + b_V of every head at every cell, positions included."""
    rounded = encoded.rounded_cells()
    if rounded is None:
        return head_values(window_tokens(model, encoded).flatten(0, 1), model.factors)
    positional = model.positional_values(*encoded.layout.window)
    by_cells = model.factors.rounded_value.products(rounded)
    by_window = by_cells.view(*positional.shape[:2], -1, positional.shape[2])
    return by_window.add_(positional[:, :, None]).flatten(2)


def head_reading(
    model: ClipResNet, encoded: EncodedImage, mode: Mode, sinks: Int[Tensor, "sink 2"]
) -> HeadReading:
    """r of every head at every place, ``sinks`` being those of the model's native grid."""
    rows, columns = encoded.layout.window

    def make() -> tuple[Tensor, ...]:
        values = spatial_values(model, encoded)
        if mode == "clean":
            return (clean_reading(values, model.factors).coordinates,)
        cells = encoded.cells().transpose(1, 2)
        features = cells.reshape(*cells.shape[:2], rows, columns)
        side = model.image_size // CELL
        reading = official_reading(
            values,
            pooled_attention(model.tokens(features), model.query_key),
            model.factors,
            sinks=sinks_on_grid(sinks, of=(side, side), rows=rows, columns=columns),
            rows=rows,
            columns=columns,
        )
        assert reading.shift is not None
        return reading.coordinates, reading.shift

    coordinates, *shift = encoded.derived(mode, make)
    return HeadReading(coordinates, shift[0] if shift else None)


def embedded_places(
    model: ClipResNet, encoded: EncodedImage, method: Method
) -> Float[Tensor, "d_out place"]:
    """Unit embedding at every place, as maskclip or selfself reads it."""

    def make() -> tuple[Tensor, ...]:
        values = spatial_values(model, encoded)
        if method == "selfself":
            tokens = window_tokens(model, encoded)
            values = self_self_values(tokens, values, model.query_key)
        return (place_embeddings(values, model.factors),)

    return encoded.derived(method, make)[0]
