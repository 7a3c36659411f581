"""Commands that need no offline job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from backend.clip import ClipResNet, architectures, load_model
from backend.server.commands import serve
from backend.server.errors import ApiError
from backend.server.operator_commands import shares_app, uploads_app
from backend.server.uploads import decode_image

app = typer.Typer(no_args_is_help=True, add_completion=False)
app.command()(serve)
app.add_typer(shares_app, name="shares")
app.add_typer(uploads_app, name="uploads")

IMAGES_AT_ONCE = 8

MAX_PIXELS = 200_000_000
"""Of one's own pictures: 600 MB decoded."""

MAX_ASPECT = 10_000.0

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


def open_upright(path: Path) -> Image.Image:
    """A picture as the server would take it: upright RGB, transparency over white.

    Raises:
        CommandError: it is not there or cannot be read.
    """
    try:
        return decode_image(path.read_bytes(), max_pixels=MAX_PIXELS, max_aspect=MAX_ASPECT)
    except FileNotFoundError:
        raise CommandError(f"image {path} does not exist") from None
    except OSError as error:
        raise CommandError(f"image {path} cannot be read: {error.strerror}") from error
    except ApiError as error:
        raise CommandError(f"{path}: {error.message}") from error


def check_folder(out: Path) -> None:
    """Raise a CommandError when a file cannot be made there."""
    if not out.parent.is_dir():
        raise CommandError(f"the folder of {out} does not exist")


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

    Pictures are taken upright, transparency over white, as by the other commands and the server.

    Keys, float32: embedding [image, d_out], coefficients [image, head, neuron], attention
    [image, head, token], value [head, d_head, neuron], output [head, d_out, d_head], constant
    [d_out].  The sum of coefficient * (output @ value) over all pairs, plus constant, is the
    un-normalised embedding.
    """
    check_folder(out)
    pictures = [open_upright(path) for path in images]
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
