"""Every real architecture, with random weights: the parts sum to open_clip's own embedding."""

from __future__ import annotations

import copy
import gc

import pytest
import torch
from open_clip import CLIP, get_model_config
from open_clip.transform import PreprocessCfg

from backend.clip.models import ClipResNet, ModelIdentity, architectures
from backend.pairs.factors import write_vector

TINY_TEXT_TOWER = {"context_length": 8, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1}
"""The image tower is under test; a full text tower would only fill the memory."""

REAL = [name for name in architectures() if name.startswith("RN") and "quickgelu" not in name]


def random_clip(name: str) -> CLIP:
    config = get_model_config(name)
    torch.manual_seed(0)
    clip = CLIP(config["embed_dim"], config["vision_cfg"], TINY_TEXT_TOWER)
    # Fresh batch normalisation passes nothing through a residual branch (its last scale is zero).
    for module in clip.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, std=0.1)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return clip.eval()


def decomposed(clip: CLIP) -> ClipResNet:
    identity = ModelIdentity("random", None, False, "0" * 64)
    return ClipResNet(clip, identity, PreprocessCfg(clip.visual.image_size), "cpu")


@pytest.mark.parametrize("name", REAL)
def test_parts_sum_to_the_embedding(name: str) -> None:
    clip = random_clip(name)
    side = clip.visual.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = clip.encode_image(pixels)
    model = decomposed(clip)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.model.visual.modules())
    found = model.decompose(pixels)
    assert found.coefficients.shape == (1, model.factors.n_heads, model.factors.n_neurons)
    assert found.attention.shape == (1, model.factors.n_heads, (side // 32) ** 2 + 1)
    torch.testing.assert_close(found.attention.sum(-1), torch.ones(1, model.factors.n_heads))

    dense = torch.einsum(
        "hn,hdn,hod->o",
        found.coefficients[0].double(),
        model.factors.value.double(),
        model.factors.output.double(),
    )
    rebuilt = dense + model.factors.constant.double()
    for embedding in (found.embedding[0].double(), rebuilt):
        assert (embedding - expected[0]).norm() <= 1e-5 * expected.norm()
    del model
    gc.collect()


def test_other_input_sizes_have_interpolated_positions() -> None:
    model = decomposed(random_clip("RN50"))
    found = model.decompose(torch.randn(1, 3, 160, 320))
    assert found.feature_map.shape[2:] == (5, 10)
    assert found.attention.shape[-1] == 51


def test_one_pair_accounts_for_its_share(small_clip: CLIP) -> None:
    """Silencing one neuron's value moves the embedding by s * D and nothing else."""
    clip = copy.deepcopy(small_clip)
    model = decomposed(clip)
    pixels = torch.randn(2, 3, model.image_size, model.image_size)
    before = model.decompose(pixels)
    neuron, head = 11, 3
    weight = clip.visual.attnpool.v_proj.weight
    rows = slice(head * model.factors.d_head, (head + 1) * model.factors.d_head)
    expected = before.coefficients[:, head, neuron, None] * write_vector(
        model.factors, neuron=neuron, head=head
    )
    weight.data[rows, neuron] = 0
    with torch.inference_mode():
        after = clip.encode_image(pixels)
    torch.testing.assert_close(before.embedding - after, expected, rtol=1e-3, atol=1e-5)
