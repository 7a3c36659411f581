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

    Class by class, and decided on at most LABEL_SIDE pixels a side: all classes at the size of a
    large photograph would fill the memory.

    Args:
        floor: what the largest logit must exceed.
        least_probability: what its softmax over the classes must reach, in [0, 1].
    """
    shrink = min(1.0, LABEL_SIDE / max(height, width))
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    best = torch.full((rows, columns), floor, device=logits.device)
    labels = torch.full((rows, columns), BACKGROUND, dtype=torch.uint8, device=logits.device)
    total = torch.zeros((rows, columns), device=logits.device) if least_probability else None
    for place, cells in enumerate(logits):
        upsampled = F.interpolate(
            cells[None, None], size=(rows, columns), mode="bilinear", align_corners=False
        )[0, 0]
        if total is not None:
            # The sum of exponentials, always relative to the largest logit so far.
            largest = torch.maximum(best, upsampled)
            total = total * (LOGIT_SCALE * (best - largest)).exp()
            total += (LOGIT_SCALE * (upsampled - largest)).exp()
        labels.masked_fill_(upsampled > best, place)
        torch.maximum(best, upsampled, out=best)
    if total is not None:
        labels.masked_fill_(1 / total < least_probability, BACKGROUND)
    if (rows, columns) == (height, width):
        return labels
    row = torch.arange(height, device=labels.device) * rows // height
    column = torch.arange(width, device=labels.device) * columns // width
    return labels[row[:, None], column]
