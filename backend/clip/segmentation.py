"""Text-prompted segmentation of pictures: encoded once, then asked any number of prompts.

    encoded = segmenter.encode(picture)                    # the backbone, once per window
    found = segmenter.answer(encoded, ["a cat", "grass"])  # milliseconds

Logits of overlapping windows are averaged cell by cell.  Unless told otherwise a pixel belongs to a
prompt only if the prompt's logit there beats what most random vocabulary words get at the same
place; otherwise it is background.  One prompt alone therefore does not cover the picture, and no
threshold has to be tuned per model.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from backend.clip.asked import Asked, Chooser
from backend.clip.encoded import EncodedImage, fingerprint_text
from backend.clip.encoder import IN_WINDOWS, EncodingSettings, encode_images
from backend.clip.masks import BACKGROUND, label_pixels
from backend.clip.models import ClipResNet
from backend.clip.options import CHOOSING, DEFAULT, SegmentationSettings
from backend.clip.readings import embedded_places, head_reading, window_tokens
from backend.clip.text import ReadTexts
from backend.clip.windows import Layout
from backend.pairs.attribution import check_cell
from backend.pairs.decisions import (
    Decision,
    chosen_parts,
    self_self_coefficients,
    written_parts,
)
from backend.pairs.segmentation import (
    head_heatmaps,
    head_logits,
    neuron_logits,
    pair_logits,
)
from backend.pairs.similarity import (
    centre,
)

NULL_WORDS = 64
"""Random vocabulary words that a prompt must beat, as many as in the evaluation; each costs as much
as a prompt, once a picture."""

FEWEST_CLASSES = 3
"""Texts whose mean says what classes share; that of one is itself, that of two splits them."""

SUMS_AT_ONCE = 1 << 23
"""Numbers of cells x heads x texts held at a time: a few arrays of 32 MB."""

NULLS_KEPT = 4
"""Choices of the random words' pairs that are kept: 10 MB each for RN50x16."""


@dataclass(frozen=True)
class SegmentationMaps:
    """Result of one picture.

    Attributes:
        logits: ``[class, row, column]`` on the cell grid that covers the picture, with the
            background's logit subtracted where random words or prompts are the background: positive
            is foreground then.
        mask: ``[height, width]`` of the picture, the place of the prompt, 255 for background.
        texts: the prompts as the model reads them.
        background: ``[row, column]``, the background's logit; None where there is none.
    """

    logits: np.ndarray
    mask: np.ndarray
    texts: ReadTexts
    background: np.ndarray | None


class Segmenter:
    """Segments pictures with one model and the vocabulary its texts are judged against.

    Args:
        templates: prompt templates, the vocabulary's own.
        vocabulary: unit embeddings of the vocabulary, not centred.
        sign: orientation of every pair, as in the store.
        sinks: (row, column) of sink tokens on the native grid, as in the store.
        precision: in which encoded pictures are kept; float32 also makes every sum exact.
        null_words, null_seed: how many random words stand for the background, and which.
    """

    def __init__(
        self,
        model: ClipResNet,
        *,
        templates: Sequence[str],
        vocabulary: Float[Tensor, "word d_out"],
        sign: Float[Tensor, "head neuron"],
        sinks: Int[Tensor, "sink 2"] | None = None,
        precision: torch.dtype = torch.float16,
        null_words: int = NULL_WORDS,
        null_seed: int = 0,
    ) -> None:
        self.model = model
        self._templates = tuple(templates)
        self._precision = precision
        words = vocabulary.to(model.device)
        self._mean = words.mean(dim=0)
        sample = torch.randperm(len(words), generator=torch.Generator().manual_seed(null_seed))
        self._null = words[sample[:null_words].to(words.device)]
        self._nulls: OrderedDict[Hashable, Asked] = OrderedDict()
        self._chooser = Chooser(model.factors, sign)
        none = torch.zeros(0, 2, dtype=torch.int64)
        self._sinks = (none if sinks is None else sinks.long()).to(model.device)

    def segment(
        self,
        image: Image.Image,
        prompts: Sequence[str] | ReadTexts,
        settings: SegmentationSettings = DEFAULT,
    ) -> SegmentationMaps:
        """Encodes a picture for these prompts alone, and answers them."""
        (encoded,) = self.encode_many([image], EncodingSettings(whole_pass=False))
        return self.answer(encoded, prompts, settings)

    def encode_many(
        self,
        images: Sequence[Image.Image],
        settings: EncodingSettings = IN_WINDOWS,
        *,
        advance: Callable[[int], None] | None = None,
    ) -> list[EncodedImage]:
        """Runs the backbone over pictures; windows of all of them share its batches.

        ``advance`` is told how many windows each batch had; what it raises ends the work.

        Raises:
            ValueError: a picture needs more windows or cells than are allowed.
        """
        return encode_images(
            self.model, images, settings, precision=self._precision, advance=advance
        )

    def encode(self, image: Image.Image, settings: EncodingSettings = IN_WINDOWS) -> EncodedImage:
        """Runs the backbone over one picture."""
        return self.encode_many([image], settings)[0]

    def read(self, prompts: Sequence[str]) -> ReadTexts:
        """Prompts in the vocabulary's templates, synonyms averaged; good for any picture."""
        return self.model.read_prompts(prompts, self._templates)

    @torch.inference_mode()
    def answer(
        self,
        encoded: EncodedImage,
        prompts: Sequence[str] | ReadTexts,
        settings: SegmentationSettings = DEFAULT,
        *,
        behind: ReadTexts | None = None,
        gain: Float[Tensor, "head neuron"] | None = None,
    ) -> SegmentationMaps:
        """Segments an encoded picture by at least one and at most 254 prompts.

        Args:
            prompts: texts, or what :meth:`read` made of them.
            behind: the background prompts of the settings, where :meth:`read` has read them before.
            gain: factor on what every pair says, of an ablation; methods that choose no pairs
                (maskclip, selfself) take none.

        Raises:
            ValueError: no prompt, too many, or too few to be centred on their mean.
        """
        read = self._checked(prompts, settings, gain)
        texts = self._texts(read, behind, settings)
        with encoded.at_hand():
            classes, background = self._judged(encoded, texts, settings, gain)
        width, height = encoded.size
        labels = label_pixels(classes, height=height, width=width, **settings.certainty)
        return SegmentationMaps(
            logits=classes.cpu().numpy(),
            mask=labels.cpu().numpy(),
            texts=read,
            background=None if background is None else background.cpu().numpy(),
        )

    def _judged(
        self,
        encoded: EncodedImage,
        texts: _CentredTexts,
        settings: SegmentationSettings,
        gain: Float[Tensor, "head neuron"] | None,
    ) -> tuple[Float[Tensor, "text row column"], Float[Tensor, "row column"] | None]:
        """Logits of the classes with the background's subtracted, and the background's."""
        count = len(texts.classes)
        maps = self._maps(encoded, torch.cat([texts.classes, texts.behind]), settings, gain)
        if settings.background == "words":
            null = self._null_maps(encoded, texts.mean, settings, gain)
            background = null.quantile(settings.quantile, dim=0)
        elif settings.background == "prompts":
            background = maps[count:].amax(dim=0)
        else:
            return maps, None
        return maps[:count] - background, background

    @torch.inference_mode()
    def decide(
        self,
        encoded: EncodedImage,
        prompts: Sequence[str] | ReadTexts,
        settings: SegmentationSettings = DEFAULT,
        *,
        place: int,
        row: int,
        column: int,
        behind: ReadTexts | None = None,
        gain: Float[Tensor, "head neuron"] | None = None,
    ) -> Decision:
        """Why the prompt at ``place`` has its logit at a cell: the exact sum over pairs.

        The logit is that before the background's is subtracted.

        Args:
            prompts: all of them, since they may be centred on their mean.
            row, column: of the picture's grid of cells, ``encoded.layout``.

        Raises:
            ValueError: there is no such prompt or cell.
        """
        read = self._checked(prompts, settings, gain)
        if not 0 <= place < len(read.embeddings):
            raise ValueError(f"there is no prompt {place}; it is 0 to {len(read.embeddings) - 1}")
        windows, cells = _covering(encoded.layout, row=row, column=column)
        text = self._texts(read, behind, settings).classes[place : place + 1]
        asked = self._ask(text, settings, gain)
        if asked.pairs is None:
            tokens = window_tokens(self.model, encoded)[windows]
            if settings.method == "maskclip":
                at_cell = tokens[torch.arange(len(cells)), cells]
                coefficients = at_cell[:, None].expand(-1, self.model.factors.n_heads, -1)
                return written_parts(coefficients, 1.0, text[0], self.model.factors)
            coefficients = self_self_coefficients(tokens, self.model.query_key, cells)
            return written_parts(coefficients, 2.0, text[0], self.model.factors)
        rows, columns = encoded.layout.window
        places = [
            window * rows * columns + cell for window, cell in zip(windows, cells, strict=True)
        ]
        activations = heatmaps = None
        if settings.method != "heads":
            activations = encoded.cells().flatten(0, 1)[places]
        if settings.method != "neurons":
            reading = head_reading(self.model, encoded, settings.mode, self._sinks)
            heatmaps = head_heatmaps(reading.of(places), asked.pairs.texts)[:, 0].T
        return chosen_parts(asked.pairs.chosen, activations=activations, heatmaps=heatmaps)

    def _checked(
        self,
        prompts: Sequence[str] | ReadTexts,
        settings: SegmentationSettings,
        gain: Float[Tensor, "head neuron"] | None,
    ) -> ReadTexts:
        if gain is not None and settings.method not in CHOOSING:
            raise ValueError(f"{settings.method} chooses no pairs, so none can be ablated")
        count = len(prompts.embeddings if isinstance(prompts, ReadTexts) else prompts)
        if not 1 <= count < BACKGROUND:
            raise ValueError(f"between 1 and {BACKGROUND - 1} prompts are needed, got {count}")
        return prompts if isinstance(prompts, ReadTexts) else self.read(prompts)

    def _texts(
        self, read: ReadTexts, behind: ReadTexts | None, settings: SegmentationSettings
    ) -> _CentredTexts:
        classes = read.embeddings.to(self.model.device)
        background = classes[:0]
        if settings.background_prompts:
            known = behind or self.read(settings.background_prompts)
            background = known.embeddings.to(self.model.device)
        mean = self._mean
        if settings.centring == "background":
            mean = background.mean(dim=0)
        elif settings.centring == "classes":
            together = torch.cat([classes, background])
            if len(together) < FEWEST_CLASSES:
                raise ValueError(
                    f"centring on the classes needs at least {FEWEST_CLASSES} prompts and "
                    f"background prompts together, got {len(together)}"
                )
            mean = together.mean(dim=0)
        if settings.background != "prompts":
            background = background[:0]
        return _CentredTexts(centre(classes, mean), centre(background, mean), mean)

    def _maps(
        self,
        encoded: EncodedImage,
        texts: Float[Tensor, "text d_out"],
        settings: SegmentationSettings,
        gain: Float[Tensor, "head neuron"] | None,
    ) -> Float[Tensor, "text row column"]:
        """Logits of centred texts; those of texts that were asked before are remembered."""
        if gain is not None:
            return self._grid_logits(encoded, self._ask(texts, settings, gain), settings)
        keys = [(settings.reading, fingerprint_text(text)) for text in texts]
        known = [encoded.known_map(key) for key in keys]
        new = [place for place, found in enumerate(known) if found is None]
        if new:
            made = self._grid_logits(encoded, self._ask(texts[new], settings, None), settings)
            for place, logits in zip(new, made, strict=True):
                known[place] = logits.clone()
                encoded.remember_map(keys[place], logits.clone())
        return torch.stack([found for found in known if found is not None])

    def _null_maps(
        self,
        encoded: EncodedImage,
        mean: Float[Tensor, " d_out"],
        settings: SegmentationSettings,
        gain: Float[Tensor, "head neuron"] | None,
    ) -> Float[Tensor, "word row column"]:
        """Logits of the random words."""
        key = ("null", settings.reading, fingerprint_text(mean))
        known = encoded.known_map(key) if gain is None else None
        if known is not None:
            return known
        words = self._null_words(mean, settings)
        maps = self._grid_logits(encoded, words if gain is None else words.scaled(gain), settings)
        if gain is None:
            encoded.remember_map(key, maps)
        return maps

    def _null_words(self, mean: Float[Tensor, " d_out"], settings: SegmentationSettings) -> Asked:
        """The random words with their pairs, which are the same for every picture."""
        chooses = settings.method in CHOOSING
        key = (chooses, settings.orientation, settings.share, fingerprint_text(mean))
        if key not in self._nulls:
            words = centre(self._null, mean)
            pairs = self._chooser.choose(words, settings) if chooses else None
            self._nulls[key] = Asked(words, pairs)
            while len(self._nulls) > NULLS_KEPT:
                self._nulls.popitem(last=False)
        return self._nulls[key]

    def _ask(
        self,
        texts: Float[Tensor, "text d_out"],
        settings: SegmentationSettings,
        gain: Float[Tensor, "head neuron"] | None,
    ) -> Asked:
        asked = self._chooser.ask(texts, settings)
        return asked if gain is None else asked.scaled(gain)

    def _grid_logits(
        self, encoded: EncodedImage, asked: Asked, settings: SegmentationSettings
    ) -> Float[Tensor, "text row column"]:
        """Logits on the cell grid, overlapping windows averaged; a few texts at a time."""
        windows = len(encoded.layout.corners)
        cells = windows * encoded.layout.window[0] * encoded.layout.window[1]
        step = max(1, SUMS_AT_ONCE // (cells * self.model.factors.n_heads))
        parts = [asked.of(slice(start, start + step)) for start in range(0, len(asked.texts), step)]
        return torch.cat(
            [_on_grid(self._place_logits(encoded, part, settings), encoded) for part in parts]
        )

    def _place_logits(
        self, encoded: EncodedImage, asked: Asked, settings: SegmentationSettings
    ) -> Float[Tensor, "text place"]:
        if asked.pairs is None:
            return asked.texts @ embedded_places(self.model, encoded, settings.method)
        texts, chosen = asked.pairs.texts, asked.pairs.chosen
        if settings.method == "neurons":
            return neuron_logits(encoded.cells().flatten(0, 1), chosen)
        reading = head_reading(self.model, encoded, settings.mode, self._sinks)
        heatmaps = head_heatmaps(reading, texts)
        if settings.method == "heads":
            return head_logits(heatmaps, chosen)
        activations = encoded.rounded_cells() or encoded.cells().flatten(0, 1)
        return pair_logits(activations, heatmaps, chosen)


@dataclass(frozen=True)
class _CentredTexts:
    """Unit texts of the classes and of what is behind them, and what was subtracted from both."""

    classes: Float[Tensor, "text d_out"]
    behind: Float[Tensor, "background d_out"]
    mean: Float[Tensor, " d_out"]


def _on_grid(
    logits: Float[Tensor, "text place"], encoded: EncodedImage
) -> Float[Tensor, "text row column"]:
    """Mean over the windows that cover each cell."""
    covered = encoded.layout
    rows, columns = covered.window
    maps = logits.view(len(logits), -1, rows, columns)
    total = torch.zeros(len(logits), covered.rows, covered.columns, device=maps.device)
    weight = torch.zeros_like(total[0])
    for (top, left), one in zip(covered.corners, maps.unbind(dim=1), strict=True):
        place = (slice(top, top + rows), slice(left, left + columns))
        total[:, *place] += one
        weight[place] += 1
    return total / weight


def _covering(covered: Layout, *, row: int, column: int) -> tuple[list[int], list[int]]:
    """Windows that cover a cell, and its place in each.

    Raises:
        ValueError: the cell is not on the picture's grid.
    """
    check_cell(row, column, rows=covered.rows, columns=covered.columns)
    rows, columns = covered.window
    found = [
        (place, (row - top) * columns + column - left)
        for place, (top, left) in enumerate(covered.corners)
        if 0 <= row - top < rows and 0 <= column - left < columns
    ]
    return [place for place, _ in found], [cell for _, cell in found]
