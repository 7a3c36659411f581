"""From logits on cells to a mask with a label at every pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

BACKGROUND = 255

LABEL_SIDE = 1024
"""Pixels a side at which the mask is decided, dozens for each cell that it comes from; a larger
picture's mask repeats them.  At 2,048 ten classes would take as long as a window's backbone."""

ROWS_AT_ONCE = 16
"""Rows of pixels whose logits are held for all classes: 0.7 MB for ten classes at 1,024 pixels,
which stays in a processor's cache, twice."""

LOGIT_SCALE = 40.0
"""Factor on logits before a softmax over the classes, as in the paper's protocol."""


def label_pixels(
    logits: Float[Tensor, "text row column"],
    *,
    height: int,
    width: int,
    floor: float = -torch.inf,
    least_probability: float = 0.0,
) -> UInt8[Tensor, "height width"]:
    """Place of the largest upsampled logit at every pixel; BACKGROUND where nothing is sure enough.

    Decided on at most LABEL_SIDE pixels a side, some rows at a time: all classes at the size of a
    large photograph would fill the memory.

    Args:
        floor: what the largest logit must exceed.
        least_probability: what its softmax over the classes must reach, in [0, 1].
    """
    shrink = min(1.0, LABEL_SIDE / max(height, width))
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    across = logits @ _upsampling(logits.shape[2], columns, logits.device)
    down = _upsampling(logits.shape[1], rows, logits.device).T
    labels = torch.empty((rows, columns), dtype=torch.uint8, device=logits.device)
    for start in range(0, rows, ROWS_AT_ONCE):
        part = down[start : start + ROWS_AT_ONCE] @ across
        best = part.amax(dim=0)
        unsure = best <= floor
        if least_probability > 0:
            probability = (LOGIT_SCALE * part).softmax(dim=0).amax(dim=0)
            unsure |= probability < least_probability
        labels[start : start + ROWS_AT_ONCE] = _first_of(part, best).masked_fill_(
            unsure, BACKGROUND
        )
    if (rows, columns) == (height, width):
        return labels
    row = torch.arange(height, device=labels.device) * rows // height
    column = torch.arange(width, device=labels.device) * columns // width
    return labels[row[:, None], column]


def _first_of(
    logits: Float[Tensor, "text row column"], best: Float[Tensor, "row column"]
) -> Float[Tensor, "row column"]:
    """Place of the first text whose logit is the best: a fifth of the time of ``argmax``."""
    many = len(logits)
    countdown = torch.arange(many, 0, -1, dtype=logits.dtype, device=logits.device)[:, None, None]
    is_best = torch.eq(logits, best, out=torch.empty_like(logits))
    return many - is_best.mul_(countdown).amax(dim=0)


def _upsampling(cells: int, pixels: int, device: torch.device) -> Float[Tensor, "cell pixel"]:
    """Weights of bilinear interpolation along one side, cells' centres in the middle of theirs."""
    each = torch.eye(cells, device=device)[None]
    return F.interpolate(each, size=pixels, mode="linear", align_corners=False)[0]
