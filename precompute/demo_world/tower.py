"""The demo model and the passes through it that training takes: any image size, short texts.

The model is an ordinary open_clip CLIP. These passes give what its own methods give (tests hold
them to that), but read the pool's positions at the size of the image, encode only the pooled query,
and trim texts to the longest.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor, nn
from torch.nn import functional

CONFIG = Path(__file__).parents[2] / "backend" / "clip" / "demo" / "config.json"


def read_config() -> dict[str, Any]:
    """The demo model's configuration in open_clip's form, with ``preprocess_cfg`` beside it."""
    config: dict[str, Any] = json.loads(CONFIG.read_text(encoding="utf-8"))
    return config


def new_model(config: dict[str, Any] | None = None) -> CLIP:
    """A CLIP of the demo model's shape with fresh weights (seed torch first)."""
    own = dict(config or read_config())
    own.pop("preprocess_cfg", None)
    return CLIP(**own)


def normalise(images: Tensor, config: dict[str, Any]) -> Tensor:
    """uint8 [image, size, size, 3] to what the model reads, float [image, 3, size, size]."""
    mean, std = (
        torch.tensor(config["preprocess_cfg"][key])[:, None, None] for key in ("mean", "std")
    )
    pixels: Tensor = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
    return pixels


def block_output(model: CLIP, pixels: Tensor) -> Tensor:
    """The last convolutional block's output, [image, channel, row, column]."""
    visual = model.visual
    x = visual.stem(pixels)
    x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(x))))
    assert isinstance(x, Tensor)
    return x


def pool(model: CLIP, features: Tensor) -> Tensor:
    """The attention pool's output [image, d_out] of features of any height and width."""
    own = model.visual.attnpool
    images, channels, rows, columns = features.shape
    tokens = features.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
    tokens = tokens + positions(own.positional_embedding, rows, columns)
    heads = own.num_heads

    def split(x: Tensor) -> Tensor:
        return x.reshape(images, -1, heads, channels // heads).transpose(1, 2)

    query, key = split(own.q_proj(tokens[:, :1])), split(own.k_proj(tokens))
    pooled = functional.scaled_dot_product_attention(query, key, split(own.v_proj(tokens)))
    embedding: Tensor = own.c_proj(pooled.transpose(1, 2).reshape(images, channels))
    return embedding


def positions(native: Tensor, rows: int, columns: int) -> Tensor:
    """Positions [1 + rows·columns, channel], resized from the native square grid where needed."""
    side = round((len(native) - 1) ** 0.5)
    if (rows, columns) == (side, side):
        return native
    grid = native[1:].T.reshape(1, -1, side, side)
    grid = functional.interpolate(grid, (rows, columns), mode="bilinear", antialias=True)
    return torch.cat([native[:1], grid.flatten(2)[0].T])


class Words:
    """Texts as token ids, cached word by word; ids are places in the list of known tokens.

    Training learns embeddings of the known tokens alone: 49,408 rows cost time and teach nothing.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        tokenizer = open_clip.get_tokenizer("RN50")
        self._encode = tokenizer.encode
        self._start, self._end = tokenizer.sot_token_id, tokenizer.eot_token_id
        self._cache: dict[str, list[int]] = {}
        known = {self._start, self._end}
        for text in texts:
            known.update(self._tokens(text))
        self.known = torch.tensor(sorted(known))
        self._place = {token: i for i, token in enumerate(self.known.tolist())}

    def _tokens(self, text: str) -> list[int]:
        tokens: list[int] = []
        for word in text.replace(",", " ,").split():
            if word not in self._cache:
                self._cache[word] = self._encode(word)
            tokens += self._cache[word]
        return tokens

    def batch(self, texts: Sequence[str], *, longest: int) -> tuple[Tensor, Tensor]:
        """Places of tokens [text, position], padded with the end, and the end's position [text].

        Raises KeyError for a token that is not known; cuts texts to `longest` positions.
        """
        rows = [self._tokens(text)[: longest - 2] for text in texts]
        width = max(map(len, rows)) + 2
        start, end = self._place[self._start], self._place[self._end]
        padded = torch.full((len(rows), width), end)
        padded[:, 0] = start
        for row, tokens in zip(padded, rows, strict=True):
            row[1 : 1 + len(tokens)] = torch.tensor([self._place[token] for token in tokens])
        return padded, torch.tensor([len(tokens) + 1 for tokens in rows])


def encode_text(model: CLIP, embedding: nn.Embedding, places: Tensor, ends: Tensor) -> Tensor:
    """Text embeddings [text, d_out], un-normalised, with `embedding` for the known tokens."""
    width = places.shape[1]
    x = embedding(places) + model.positional_embedding[:width]
    x = model.transformer(x, attn_mask=model.attn_mask[:width, :width])
    x = model.ln_final(x)[torch.arange(len(x)), ends]
    embeddings: Tensor = x @ model.text_projection
    return embeddings
