"""The words that directions are explained in, and their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from backend.clip import ClipResNet
from backend.clip.text import normalise_text
from precompute.errors import InputError

COMMON_WORDS = 30_000
"""Words of the paper's dictionary."""

COMMON_WORDS_SOURCE = (
    "wordfreq (https://github.com/rspeer/wordfreq), list of English words by frequency; data under "
    "CC BY-SA 4.0 (https://creativecommons.org/licenses/by-sa/4.0/), with data from Google Books "
    "Ngrams (http://books.google.com/ngrams), Wikipedia, OPUS OpenSubtitles, SUBTLEX (Marc "
    "Brysbaert et al.), the Leeds Internet Corpus and ParaCrawl"
)
"""What wordfreq's documentation asks to be said with its data."""

SHORTEST_WORD = 3

CONTENT_WORDS = frozenset({
    "bill", "bottom", "cry", "detail", "empty", "fill", "fire", "front", "full", "mill", "mine",
    "move", "show", "side", "system", "thick", "thin", "top",
})  # fmt: skip
"""On scikit-learn's list of function words, but they name what can be in a picture."""

MORE_FUNCTION_WORDS = frozenset({
    "aint", "arent", "cmon", "couldve", "didnt", "does", "did", "doesnt", "doing", "dont", "gonna",
    "gotta", "havent", "having", "heres", "hes", "isnt", "ive", "ought", "shall", "shes",
    "shouldnt", "shouldve", "thats", "theres", "theyre", "theyve", "wanna", "wasnt", "werent",
    "whats", "whos", "wont", "wouldnt", "wouldve", "yall", "youd", "youll", "youre", "youve",
})  # fmt: skip
"""Not on it: forms of auxiliaries whose other forms are, and contractions of words on it that are
common without their apostrophe."""

FEWEST_WORDS = 2
LONGEST_WORD = 100


def function_words() -> frozenset[str]:
    """Words that say how others hang together, and nothing that an image could show.

    scikit-learn's ``ENGLISH_STOP_WORDS`` less CONTENT_WORDS, and MORE_FUNCTION_WORDS.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS  # late: takes a second

    return (frozenset(ENGLISH_STOP_WORDS) - CONTENT_WORDS) | MORE_FUNCTION_WORDS


def common_words(count: int = COMMON_WORDS) -> list[str]:
    """The most common English words, most common first.

    Letters only, at least SHORTEST_WORD of them, no function words, none twice in whatever case.
    """
    from wordfreq import iter_wordlist  # late: only jobs without a list of their own need it

    dropped = function_words()
    found: dict[str, None] = {}
    for word in iter_wordlist("en"):
        folded = word.casefold()
        if len(word) >= SHORTEST_WORD and word.isalpha() and folded not in dropped:
            found.setdefault(folded)
            if len(found) == count:
                break
    return list(found)


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


def vocabulary_arrays(
    model: ClipResNet, words: Sequence[str], templates: Sequence[str]
) -> dict[str, np.ndarray]:
    """What the store keeps of words: unit embeddings, not centred, and how well they are known."""
    read = model.read_texts(words, templates)
    return {
        "embeddings": read.embeddings.cpu().numpy(),
        "agreement": read.agreement.cpu().numpy(),
        "trained": read.trained.to(torch.uint8).numpy(),
    }
