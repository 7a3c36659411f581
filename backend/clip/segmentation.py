"""Text-prompted segmentation of pictures of any size: windows, background, mask.

The picture is scaled so that its shorter side is ``SCALE`` native inputs, covered by native windows
at half a window's stride, and the logits of overlapping windows are averaged cell by cell.

A pixel belongs to a prompt only if the prompt's logit there beats what most random vocabulary words
get at the same place; otherwise it is background.  One prompt alone therefore does not cover the
picture, and no threshold has to be tuned per model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor

from backend.clip.models import ClipResNet
from backend.clip.text import ReadTexts
from backend.pairs.factors import write_norms
from backend.pairs.segmentation import PAPER_SHARE, head_heatmaps, pair_logits, top_pairs
from backend.pairs.similarity import centre, orientation_scale, pair_similarity

CELL = 32
"""Pixels per cell of the last block."""

SCALE = 1.5
"""Shorter side of the scaled picture in native inputs; the paper's protocol has 512 / 384."""

NULL_WORDS = 128
"""Random vocabulary words that a prompt must beat; each costs as much as a prompt."""

BACKGROUND_QUANTILE = 0.95
"""Share of the random words that a prompt's logit must exceed at a pixel."""

WINDOWS_AT_ONCE = 4
MAX_WINDOWS = 100
"""Windows of one picture.  An elongated picture that would need more is scaled to a shorter side of
one native input; one more than 50 times as long as it is wide is refused."""

LABEL_SIDE = 2048
"""Pixels a side at which the mask is decided, 64 times as fine as the cells it comes from; a larger
picture's mask repeats them."""

BACKGROUND = 255


@dataclass(frozen=True)
class SegmentationMaps:
    """Result of one picture.

    Attributes:
        logits: ``[class, row, column]`` on the cell grid that covers the picture, with the
            background's logit subtracted where there is background: positive is foreground.
        mask: ``[height, width]`` of the picture, the place of the prompt, 255 for background.
        texts: the prompts as the model reads them.
    """

    logits: np.ndarray
    mask: np.ndarray
    texts: ReadTexts


class Segmenter:
    """Segments pictures with one model and the vocabulary its texts are judged against.

    Args:
        templates: prompt templates, the vocabulary's own.
        vocabulary: unit embeddings of the vocabulary, not centred.
        sign: orientation of every pair, as in the store.
        share: share of pairs per class.
    """

    def __init__(
        self,
        model: ClipResNet,
        *,
        templates: Sequence[str],
        vocabulary: Float[Tensor, "word d_out"],
        sign: Float[Tensor, "head neuron"],
        share: float = PAPER_SHARE,
    ) -> None:
        self.model = model
        self._templates = tuple(templates)
        self._share = share
        words = vocabulary.to(model.device)
        self._mean = words.mean(dim=0)
        sample = torch.randperm(len(words), generator=torch.Generator().manual_seed(0))
        self._null = centre(words[sample[:NULL_WORDS].to(words.device)], self._mean)
        norms = write_norms(model.factors)
        self._scale = orientation_scale(sign.to(model.device, norms.dtype), norms)
        self._null_mask = top_pairs(self._similarity(self._null), share=share)

    @torch.inference_mode()
    def segment(
        self, image: Image.Image, prompts: Sequence[str], *, background: bool = True
    ) -> SegmentationMaps:
        """Segments an RGB picture by at least one and at most 254 prompts.

        Raises:
            ValueError: no prompt, too many, or the picture needs more than MAX_WINDOWS windows.
        """
        if not 1 <= len(prompts) < BACKGROUND:
            raise ValueError(
                f"between 1 and {BACKGROUND - 1} prompts are needed, got {len(prompts)}"
            )
        read = self.model.read_texts(prompts, self._templates)
        texts = centre(read.embeddings, self._mean)
        mask = top_pairs(self._similarity(texts), share=self._share)
        if background:
            texts = torch.cat([texts, self._null])
            mask = torch.cat([mask, self._null_mask])
        logits = self._grid_logits(image, texts, mask)
        classes = logits[: len(prompts)]
        if background:
            classes = classes - logits[len(prompts) :].quantile(BACKGROUND_QUANTILE, dim=0)
        labels = _labels(classes, height=image.height, width=image.width, background=background)
        return SegmentationMaps(classes.cpu().numpy(), labels.cpu().numpy(), read)

    def _similarity(self, texts: Float[Tensor, "text d_out"]) -> Float[Tensor, "text head neuron"]:
        return pair_similarity(texts, self.model.factors, self._scale)

    def _grid_logits(
        self,
        image: Image.Image,
        texts: Float[Tensor, "text d_out"],
        mask: Bool[Tensor, "text head neuron"],
    ) -> Float[Tensor, "text row column"]:
        """Logits on the cell grid, overlapping windows averaged."""
        native = self.model.image_size
        width, height = _working_size(image.size, native)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
        pixels = self.model.preprocess_batch(np.asarray(resized)[None])[0]
        corners = _corners(width, height, native)
        total = torch.zeros(len(texts), height // CELL, width // CELL, device=self.model.device)
        weight = torch.zeros_like(total[0])
        side = native // CELL
        for start in range(0, len(corners), WINDOWS_AT_ONCE):
            part = corners[start : start + WINDOWS_AT_ONCE]
            windows = torch.stack([pixels[:, y : y + native, x : x + native] for y, x in part])
            for (top, left), logits in zip(
                part, self._window_logits(windows, texts, mask), strict=True
            ):
                rows = slice(top // CELL, top // CELL + side)
                columns = slice(left // CELL, left // CELL + side)
                total[:, rows, columns] += logits
                weight[rows, columns] += 1
        return total / weight

    def _window_logits(
        self,
        windows: Float[Tensor, "image 3 height width"],
        texts: Float[Tensor, "text d_out"],
        mask: Bool[Tensor, "text head neuron"],
    ) -> Float[Tensor, "image text row column"]:
        features = self.model.feature_map(windows)
        tokens = self.model.tokens(features)[:, 1:]
        activations = features.flatten(2).transpose(1, 2)
        heatmaps = head_heatmaps(tokens, texts, self.model.factors)
        logits = pair_logits(activations, heatmaps, mask)
        return logits.transpose(1, 2).reshape(len(windows), -1, *features.shape[2:])


def _working_size(size: tuple[int, int], native: int) -> tuple[int, int]:
    """Width and height to work at: multiples of CELL, the shorter side about SCALE native inputs.

    Raises:
        ValueError: even with a shorter side of one native input there are too many windows.
    """
    for scale in (SCALE, 1.0):
        factor = scale * native / min(size)
        width, height = (max(native, round(side * factor / CELL) * CELL) for side in size)
        if len(_corners(width, height, native)) <= MAX_WINDOWS:
            return width, height
    raise ValueError(f"a picture of {size[0]} x {size[1]} pixels is too elongated to be segmented")


def _corners(width: int, height: int, window: int) -> list[tuple[int, int]]:
    """(top, left) of cell-aligned windows that cover the picture, about half a window apart."""
    stride = math.ceil(window / 2 / CELL) * CELL

    def starts(length: int) -> list[int]:
        return [*range(0, length - window, stride), length - window]

    return [(top, left) for top in starts(height) for left in starts(width)]


def _labels(
    logits: Float[Tensor, "text row column"], *, height: int, width: int, background: bool
) -> Tensor:
    """Place of the largest upsampled logit; 255 where none is positive and there is background.

    Class by class, and decided on at most LABEL_SIDE pixels a side: all classes at the size of a
    large photograph would fill the memory.
    """
    shrink = min(1.0, LABEL_SIDE / max(height, width))
    rows, columns = max(1, round(height * shrink)), max(1, round(width * shrink))
    floor = 0.0 if background else -torch.inf
    best = torch.full((rows, columns), floor, device=logits.device)
    labels = torch.full((rows, columns), BACKGROUND, dtype=torch.uint8, device=logits.device)
    for place, cells in enumerate(logits):
        upsampled = F.interpolate(
            cells[None, None], size=(rows, columns), mode="bilinear", align_corners=False
        )[0, 0]
        better = upsampled > best
        best = torch.where(better, upsampled, best)
        labels[better] = place
    if (rows, columns) == (height, width):
        return labels
    row = torch.arange(height, device=labels.device) * rows // height
    column = torch.arange(width, device=labels.device) * columns // width
    return labels[row[:, None], column]
