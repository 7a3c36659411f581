"""Prompt templates and unit text embeddings."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip import CLIP, SimpleTokenizer
from open_clip.zero_shot_metadata import (
    OPENAI_IMAGENET_TEMPLATES,
    SIMPLE_IMAGENET_TEMPLATES,
)
from torch import Tensor

TEXT_BATCH = 512
"""Prompts per forward pass: bounds memory at about 1 GB for the largest text tower."""

PLAIN_TEMPLATES: tuple[str, ...] = ("{}",)

_PLACE = "\N{OBJECT REPLACEMENT CHARACTER}"

IMAGENET_TEMPLATES: tuple[str, ...] = tuple(
    template(_PLACE).replace(_PLACE, "{}") for template in OPENAI_IMAGENET_TEMPLATES
)
"""The 80 prompt templates of the CLIP paper, which the official dictionary uses too."""

FEW_TEMPLATES: tuple[str, ...] = tuple(
    template(_PLACE).replace(_PLACE, "{}") for template in SIMPLE_IMAGENET_TEMPLATES
)
"""The seven of them that OpenAI found by forward selection to do as well as all: last cell of
https://github.com/openai/CLIP/blob/main/notebooks/Prompt_Engineering_for_ImageNet.ipynb."""


def fill(templates: Sequence[str], text: str) -> list[str]:
    """The prompts of one text; braces in the text itself stay as they are.

    An article before a plural or a vowel is left as the templates have it, as in the CLIP paper.
    """
    return [template.replace("{}", text) for template in templates]


def normalise_text(text: str) -> str:
    """White space folded and trimmed, so that equal-looking texts embed equally."""
    return re.sub(r"\s+", " ", text).strip()


class TextEncoder:
    """Embeds texts with one CLIP text tower.

    Args:
        model: an open_clip CLIP.
        context_length: tokens per prompt; longer prompts are cut.
    """

    def __init__(self, model: CLIP, context_length: int) -> None:
        self._model = model
        self._tokenise = SimpleTokenizer(context_length=context_length)

    @torch.inference_mode()
    def embed(
        self, texts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES
    ) -> Float[Tensor, "text d_out"]:
        """Unit embeddings: every text in every template, normalised, averaged, normalised again.

        Raises:
            ValueError: there is no text or no template.
        """
        if not texts or not templates:
            raise ValueError("at least one text and one template are needed")
        device = self._model.logit_scale.device
        prompts = [prompt for text in texts for prompt in fill(templates, normalise_text(text))]
        embedded = []
        for start in range(0, len(prompts), TEXT_BATCH):
            tokens = self._tokenise(prompts[start : start + TEXT_BATCH]).to(device)
            embedded.append(self._model.encode_text(tokens, normalize=True).float())
        per_text = torch.cat(embedded).reshape(len(texts), len(templates), -1)
        return F.normalize(per_text.mean(dim=1), dim=-1)
