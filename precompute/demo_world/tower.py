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
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
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


def stages(visual: ModifiedResNet) -> list[list[nn.Module]]:
    """The layers of an image tower's four stages; the stem belongs to the first."""
    stem = [visual.conv1, visual.bn1, visual.conv2, visual.bn2, visual.conv3, visual.bn3]
    return [[*stem, visual.layer1], [visual.layer2], [visual.layer3], [visual.layer4]]


def second_blocks(visual: ModifiedResNet) -> dict[str, Bottleneck]:
    """The blocks of an image tower that come after the first of their stage, by their names."""
    return {
        f"layer{stage}.{place}": block
        for stage in range(1, 5)
        for place, block in enumerate(getattr(visual, f"layer{stage}"))
        if place
    }


def through(visual: ModifiedResNet, x: Tensor, chosen: range) -> Tensor:
    """What the chosen stages, 0 to 3, make of the output of the one before, or of pixels."""
    for stage in chosen:
        if stage == 0:
            x = visual.stem(x)
        x = getattr(visual, f"layer{stage + 1}")(x)
    return x


def block_output(visual: ModifiedResNet, pixels: Tensor) -> Tensor:
    """The last convolutional block's output, [image, channel, row, column], of an image tower."""
    return through(visual, pixels, range(len(stages(visual))))


def attend(model: CLIP, features: Tensor) -> tuple[Tensor, Tensor]:
    """Attention [image, head, token] and tokens [image, token, neuron] of features of any size.

    Token 0 is the mean of the others. The pooled query is folded into the keys, so that no key of a
    token is computed.
    """
    own = model.visual.attnpool
    rows, columns = features.shape[2:]
    tokens = features.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
    tokens = tokens + positions(own.positional_embedding, rows, columns)
    query = own.q_proj(tokens[:, 0]).unflatten(1, (own.num_heads, -1))
    key = own.k_proj.weight.unflatten(0, (own.num_heads, -1))  # its bias cancels in the softmax
    folded = torch.einsum("ihd,hdn->ihn", query, key) / query.shape[-1] ** 0.5
    attention = (folded @ tokens.transpose(1, 2)).float().softmax(dim=-1)
    return attention.to(tokens.dtype), tokens


def coefficients(attention: Tensor, tokens: Tensor) -> Tensor:
    """Every pair's coefficient [image, head, neuron]."""
    pooled: Tensor = attention @ tokens
    return pooled


def region_coefficients(attention: Tensor, tokens: Tensor, region: Tensor) -> Tensor:
    """What a `region` of the cells, bool [image, cell], adds to the coefficients.

    A cell counts by itself and through token 0, the mean of all.
    """
    weight = attention[:, :, 1:] + attention[:, :, :1] / region.shape[1]
    added: Tensor = (weight * region[:, None]) @ tokens[:, 1:]
    return added


def written(model: CLIP, coefficients: Tensor) -> Tensor:
    """What coefficients [image, head, neuron] write, without biases: [image, d_out]."""
    own = model.visual.attnpool
    value = own.v_proj.weight.unflatten(0, (own.num_heads, -1))
    values = torch.einsum("ihn,hdn->ihd", coefficients, value).flatten(1)
    return functional.linear(values, own.c_proj.weight)


def directions(model: CLIP, neurons: Tensor) -> Tensor:
    """What the pairs of some neurons write per unit of coefficient, [head, neuron, d_out]."""
    own = model.visual.attnpool
    value = own.v_proj.weight[:, neurons].unflatten(0, (own.num_heads, -1))
    output = own.c_proj.weight.unflatten(1, (own.num_heads, -1))
    return torch.einsum("ohd,hdn->hno", output, value)


def pool(model: CLIP, coefficients: Tensor) -> Tensor:
    """The attention pool's output [image, d_out]: what all pairs write, and the biases."""
    own = model.visual.attnpool
    constant = functional.linear(own.v_proj.bias, own.c_proj.weight, own.c_proj.bias)
    return written(model, coefficients) + constant


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
