"""The words that a model without a list of its own is explained in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from backend.progress import rate_text
from precompute.errors import InputError
from precompute.stages.vocabulary import (
    COMMON_WORDS,
    COMMON_WORDS_SOURCE,
    CONTENT_WORDS,
    LONGEST_WORD,
    MORE_FUNCTION_WORDS,
    common_words,
    function_words,
    read_vocabulary,
)


def test_common_words_are_filtered() -> None:
    words = common_words()
    assert len(words) == len({word.casefold() for word in words}) == COMMON_WORDS
    assert all(word.isalpha() and 3 <= len(word) <= LONGEST_WORD for word in words)
    assert not set(words) & function_words()
    assert {"butterfly", "costume", "pizza", "fire", "café"} <= set(words)
    assert not {"the", "with", "dont", "doing", "an", "it's", "1990s"} & set(words)


def test_most_common_words_come_first() -> None:
    words = common_words(20_000)
    assert words == common_words()[:20_000]
    assert words.index("water") < words.index("butterfly") < words.index("semiconductor")


def test_changes_to_the_list_of_function_words_change_something() -> None:
    assert CONTENT_WORDS <= ENGLISH_STOP_WORDS
    assert not MORE_FUNCTION_WORDS & ENGLISH_STOP_WORDS


def test_the_lists_licence_is_told() -> None:
    for name in ("wordfreq", "CC BY-SA 4.0", "Google Books", "SUBTLEX", "OpenSubtitles"):
        assert name in COMMON_WORDS_SOURCE


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (b"cat\n\ndog\n", "line 2 is empty"),
        (b"cat\ndog\n Cat \n", "line 3 repeats line 1 (Cat)"),
        (b"cat\n" + b"x" * (LONGEST_WORD + 1), f"line 2 is longer than {LONGEST_WORD} characters"),
        (b"cat\n", "has 1 words; at least 2 are needed"),
        (b"", "has 0 words; at least 2 are needed"),
        (b"\xff\xfe", "is no UTF-8 text"),
    ],
)
def test_lists_that_nothing_can_be_explained_in(
    lines: bytes, sentence: str, tmp_path: Path
) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(lines)
    with pytest.raises(InputError, match=re.escape(sentence)):
        read_vocabulary(file)


@pytest.mark.parametrize(
    ("speed", "text"),
    [(None, ""), (0.7, "42.0/min"), (2.0, "2/s"), (1234.5, "1,234/s")],
)
def test_slow_stages_tell_their_rate_too(speed: float | None, text: str) -> None:
    assert rate_text(speed) == text
