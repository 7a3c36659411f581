"""Every real architecture, with random weights: the parts sum to open_clip's own embedding."""

from __future__ import annotations

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


def random_model(name: str) -> ClipResNet:
    config = get_model_config(name)
    torch.manual_seed(0)
    clip = CLIP(config["embed_dim"], config["vision_cfg"], TINY_TEXT_TOWER)
    # Fresh batch normalisation passes nothing through a residual branch (its last scale is zero).
    for module in clip.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
    size = config["vision_cfg"]["image_size"]
    return ClipResNet(clip, ModelIdentity(name, None, False, "0" * 64), PreprocessCfg(size), "cpu")


@pytest.mark.parametrize("name", REAL)
def test_parts_sum_to_the_embedding(name: str) -> None:
    model = random_model(name)
    side = model.image_size
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model.model.encode_image(pixels)
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
    model = random_model("RN50")
    found = model.decompose(torch.randn(1, 3, 160, 320))
    assert found.feature_map.shape[2:] == (5, 10)
    assert found.attention.shape[-1] == 51


def test_one_pair_accounts_for_its_share(small_clip: CLIP) -> None:
    """Silencing one neuron's value moves the embedding by s * D and nothing else."""
    side = small_clip.visual.image_size
    size = side if isinstance(side, int) else side[0]
    model = ClipResNet(
        small_clip, ModelIdentity("demo", None, False, ""), PreprocessCfg(size), "cpu"
    )
    pixels = torch.randn(2, 3, size, size)
    before = model.decompose(pixels)
    neuron, head = 11, 3
    weight = small_clip.visual.attnpool.v_proj.weight
    rows = slice(head * model.factors.d_head, (head + 1) * model.factors.d_head)
    kept = weight[rows, neuron].clone()
    expected = before.coefficients[:, head, neuron, None] * write_vector(
        model.factors, neuron=neuron, head=head
    )
    try:
        weight.data[rows, neuron] = 0
        with torch.inference_mode():
            after = small_clip.encode_image(pixels)
    finally:
        weight.data[rows, neuron] = kept
    torch.testing.assert_close(before.embedding - after, expected, rtol=1e-3, atol=1e-5)
