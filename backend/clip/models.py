"""CLIP-ResNets with an attention pool, by name and weights."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from open_clip import CLIP, get_model_config, list_models
from open_clip import pretrained as registry
from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict
from PIL import Image
from torch import Tensor

from backend.clip.attention_pool import pool_factors, pool_query_key
from backend.clip.checkpoints import (
    download_tag,
    fingerprint,
    read_checkpoint,
    tag_needs_quickgelu,
)
from backend.clip.errors import ModelError
from backend.clip.folding import fold_batch_norms
from backend.clip.text import PLAIN_TEMPLATES, ReadTexts, TextEncoder, synonyms
from backend.pairs.coefficients import (
    embedding_from_coefficients,
    pair_coefficients,
    pool_tokens,
    pooled_attention,
    resize_positions,
)

DEMO = "demo"
"""Name of the model that ships with the application."""

PASS_IMAGES = 8
"""Images that go through the backbone together on a processor: more take four times the memory and
no less time (RN50: 32.7 ms an image by 8, 32.8 by 32)."""

DEMO_FOLDER = Path(__file__).parent / "demo"
DEMO_WEIGHTS = DEMO_FOLDER / "weights.safetensors"


@dataclass(frozen=True)
class ModelIdentity:
    """Which weights, exactly.

    Attributes:
        architecture: open_clip's name, or ``demo``; ends in ``-quickgelu`` if and only if the name
            given did.
        pretrained: open_clip's tag, or None for weights from a file and for ``demo``.
        quickgelu: whether the towers run with QuickGELU, whatever the name says.
        weights_sha256: fingerprint of the weights, independent of their file format.
    """

    architecture: str
    pretrained: str | None
    quickgelu: bool
    weights_sha256: str


@dataclass(frozen=True)
class Decomposition:
    """Images taken apart into pairs.

    Attributes:
        embedding: un-normalised, equal to open_clip's ``encode_image``.
        coefficients: s of every pair.
        attention: softmax weights of the pooled query; token 0 is the mean token.
        feature_map: last block's output, without positions.
    """

    embedding: Float[Tensor, "image d_out"]
    coefficients: Float[Tensor, "image head neuron"]
    attention: Float[Tensor, "image head token"]
    feature_map: Float[Tensor, "image neuron row column"]


class ClipResNet:
    """A CLIP whose image tower is a ModifiedResNet, and the exact decomposition of its pool.

    Takes ``model`` over: it moves to ``device``, and its batch normalisation is folded.
    """

    def __init__(
        self, model: CLIP, identity: ModelIdentity, preprocessing: PreprocessCfg, device: str
    ) -> None:
        self.identity = identity
        self.preprocessing = preprocessing
        self.device = torch.device(device)
        self.model = model.to(self.device).eval().requires_grad_(False)
        fold_batch_norms(self.model.visual)
        # As pixels are, or every pass would lay the weights out anew: a twentieth of its time.
        self.model.visual.to(memory_format=torch.channels_last)
        self._transform = image_transform_v2(preprocessing, is_train=False)
        pool = self.model.visual.attnpool
        self.factors = pool_factors(pool)
        self.query_key = pool_query_key(pool)
        self.positions: Float[Tensor, "token neuron"] = pool.positional_embedding.detach()
        self._texts = TextEncoder(self.model, self.model.context_length)

    @property
    def image_size(self) -> int:
        """Side of the native square input, in pixels."""
        size = self.preprocessing.size
        return size if isinstance(size, int) else size[0]

    def preprocess(self, image: Image.Image) -> Float[Tensor, "3 row column"]:
        """The model's own resize, crop and normalisation of one picture."""
        pixels: Tensor = self._transform(image.convert("RGB"))
        return pixels

    def preprocess_batch(self, images: np.ndarray) -> Float[Tensor, "image 3 row column"]:
        """Normalises uint8 pictures ``[image, row, column, 3]`` that already have their size."""
        return self.normalise(torch.from_numpy(np.array(images)).permute(0, 3, 1, 2))

    def normalise(
        self, pixels: UInt8[Tensor, "image 3 row column"]
    ) -> Float[Tensor, "image 3 row column"]:
        """Pictures of the right size as the backbone takes them, on its device, channels last."""
        images, _, rows, columns = pixels.shape
        # A row of pixels at a time, so that mean and deviation are not spread three by three.
        lines = pixels.permute(0, 2, 3, 1).reshape(images, rows, -1)
        scaled = lines.to(self.device, torch.float32).div_(255)
        mean = torch.tensor(self.preprocessing.mean, device=self.device).repeat(columns)
        std = torch.tensor(self.preprocessing.std, device=self.device).repeat(columns)
        return scaled.sub_(mean).div_(std).view(images, rows, columns, 3).permute(0, 3, 1, 2)

    @torch.inference_mode()
    def feature_map(
        self, pixels: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image neuron row column"]:
        """Last block's output; any input size, a cell for every 32 x 32 pixels.

        Many images take several passes on a processor (see PASS_IMAGES).
        """
        if self.device.type != "cpu" or len(pixels) <= PASS_IMAGES:
            return self._backbone(pixels)
        return torch.cat([self._backbone(part) for part in torch.split(pixels, PASS_IMAGES)])

    def _backbone(
        self, pixels: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image neuron row column"]:
        visual = self.model.visual
        x = visual.stem(pixels.to(self.device, memory_format=torch.channels_last))
        out: Tensor = visual.layer4(visual.layer3(visual.layer2(visual.layer1(x))))
        return out

    @torch.inference_mode()
    def tokens(
        self, feature_map: Float[Tensor, "image neuron row column"]
    ) -> Float[Tensor, "image token neuron"]:
        """Tokens of the pool, positions interpolated to the feature map's grid."""
        return pool_tokens(feature_map, self.grid_positions(*feature_map.shape[2:]))

    @property
    def logit_scale(self) -> float:
        """Factor on cosines before a softmax over texts, as training left it."""
        return float(self.model.logit_scale.exp())

    def grid_positions(self, rows: int, columns: int) -> Float[Tensor, "token neuron"]:
        """Positional embedding for a grid of cells, the mean token first."""
        return resize_positions(self.positions, rows=rows, columns=columns)

    @torch.inference_mode()
    def positional_values(self, rows: int, columns: int) -> Float[Tensor, "head d_head cell"]:
        """What positions and bias add to every head's W_V x at the cells of a grid.

        Interpolation is linear, so W_V's products with the pool's own positions are interpolated.
        """
        resized = resize_positions(self._value_positions, rows=rows, columns=columns)[1:]
        bias = self.factors.value_bias
        return resized.T.reshape(*bias.shape, -1) + bias[..., None]

    @cached_property
    def _value_positions(self) -> Float[Tensor, "token head_times_d_head"]:
        return self.positions @ self.factors.value.flatten(0, 1).T

    @torch.inference_mode()
    def decompose(self, pixels: Float[Tensor, "image 3 height width"]) -> Decomposition:
        """Embedding, coefficients and attention of preprocessed images, in one pass."""
        return self.decompose_features(self.feature_map(pixels))

    @torch.inference_mode()
    def decompose_features(
        self, feature_map: Float[Tensor, "image neuron row column"]
    ) -> Decomposition:
        """The same from a feature map that is already known."""
        tokens = self.tokens(feature_map)
        attention = pooled_attention(tokens, self.query_key)
        coefficients = pair_coefficients(tokens, attention)
        embedding = embedding_from_coefficients(coefficients, self.factors)
        return Decomposition(embedding, coefficients, attention, feature_map)

    def encode_images(
        self, pixels: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image d_out"]:
        """Un-normalised image embeddings."""
        return self.decompose(pixels).embedding

    def embed_texts(
        self, texts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES
    ) -> Float[Tensor, "text d_out"]:
        """Unit text embeddings, averaged over the templates."""
        return self._texts.embed(texts, templates)

    def read_texts(
        self, texts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES
    ) -> ReadTexts:
        """The same, with what tells whether the model knows the texts."""
        return self._texts.read(texts, templates)

    def read_prompts(
        self, prompts: Sequence[str], templates: Sequence[str] = PLAIN_TEMPLATES
    ) -> ReadTexts:
        """The same of prompts that may list synonyms, as in ``car, automobile``: one row each."""
        listed = [synonyms(prompt) for prompt in prompts]
        read = self.read_texts([text for texts in listed for text in texts], templates)
        return read.averaged([len(texts) for texts in listed])

    def trained_texts(self, texts: Sequence[str]) -> Bool[Tensor, " text"]:
        """Whether training has met every token of each text, as far as the weights tell."""
        return self._texts.trained(texts)


@lru_cache(maxsize=1)
def architectures() -> tuple[str, ...]:
    """Names that :func:`load_model` takes: open_clip's CLIP-ResNets and ``demo``."""
    names = [name for name in list_models() if _has_attention_pool(get_model_config(name))]
    return (DEMO, *names)


def load_model(
    name: str,
    pretrained: str | None = None,
    *,
    checkpoint: Path | None = None,
    device: str = "auto",
) -> ClipResNet:
    """Loads a CLIP-ResNet in float32.

    Weights known to be trained with QuickGELU (a tag that says so, an OpenAI archive) run with it
    whichever twin was named; for a plain state dict the name decides.

    Args:
        name: one of :func:`architectures`.
        pretrained: open_clip's tag; with ``checkpoint`` it only names what the file holds.
        checkpoint: local weights instead of a download.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ModelError: unknown name or tag, unreadable weights, weights of another architecture,
            unavailable device.
    """
    place = resolve_device(device)
    if name == DEMO:
        return _load_demo(checkpoint, place)
    config = _architecture_config(name)
    if checkpoint is None and pretrained is None:
        tags = ", ".join(registry.list_pretrained_tags_by_model(name)) or "none"
        raise ModelError(
            f"{name} needs weights: name a pretrained tag (it has: {tags}) or a checkpoint file"
        )
    path = checkpoint or download_tag(name, pretrained or "")
    loaded = read_checkpoint(path)
    if (pretrained and tag_needs_quickgelu(name, pretrained)) or loaded.from_openai:
        config["quick_gelu"] = True
    settings = registry.get_pretrained_cfg(name, pretrained) if pretrained else {}
    return _build(name, pretrained, config, loaded.weights, settings, place)


def resolve_device(device: str) -> str:
    """``auto`` becomes ``cuda`` where there is a GPU, else ``cpu``.

    Raises:
        ModelError: the device is not one of auto, cpu, cuda, cuda:N, or is not there.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ModelError(f"unknown device {device!r}; it is auto, cpu, cuda or cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {device!r} is not available; {torch.cuda.device_count()} GPUs found"
        )
    return device


def demo_fingerprint() -> str:
    """Fingerprint of the shipped demo weights, without building the model."""
    return fingerprint(read_checkpoint(DEMO_WEIGHTS).weights)


def _load_demo(checkpoint: Path | None, device: str) -> ClipResNet:
    config = json.loads((DEMO_FOLDER / "config.json").read_text())
    settings = config.pop("preprocess_cfg", {})
    loaded = read_checkpoint(checkpoint or DEMO_WEIGHTS)
    return _build(DEMO, None, config, loaded.weights, settings, device)


def _build(
    name: str,
    pretrained: str | None,
    config: dict[str, Any],
    weights: dict[str, Tensor],
    settings: dict[str, Any],
    device: str,
) -> ClipResNet:
    model = CLIP(**config)
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"the weights do not fit {name}: {_first_mismatch(model, weights)}"
        ) from error
    preprocessing = PreprocessCfg(**_preprocessing(settings, config["vision_cfg"]["image_size"]))
    identity = ModelIdentity(
        architecture=name,
        pretrained=pretrained,
        quickgelu=bool(config.get("quick_gelu", False)),
        weights_sha256=fingerprint(weights),
    )
    return ClipResNet(model, identity, preprocessing, device)


def _preprocessing(settings: dict[str, Any], image_size: int) -> dict[str, Any]:
    defaults = {"size": image_size, "interpolation": "bicubic", "resize_mode": "shortest"}
    merged: dict[str, Any] = merge_preprocess_dict(defaults, settings)
    return merged


def _first_mismatch(model: CLIP, weights: dict[str, Tensor]) -> str:
    expected = model.state_dict()
    missing = [name for name in expected if name not in weights]
    if missing:
        return f"{missing[0]!r} is missing (and {len(missing) - 1} more)"
    surplus = [name for name in weights if name not in expected]
    if surplus:
        return f"{surplus[0]!r} is not part of it (and {len(surplus) - 1} more)"
    for name, value in expected.items():
        if value.shape != weights[name].shape:
            return (
                f"{name!r} is {tuple(weights[name].shape)} where {tuple(value.shape)} is expected"
            )
    return "the values cannot be read"


def _architecture_config(name: str) -> dict[str, Any]:
    config = get_model_config(name) if name in list_models() else None
    choices = ", ".join(architectures())
    if config is None:
        near = difflib.get_close_matches(name, architectures(), n=1)
        hint = f"; did you mean {near[0]}" if near else ""
        raise ModelError(f"unknown model {name!r}{hint}; it is one of: {choices}")
    if not _has_attention_pool(config):
        raise ModelError(
            f"{name} has no attention pool, so it has no neuron-head pairs; "
            f"those that do: {choices}"
        )
    return deepcopy(config)


def _has_attention_pool(config: dict[str, Any]) -> bool:
    """ModifiedResNet is what open_clip builds when the vision layers are a list."""
    return isinstance(config.get("vision_cfg", {}).get("layers"), list | tuple)
