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
    cell_embeddings,
    clean_reading,
    head_values,
    official_reading,
    self_self_values,
)
from backend.pairs.sinks import sinks_on_grid


def window_tokens(model: ClipResNet, encoded: EncodedImage) -> Float[Tensor, "window cell neuron"]:
    """Activations with positions, without the mean token."""
    return encoded.cells() + model.grid_positions(*encoded.layout.window)[1:]


def spatial_values(
    model: ClipResNet, encoded: EncodedImage
) -> Float[Tensor, "window cell head d_head"]:
    """W_V x + b_V of every head at every cell, positions included."""
    rounded = encoded.rounded_cells()
    if rounded is None:
        return head_values(window_tokens(model, encoded), model.factors)
    positional = model.positional_values(*encoded.layout.window)
    by_cells = rounded.products(model.factors.rounded_value)
    return by_cells.view(-1, *positional.shape).add_(positional)


def head_reading(
    model: ClipResNet, encoded: EncodedImage, mode: Mode, sinks: Int[Tensor, "sink 2"]
) -> HeadReading:
    """r of every head at every cell, ``sinks`` being those of the model's native grid."""
    rows, columns = encoded.layout.window

    def make() -> tuple[Tensor, ...]:
        values = spatial_values(model, encoded)
        if mode == "clean":
            return (clean_reading(values, model.factors).coordinates,)
        features = encoded.cells().transpose(1, 2)
        features = features.reshape(*features.shape[:2], rows, columns)
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


def embedded_cells(
    model: ClipResNet, encoded: EncodedImage, method: Method
) -> Float[Tensor, "window cell d_out"]:
    """Unit embedding of every cell, as maskclip or selfself reads it."""

    def make() -> tuple[Tensor, ...]:
        values = spatial_values(model, encoded)
        if method == "selfself":
            tokens = window_tokens(model, encoded)
            values = self_self_values(tokens, values, model.query_key)
        return (cell_embeddings(values, model.factors),)

    return encoded.derived(method, make)[0]
