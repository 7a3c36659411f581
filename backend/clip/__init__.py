"""The only package that knows open_clip: models, texts and images in, tensors out."""

from backend.clip.errors import ModelError
from backend.clip.models import (
    DEMO,
    ClipResNet,
    Decomposition,
    ModelIdentity,
    architectures,
    load_model,
)

__all__ = [
    "DEMO",
    "ClipResNet",
    "Decomposition",
    "ModelError",
    "ModelIdentity",
    "architectures",
    "load_model",
]
