"""open_clip's own model, as it comes: what the decomposition is held against.

Nothing of this application's engine is used here: batch normalisation is not folded, the pool is
open_clip's, attention is torch's.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from open_clip import CLIP, get_model_config
from open_clip.modified_resnet import AttentionPool2d
from torch import Tensor

from backend.clip import DEMO
from backend.clip.checkpoints import download_tag, read_checkpoint
from backend.clip.models import DEMO_FOLDER, DEMO_WEIGHTS


def reference_model(
    architecture: str, pretrained: str | None, *, checkpoint: Path | None, device: torch.device
) -> CLIP:
    """A CLIP of open_clip with the given weights, in evaluation mode.

    Raises:
        ModelError: the weights cannot be read or downloaded.
    """
    if architecture == DEMO:
        config: dict[str, Any] = json.loads((DEMO_FOLDER / "config.json").read_text())
        del config["preprocess_cfg"]
        path = checkpoint or DEMO_WEIGHTS
    else:
        config = copy.deepcopy(get_model_config(architecture))
        path = checkpoint or download_tag(architecture, pretrained or "")
    model = CLIP(**config)
    model.load_state_dict(read_checkpoint(path).weights)
    return model.to(device).eval().requires_grad_(False)


@dataclass(frozen=True)
class PooledPasses:
    """What torch's own attention does on some images, all in float64.

    Attributes:
        tokens: the pool's input with positions; token 0 is the mean token.
        attention: softmax weights of the pooled query.
        value: rows of W_V by head, ``[head, d_head, neuron]``.
        output: columns of W_O by head, ``[head, d_out, d_head]``.
    """

    tokens: Float[Tensor, "image token neuron"]
    attention: Float[Tensor, "image head token"]
    value: Float[Tensor, "head d_head neuron"]
    output: Float[Tensor, "head d_out d_head"]


@torch.inference_mode()
def pooled_passes(model: CLIP, pixels: Float[Tensor, "image 3 row column"]) -> PooledPasses:
    """Runs the image tower and, in float64, torch's multi-head attention on its last map."""
    visual = model.visual
    pool: AttentionPool2d = copy.deepcopy(visual.attnpool).double()
    x = visual.stem(pixels.to(next(visual.parameters()).device))
    x = visual.layer4(visual.layer3(visual.layer2(visual.layer1(x)))).double()
    x = x.flatten(2).permute(2, 0, 1)
    x = torch.cat([x.mean(dim=0, keepdim=True), x]) + pool.positional_embedding[:, None]
    _, attention = F.multi_head_attention_forward(
        query=x[:1],
        key=x,
        value=x,
        embed_dim_to_check=x.shape[-1],
        num_heads=pool.num_heads,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        training=False,
        need_weights=True,
        average_attn_weights=False,
    )
    assert attention is not None
    value = pool.v_proj.weight
    output = pool.c_proj.weight
    heads = pool.num_heads
    return PooledPasses(
        tokens=x.transpose(0, 1),
        attention=attention[:, :, 0],
        value=value.view(heads, -1, value.shape[1]),
        output=output.view(len(output), heads, -1).transpose(0, 1),
    )


def contributions(passes: PooledPasses, *, head: int, neuron: int) -> Float[Tensor, "image d_out"]:
    """What a pair adds to each image's embedding, summed token by token as the paper defines it."""
    value = passes.value[head, :, neuron]
    weighted = passes.attention[:, head] * passes.tokens[:, :, neuron]
    per_token = (weighted[..., None] * value) @ passes.output[head].T
    return per_token.sum(dim=1)
