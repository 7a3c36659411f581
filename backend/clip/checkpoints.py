"""Weights from a local file or a pretrained tag: one state dict in float32, and what it tells."""

from __future__ import annotations

import hashlib
import logging
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from open_clip import pretrained as registry
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from backend.clip.errors import ModelError

OPENAI_EXTRAS = ("input_resolution", "context_length", "vocab_size")
"""Scalars that OpenAI's archives carry beside the weights; open_clip's own checkpoints do not."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights by open_clip's parameter names, and whether they come from an OpenAI archive."""

    weights: dict[str, Tensor]
    from_openai: bool


def read_checkpoint(path: Path) -> Checkpoint:
    """Reads safetensors, a state dict saved by torch, or an OpenAI (TorchScript) archive.

    No pickled code is run: torch files are read with ``weights_only=True``.

    Raises:
        ModelError: the file is missing, unreadable or holds no weights.
    """
    if not path.is_file():
        raise ModelError(f"checkpoint {path} does not exist")
    try:
        if path.suffix == ".safetensors":
            return _from_mapping(load_file(path), path)
        if _is_torchscript(path):
            return Checkpoint(_clean(_read_archive(path)), from_openai=True)
        return _from_mapping(torch.load(path, map_location="cpu", weights_only=True), path)
    except ModelError:
        raise
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        KeyError,
        pickle.UnpicklingError,
        SafetensorError,
        zipfile.BadZipFile,
    ) as error:
        raise ModelError(
            f"checkpoint {path} cannot be read: it is no safetensors file, "
            "state dict or OpenAI archive"
        ) from error


def download_tag(architecture: str, tag: str) -> Path:
    """Path of the weights of a pretrained tag, downloaded by open_clip unless already cached.

    Raises:
        ModelError: the architecture has no such tag, or the download failed.
    """
    known = registry.list_pretrained_tags_by_model(architecture)
    settings = registry.get_pretrained_cfg(architecture, tag)
    if not settings:
        choices = ", ".join(known) if known else "none"
        raise ModelError(f"{architecture} has no pretrained tag {tag!r}; it has: {choices}")
    # The hub's client logs each of its retries; the one sentence below says all there is to say.
    logging.getLogger("huggingface_hub").setLevel(logging.CRITICAL)
    try:
        return Path(registry.download_pretrained(settings))
    except Exception as error:  # open_clip lets any error of two HTTP libraries through
        raise ModelError(
            f"the weights {architecture} {tag!r} could not be downloaded; "
            "give a local file with --checkpoint"
        ) from error


def tag_needs_quickgelu(architecture: str, tag: str) -> bool:
    """Whether the tag's text tower was trained with QuickGELU; False for an unknown tag."""
    return bool(registry.get_pretrained_cfg(architecture, tag).get("quick_gelu", False))


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """sha256 over names, shapes and float32 values in the order of names.

    The same weights have the same fingerprint whatever file format, order or precision-preserving
    storage (a half-precision file and its float32 copy) they came in.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        values = weights[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name}:{tuple(values.shape)};".encode())
        digest.update(values.numpy().reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _read_archive(path: Path) -> dict[str, Tensor]:
    """State dict of a TorchScript archive; none of its code is called."""
    with warnings.catch_warnings():
        # torch deprecates the format, in which OpenAI's weights nevertheless are.
        warnings.simplefilter("ignore", FutureWarning)
        archive = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    weights: dict[str, Tensor] = archive.state_dict()
    return weights


def _from_mapping(loaded: object, path: Path) -> Checkpoint:
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping):
        raise ModelError(f"checkpoint {path} holds no state dict")
    weights = {str(name): value for name, value in loaded.items() if isinstance(value, Tensor)}
    if not weights:
        raise ModelError(f"checkpoint {path} holds no weights")
    from_openai = any(extra in loaded for extra in OPENAI_EXTRAS)
    return Checkpoint(_clean(weights), from_openai)


def _clean(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Drops what is no weight and the prefix that distributed training adds; upcasts to float32."""
    names = [name for name in weights if name not in OPENAI_EXTRAS]
    prefix = "module." if names and all(name.startswith("module.") for name in names) else ""
    return {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name in names
        for value in (weights[name],)
    }


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())
