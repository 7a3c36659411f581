"""From logits on cells to a mask with a label at every pixel."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

BACKGROUND = 255

LABEL_SIDE = 1024
"""Pixels a side at which the mask is decided, dozens for each cell that it comes from; a larger
picture's mask repeats them.  At 2,048 ten classes would take as long as a window's backbone."""

LOGITS_AT_ONCE = 1 << 21
"""Logits of pixels that are held at a time, some rows for all classes: 8 MB; fewer take more time
for starting every step than for taking it."""

LOGIT_SCALE = 40.0
"""Factor on logits before a softmax over the classes, as in the paper's protocol."""

_FAR = 1e38
"""Makes every difference of two logits, from _LEAST on, larger than the number of texts."""

_LEAST = 1e-30
"""What a logit must reach to be more than nought: smaller numbers are slow, or flushed to it."""


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
    found = torch.arange(len(logits), device=logits.device)
    if least_probability == 0:
        # What is nowhere above the floor on cells is not on the pixels between them either.
        found = found[logits.amax(dim=(1, 2)) > floor]
    logits = logits[found]
    many, cells_down, cells_across = logits.shape
    if many == 0:
        return torch.full((height, width), BACKGROUND, dtype=torch.uint8, device=logits.device)
    across = (logits @ _upsampling(cells_across, columns, logits.device)).transpose(0, 1).flatten(1)
    down = _upsampling(cells_down, rows, logits.device).T
    labels = torch.empty((rows, columns), dtype=torch.uint8, device=logits.device)
    at_once = max(1, LOGITS_AT_ONCE // (many * columns))
    for start in range(0, rows, at_once):
        part = (down[start : start + at_once] @ across).view(-1, many, columns)
        unsure = None
        if least_probability > 0:
            probability = (LOGIT_SCALE * part).softmax(dim=1).amax(dim=1)
            unsure = probability < least_probability
        places = _largest_(part, found, floor)
        if unsure is not None:
            places.masked_fill_(unsure, BACKGROUND)
        labels[start : start + at_once] = places
    if (rows, columns) == (height, width):
        return labels
    row = torch.arange(height, device=labels.device) * rows // height
    column = torch.arange(width, device=labels.device) * columns // width
    return labels[row[:, None], column]


def _largest_(
    logits: Float[Tensor, "row text column"], places: Int[Tensor, " text"], floor: float
) -> Float[Tensor, "row column"]:
    """The first of the texts' ``places`` with the largest logit above ``floor``, or BACKGROUND.

    Overwrites the logits.  A third of the time of ``argmax`` and a mask: every step is one that is
    vectorised, which comparisons are not.
    """
    above = float(np.nextafter(np.float32(floor), np.float32(np.inf)))
    if 0 < above < _LEAST:
        above = _LEAST
    best = logits.amax(dim=1, keepdim=True).clamp_min_(above)
    countdown = (BACKGROUND - places).to(logits.dtype)[:, None]
    # The largest keep their countdown; whatever is less, if only by rounding, goes far below it.
    behind = logits.sub_(best)
    left = torch.add(countdown, behind, alpha=_FAR, out=behind).amax(dim=1)
    return BACKGROUND - left.clamp_min_(0)


def _upsampling(cells: int, pixels: int, device: torch.device) -> Float[Tensor, "cell pixel"]:
    """Weights of bilinear interpolation along one side, cells' centres in the middle of theirs."""
    each = torch.eye(cells, device=device)[None]
    return F.interpolate(each, size=pixels, mode="linear", align_corners=False)[0]
