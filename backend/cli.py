"""Commands that need no offline job."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.torch import save_file

from backend.clip import ClipResNet, architectures, load_model
from backend.server.commands import serve
from backend.server.operator_commands import shares_app, uploads_app

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(serve)
app.add_typer(shares_app, name="shares")
app.add_typer(uploads_app, name="uploads")

IMAGES_AT_ONCE = 8

Model = Annotated[str, typer.Option("--model", help=f"One of: {', '.join(architectures())}.")]
Pretrained = Annotated[
    str | None, typer.Option("--pretrained", help="open_clip's tag, for example openai.")
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", help="Local weights: a state dict, safetensors or OpenAI's archive."
    ),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]


class CommandError(ValueError):
    """What was asked for cannot be done; the message is one sentence that says why."""


@app.command()
def decompose(
    images: Annotated[list[Path], typer.Argument(help="Pictures to take apart.")],
    model: Model,
    out: Annotated[Path, typer.Option("--out", help="safetensors file to write.")],
    pretrained: Pretrained = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
) -> None:
    """Write the exact pair decomposition of pictures to a safetensors file.

    Pictures are read as open_clip's own preprocessing reads them, so that embeddings are the same:
    neither turned upright nor laid over white.

    Keys, float32: embedding [image, d_out], coefficients [image, head, neuron], attention
    [image, head, token], value [head, d_head, neuron], output [head, d_out, d_head], constant
    [d_out].  The sum of coefficient * (output @ value) over all pairs, plus constant, is the
    un-normalised embedding.
    """
    if not out.parent.is_dir():
        raise CommandError(f"the folder of {out} does not exist")
    pictures = [_open_picture(path) for path in images]
    clip = load_model(model, pretrained, checkpoint=checkpoint, device=device)
    arrays = _decompose(clip, pictures)
    try:
        save_file(arrays, out)
    except (OSError, SafetensorError) as error:
        raise CommandError(f"{out} cannot be written: {error}") from error
    typer.echo(f"{out}: {len(images)} images, {clip.factors.n_pairs:,} pairs")


def _decompose(model: ClipResNet, pictures: list[Image.Image]) -> dict[str, torch.Tensor]:
    parts = []
    for start in range(0, len(pictures), IMAGES_AT_ONCE):
        pixels = [model.preprocess(picture) for picture in pictures[start : start + IMAGES_AT_ONCE]]
        parts.append(model.decompose(torch.stack(pixels)))
    arrays = {
        "embedding": torch.cat([part.embedding for part in parts]),
        "coefficients": torch.cat([part.coefficients for part in parts]),
        "attention": torch.cat([part.attention for part in parts]),
        "value": model.factors.value,
        "output": model.factors.output,
        "constant": model.factors.constant,
    }
    return {name: array.cpu().contiguous() for name, array in arrays.items()}


def _open_picture(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                picture.load()
                return picture.copy()
    except FileNotFoundError:
        raise CommandError(f"image {path} does not exist") from None
    except UnidentifiedImageError:
        raise CommandError(f"{path} is not an image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise CommandError(f"{path} has too many pixels") from None
    except (OSError, ValueError, SyntaxError):
        raise CommandError(f"image {path} cannot be read") from None
