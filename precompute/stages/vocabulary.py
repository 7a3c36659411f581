"""The words that directions are explained in, and their embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from backend.clip import ClipResNet
from backend.clip.text import normalise_text
from precompute.errors import InputError

WORDS_AT_ONCE = 32
"""Words per call of the text tower: 2,560 prompts with 80 templates."""

FEWEST_WORDS = 2
LONGEST_WORD = 100


def read_vocabulary(path: Path) -> list[str]:
    """Words or phrases of a text file, one a line, in its order.

    Raises:
        InputError: the file is missing, no UTF-8 text, or has an empty, over-long or repeated line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"vocabulary {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"vocabulary {path} is no UTF-8 text") from error
    words = [normalise_text(line) for line in lines]
    seen: dict[str, int] = {}
    for number, word in enumerate(words, start=1):
        if not word:
            raise InputError(f"vocabulary {path}: line {number} is empty")
        if len(word) > LONGEST_WORD:
            raise InputError(
                f"vocabulary {path}: line {number} is longer than {LONGEST_WORD} characters"
            )
        if word.casefold() in seen:
            raise InputError(
                f"vocabulary {path}: line {number} repeats line {seen[word.casefold()]} ({word})"
            )
        seen[word.casefold()] = number
    if len(words) < FEWEST_WORDS:
        raise InputError(
            f"vocabulary {path} has {len(words)} words; at least {FEWEST_WORDS} are needed"
        )
    return words


def embed_vocabulary(
    model: ClipResNet,
    words: Sequence[str],
    templates: Sequence[str],
    advance: Callable[[int], None],
) -> Float[Tensor, "word d_out"]:
    """Unit embeddings of all words, not centred; ``advance`` is told how many words are done."""
    parts = []
    for start in range(0, len(words), WORDS_AT_ONCE):
        part = words[start : start + WORDS_AT_ONCE]
        parts.append(model.embed_texts(part, templates).cpu())
        advance(len(part))
    return torch.cat(parts)
