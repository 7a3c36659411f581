"""Prompt templates and unit text embeddings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from open_clip import CLIP, SimpleTokenizer
from open_clip.zero_shot_metadata import (
    OPENAI_IMAGENET_TEMPLATES,
    SIMPLE_IMAGENET_TEMPLATES,
)
from torch import Tensor

TOKENS_AT_ONCE = 1 << 11
"""Tokens per forward pass: on two cores twice as many take a tenth longer each."""

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


def synonyms(prompt: str) -> list[str]:
    """Names for one thing that a prompt lists: ``car, automobile`` gives two."""
    parts = [normalise_text(part) for part in prompt.split(",")]
    return [part for part in parts if part] or [normalise_text(prompt)]


@dataclass(frozen=True)
class ReadTexts:
    """Texts as a model reads them.

    Attributes:
        embeddings: unit, averaged over the templates.
        agreement: length of the mean over the templates of the unit embeddings, in [0, 1]: 1 when
            every template gives the same, as with a single one.
        trained: whether training has met every token.  A token that it has not has a row of exact
            zeros in the embedding table, if the table keeps the two apart; OpenAI's do not.
    """

    embeddings: Float[Tensor, "text d_out"]
    agreement: Float[Tensor, " text"]
    trained: Bool[Tensor, " text"]

    def cpu(self) -> ReadTexts:
        """The same in main memory."""
        return ReadTexts(self.embeddings.cpu(), self.agreement.cpu(), self.trained.cpu())

    def of(self, places: Sequence[int]) -> ReadTexts:
        """Some of the texts."""
        rows = list(places)
        return ReadTexts(self.embeddings[rows], self.agreement[rows], self.trained[rows])

    def joined(self, others: Sequence[ReadTexts]) -> ReadTexts:
        """These texts and then those of ``others``."""
        all_of = (self, *others)
        return ReadTexts(
            embeddings=torch.cat([texts.embeddings for texts in all_of]),
            agreement=torch.cat([texts.agreement for texts in all_of]),
            trained=torch.cat([texts.trained for texts in all_of]),
        )

    def averaged(self, counts: Sequence[int]) -> ReadTexts:
        """Texts in groups of ``counts`` as one each: the mean of their unit embeddings, unit again.

        A group is as little known as the least known of it.
        """
        sizes = list(counts)
        embeddings = torch.split(self.embeddings, sizes)
        return ReadTexts(
            embeddings=torch.stack([F.normalize(part.mean(dim=0), dim=0) for part in embeddings]),
            agreement=torch.stack([part.min() for part in torch.split(self.agreement, sizes)]),
            trained=torch.stack([part.all() for part in torch.split(self.trained, sizes)]),
        )


def passes(tokens: Int[Tensor, "prompt token"]) -> Iterator[tuple[Int[Tensor, " place"], int]]:
    """Prompts of about the same length together: their places, and the length of the longest.

    Prompts are a few tokens long where there is room for 77.
    """
    ends, order = _ends(tokens).sort(stable=True)
    lengths = (ends + 1).tolist()
    start = 0
    while start < len(order):
        stop = start + 1
        while stop < len(order) and (stop + 1 - start) * lengths[stop] <= TOKENS_AT_ONCE:
            stop += 1
        yield order[start:stop], lengths[stop - 1]
        start = stop


def _ends(tokens: Int[Tensor, "prompt token"]) -> Int[Tensor, " prompt"]:
    """Where each prompt ends: its last token has the highest number."""
    return tokens.argmax(dim=1)


class TextEncoder:
    """Embeds texts with one CLIP text tower.

    Args:
        model: an open_clip CLIP.
        context_length: tokens per prompt; longer prompts are cut.
    """

    def __init__(self, model: CLIP, context_length: int) -> None:
        self._model = model
        self._tokenise = SimpleTokenizer(context_length=context_length)
        self._untrained = (model.token_embedding.weight == 0).all(dim=1).cpu()

    def embed(
        self, texts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES
    ) -> Float[Tensor, "text d_out"]:
        """Unit embeddings: every text in every template, normalised, averaged, normalised again.

        Raises:
            ValueError: there is no text or no template.
        """
        return self.read(texts, templates).embeddings

    @torch.inference_mode()
    def read(self, texts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES) -> ReadTexts:
        """The same embeddings, and what tells whether the model knows the texts.

        Raises:
            ValueError: there is no text or no template.
        """
        if not texts or not templates:
            raise ValueError("at least one text and one template are needed")
        prompts = [prompt for text in texts for prompt in fill(templates, normalise_text(text))]
        tokens = self._tokenise(prompts)
        embedded = torch.empty(len(prompts), self._model.text_projection.shape[1])
        embedded = embedded.to(self._model.logit_scale.device)
        for places, length in passes(tokens):
            embedded[places] = self._encode(tokens[places, :length].to(embedded.device))
        mean = embedded.reshape(len(texts), len(templates), -1).mean(dim=1)
        return ReadTexts(
            embeddings=F.normalize(mean, dim=-1),
            agreement=mean.norm(dim=-1).clamp(max=1),
            trained=self.trained(texts),
        )

    def _encode(self, tokens: Int[Tensor, "prompt token"]) -> Float[Tensor, "prompt d_out"]:
        """Unit embeddings, as ``encode_text`` of open_clip gives them of tokens in full length.

        Every token sees those before it alone, so that what follows the last end may be left out.
        """
        model, length = self._model, tokens.shape[1]
        x = model.token_embedding(tokens) + model.positional_embedding[:length]
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        ends = x[torch.arange(len(x), device=x.device), _ends(tokens)]
        return F.normalize(model.ln_final(ends) @ model.text_projection, dim=-1)

    def trained(self, texts: Sequence[str]) -> Bool[Tensor, " text"]:
        """Whether training has met every token of each text; a text without tokens is not met."""
        tokens = [self._tokenise.encode(normalise_text(text)) for text in texts]
        return torch.tensor([bool(t) and not bool(self._untrained[t].any()) for t in tokens])
