"""Real architectures with seeded random weights: speed and memory do not depend on training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from open_clip import CLIP, get_model_config
from open_clip.modified_resnet import AttentionPool2d
from open_clip.transform import PreprocessCfg
from torch import Tensor

from backend.clip import DEMO, ClipResNet, ModelIdentity, architectures
from backend.clip.attention_pool import pool_factors, pool_query_key
from backend.pairs.coefficients import QueryKey
from backend.pairs.factors import Factors
from precompute.errors import InputError

SMALL_TEXT_TOWER = {"context_length": 8, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
"""The image tower is measured; a full text tower would only fill the memory."""

SMALL_IMAGE_TOWER = {"image_size": 96, "layers": [1, 1, 1, 1], "width": 22, "patch_size": None}
"""For quick runs: a ModifiedResNet of 704 neurons and 11 heads."""

SMALL = "small"
SMALL_D_OUT = 89


def vision_config(name: str) -> tuple[int, dict[str, Any]]:
    """d_out and the image tower's settings of an architecture, or of the one for quick runs.

    Raises:
        InputError: the name is no real architecture.
    """
    if name == SMALL:
        return SMALL_D_OUT, dict(SMALL_IMAGE_TOWER)
    choices = [known for known in architectures() if known != DEMO]
    if name not in choices:
        raise InputError(f"{name} is not one of {', '.join(choices)}")
    config = get_model_config(name)
    return int(config["embed_dim"]), dict(config["vision_cfg"])


@dataclass(frozen=True)
class Pool:
    """An attention pool with random weights, and what the decomposition reads from it."""

    pool: AttentionPool2d
    factors: Factors
    query_key: QueryKey
    positions: Float[Tensor, "token neuron"]
    feature_map: Float[Tensor, "image neuron row column"]


def random_pool(name: str, device: torch.device, *, seed: int = 0) -> Pool:
    """The pool of an architecture by itself, with the last block's output of one image."""
    d_out, vision = vision_config(name)
    neurons = vision["width"] * 32
    side = vision["image_size"] // 32
    torch.manual_seed(seed)
    pool = AttentionPool2d(side, neurons, neurons // vision.get("head_width", 64), d_out)
    pool = pool.to(device).eval().requires_grad_(False)
    return Pool(
        pool=pool,
        factors=pool_factors(pool),
        query_key=pool_query_key(pool),
        positions=pool.positional_embedding.detach(),
        feature_map=torch.randn(1, neurons, side, side).relu().to(device),
    )


def random_clip(name: str, *, seed: int = 0) -> CLIP:
    """open_clip's model with random weights that let all residual branches speak."""
    d_out, vision = vision_config(name)
    torch.manual_seed(seed)
    clip = CLIP(d_out, vision, SMALL_TEXT_TOWER)
    # Fresh batch normalisation passes nothing through a residual branch (its last scale is zero).
    for module in clip.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return clip.eval().requires_grad_(False)


def random_model(name: str, device: torch.device, *, seed: int = 0) -> ClipResNet:
    """The engine's model of the same random weights."""
    _, vision = vision_config(name)
    identity = ModelIdentity(f"random-{name}".lower(), None, False, f"{seed:064x}")
    preprocessing = PreprocessCfg(size=vision["image_size"])
    return ClipResNet(random_clip(name, seed=seed), identity, preprocessing, str(device))
