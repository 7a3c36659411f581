"""The words that a model without a list of its own is explained in."""

from __future__ import annotations

from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from precompute.stages.vocabulary import (
    COMMON_WORDS,
    COMMON_WORDS_SOURCE,
    CONTENT_WORDS,
    LONGEST_WORD,
    MORE_FUNCTION_WORDS,
    common_words,
    function_words,
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
