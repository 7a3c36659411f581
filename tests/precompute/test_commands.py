"""What people type: one sentence on stderr and exit code 2 for everything they can mend."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from backend.clip import load_model


def pairscope(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "precompute.cli", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = []
    for number, mode in enumerate(("RGB", "L", "RGBA")):
        path = tmp_path / f"{number}.png"
        Image.effect_noise((90 + number, 64), 80).convert(mode).save(path)
        paths.append(path)
    return paths


def test_decompose_writes_what_sums_to_the_embedding(pictures: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    done = pairscope("decompose", *pictures, "--model", "demo", "--out", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = load_file(out)
    assert all(array.dtype == torch.float32 for array in found.values())
    model = load_model("demo", device="cpu")
    pixels = torch.stack([model.preprocess(Image.open(path)) for path in pictures])
    with torch.inference_mode():
        expected = model.model.encode_image(pixels)
    assert (found["embedding"] - expected).norm() <= 1e-5 * expected.norm()
    rebuilt = torch.einsum(
        "bhn,hdn,hod->bo", found["coefficients"], found["value"], found["output"]
    )
    rebuilt += found["constant"]
    assert (rebuilt - expected).norm() <= 1e-5 * expected.norm()
    assert found["attention"].shape == (3, *found["attention"].shape[1:])
    assert set(found) == {
        "embedding", "coefficients", "attention", "value", "output", "constant",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("decompose none.png --model demo --out x", "image none.png does not exist"),
        ("decompose text.png --model demo --out x", "text.png is not an image"),
        ("decompose torn.png --model demo --out x", "torn.png cannot be read"),
        ("decompose . --model demo --out x", "cannot be read"),
        ("decompose ok.png --model RN5 --out x", "unknown model 'RN5'"),
        ("decompose ok.png --model ViT-B-32 --out x", "no attention pool"),
        ("decompose ok.png --model RN50 --pretrained x --out x", "no pretrained tag"),
        ("decompose ok.png --model demo --checkpoint text.png --out x", "cannot be read"),
        ("decompose ok.png --model demo --out empty", "empty cannot be written"),
        ("decompose ok.png --model demo --out none/x", "folder of none/x does not exist"),
        ("precompute --model RN50 --out s", "RN50 needs --images"),
        ("precompute --model demo --images none --out s", "none is not a folder"),
        ("precompute --model demo --images empty --out s", "holds no images"),
        ("precompute --model demo --vocabulary none --out s", "cannot be read"),
        ("precompute --model demo --vocabulary gap.txt --out s", "line 2 is empty"),
        ("precompute --model demo --vocabulary twice.txt --out s", "line 3 repeats line 1"),
        ("precompute --model demo --vocabulary torn.png --out s", "no UTF-8 text"),
        ("precompute --model demo --atoms 9999 --out s", "--atoms must be between"),
        ("precompute --model demo --name api --out s", "reserved"),
        ("precompute --model demo --out ok.png", "not a folder"),
        ("precompute --model demo --templates many --out s", "imagenet, few, plain"),
        ("precompute --model demo --device tpu --out s", "unknown device"),
        ("serve nowhere", "no finished store"),
    ],
)
def test_bad_input_is_one_sentence(
    command: str, sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "ok.png")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "torn.png").write_bytes((tmp_path / "ok.png").read_bytes()[:60] + b"\xff")
    (tmp_path / "empty").mkdir()
    (tmp_path / "gap.txt").write_text("a\n\nb\n")
    (tmp_path / "twice.txt").write_text("cat\ndog\nCat \n")
    code, stderr = run_here(command.split(), tmp_path, capsys)
    assert code == 2
    assert sentence in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert "Traceback" not in stderr


def run_here(
    arguments: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and stderr of the command, in this process: starting torch takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["pairscope", *arguments])
        from precompute.cli import main

        with pytest.raises(SystemExit) as left:
            main()
    return int(left.value.code or 0), capsys.readouterr().err
