"""Loading: every file format, every way to be wrong, and QuickGELU by what is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from open_clip import CLIP, create_model
from safetensors.torch import save_file
from torch import nn

from backend.clip import ModelError, architectures, load_model
from backend.clip.checkpoints import tag_needs_quickgelu


def test_real_architectures_and_the_demo_are_offered() -> None:
    names = ["RN50", "RN101", "RN50x4", "RN50x16", "RN50x64"]
    assert set(architectures()) == {"demo", *names, *(f"{name}-quickgelu" for name in names)}


class Archive(nn.Module):
    """Stands for OpenAI's TorchScript archives: the weights and three scalars beside them."""

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        for name, child in clip.named_children():
            self.add_module(name, child)
        for name, parameter in clip.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name in ("input_resolution", "context_length", "vocab_size"):
            self.register_buffer(name, torch.tensor(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.visual.conv1(image)


def save_as(kind: str, clip: CLIP, path: Path) -> Path:
    weights = clip.state_dict()
    match kind:
        case "state dict":
            torch.save(weights, path)
        case "training checkpoint":
            wrapped = {f"module.{name}": value for name, value in weights.items()}
            torch.save({"epoch": 3, "state_dict": wrapped}, path)
        case "safetensors":
            path = path.with_suffix(".safetensors")
            save_file({name: value.contiguous() for name, value in weights.items()}, path)
        case "archive":
            torch.jit.trace(Archive(clip).eval(), torch.zeros(1, 3, 64, 64)).save(path)
    return path


@pytest.mark.parametrize("kind", ["state dict", "training checkpoint", "safetensors", "archive"])
def test_every_format_gives_the_same_model(kind: str, small_clip: CLIP, tmp_path: Path) -> None:
    reference = load_model("demo", checkpoint=save_as("state dict", small_clip, tmp_path / "a.pt"))
    model = load_model("demo", checkpoint=save_as(kind, small_clip, tmp_path / "weights.pt"))
    assert model.identity.weights_sha256 == reference.identity.weights_sha256
    pixels = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(model.encode_images(pixels), reference.encode_images(pixels))


def test_half_precision_weights_become_float32(small_clip: CLIP, tmp_path: Path) -> None:
    half = {n: v.half() if v.is_floating_point() else v for n, v in small_clip.state_dict().items()}
    torch.save(half, tmp_path / "half.pt")
    model = load_model("demo", checkpoint=tmp_path / "half.pt")
    assert model.factors.value.dtype == torch.float32


def test_other_weights_have_another_fingerprint(small_clip: CLIP, tmp_path: Path) -> None:
    weights = {name: value.clone() for name, value in small_clip.state_dict().items()}
    torch.save(weights, tmp_path / "a.pt")
    weights["logit_scale"] += 1e-4
    torch.save(weights, tmp_path / "b.pt")
    found = {
        load_model("demo", checkpoint=tmp_path / name).identity.weights_sha256
        for name in ("a.pt", "b.pt")
    }
    assert len(found) == 2


def test_quickgelu_follows_what_is_known_of_the_weights(tmp_path: Path) -> None:
    clip = create_model("RN50", load_weights=False)
    plain = save_as("state dict", clip, tmp_path / "plain.pt")
    assert not load_model("RN50", checkpoint=plain).identity.quickgelu
    assert load_model("RN50-quickgelu", checkpoint=plain).identity.quickgelu
    assert load_model("RN50", "openai", checkpoint=plain).identity.quickgelu
    archive = save_as("archive", clip, tmp_path / "archive.pt")
    assert load_model("RN50", checkpoint=archive).identity.quickgelu
    extras = {**clip.state_dict(), "input_resolution": torch.tensor(224)}
    torch.save(extras, tmp_path / "extras.pt")
    assert load_model("RN50", checkpoint=tmp_path / "extras.pt").identity.quickgelu


def test_text_embeddings_with_quickgelu_differ_and_equal_open_clips(tmp_path: Path) -> None:
    from open_clip import get_tokenizer

    clip = create_model("RN50-quickgelu", load_weights=False).eval()
    path = save_as("state dict", clip, tmp_path / "plain.pt")
    tokens = get_tokenizer("RN50-quickgelu")(["a photo of a cat"])
    with torch.inference_mode():
        expected = clip.encode_text(tokens, normalize=True)
    quick = load_model("RN50-quickgelu", checkpoint=path).embed_texts(["a photo of a cat"])
    plain = load_model("RN50", checkpoint=path).embed_texts(["a photo of a cat"])
    torch.testing.assert_close(quick, expected)
    assert (plain - expected).abs().max() > 1e-4


@pytest.mark.parametrize("tag", ["openai", "yfcc15m", "cc12m"])
def test_tags_of_rn50_are_known_to_need_quickgelu(tag: str) -> None:
    assert tag_needs_quickgelu("RN50", tag)


@pytest.mark.parametrize(
    ("name", "tag", "sentence"),
    [
        ("ViT-B-32", None, r"ViT-B-32 has no attention pool.*RN50x16"),
        ("RN50x17", None, r"unknown model 'RN50x17'; did you mean RN50x16"),
        ("RN50", None, r"RN50 needs weights.*openai"),
        ("RN50", "nope", r"RN50 has no pretrained tag 'nope'.*openai"),
    ],
)
def test_what_cannot_be_loaded_is_refused_by_name(
    name: str, tag: str | None, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        load_model(name, tag)


@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 torn archive"])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_unreadable_checkpoints_are_one_sentence(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model("demo", checkpoint=path)


def test_missing_and_foreign_checkpoints(tmp_path: Path, small_checkpoint: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_model("demo", checkpoint=tmp_path / "none.pt")
    with pytest.raises(ModelError, match="do not fit RN50: "):
        load_model("RN50", checkpoint=small_checkpoint)
    torch.save({"a": 1}, tmp_path / "empty.pt")
    with pytest.raises(ModelError, match="holds no weights"):
        load_model("demo", checkpoint=tmp_path / "empty.pt")


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Path("x")}, tmp_path / "code.pt")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model("demo", checkpoint=tmp_path / "code.pt")


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x"])
def test_devices_that_are_not_there(device: str) -> None:
    with pytest.raises(ModelError, match="device"):
        load_model("demo", device=device)
