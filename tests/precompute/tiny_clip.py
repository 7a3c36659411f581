"""A CLIP-ResNet of 1,024 pairs with random weights: milliseconds an image."""

from __future__ import annotations

import torch
from open_clip import CLIP
from open_clip.transform import PreprocessCfg
from torch import nn

from backend.clip import ClipResNet
from backend.clip.models import ModelIdentity

SIDE = 64

CONFIG = {
    "embed_dim": 96,
    "quick_gelu": False,
    "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}


def tiny_clip() -> ClipResNet:
    """The same weights every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = CLIP(**CONFIG)
        # As made, activations fade from layer to layer, and images hardly differ at the end.
        for module in model.visual.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
            elif isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        for projection in (model.visual.attnpool.q_proj, model.visual.attnpool.k_proj):
            nn.init.normal_(projection.weight, std=0.1)
    identity = ModelIdentity("tiny", None, False, "0" * 64)
    return ClipResNet(model, identity, PreprocessCfg(size=SIDE), "cpu")
