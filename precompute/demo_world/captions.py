"""Captions: what a scene shows, in words; and the one place that knows English articles."""

from __future__ import annotations

from collections.abc import Sequence

from precompute.demo_world.atlas import Concept

OPENINGS = ("", "", "a picture of ", "a drawing of ", "a scene with ")
BACKGROUND_SHARE = 0.4  # of captions that say what the background is like
KEYWORD_SHARE = 0.08  # of objects called by a keyword
CATEGORY_SHARE = 0.06  # of objects called by a category

# Words without an article: they name a substance, a plural or a quality.
_WHOLE = frozenset({"food", "household", "nature", "clothing", "electronics", "kitchenware"})


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an", or as it is where it takes no article."""
    if phrase in _WHOLE or phrase.split()[-1] in _WHOLE:
        return phrase
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def name_object(concept: Concept, tint: str | None, *, choice: float, which: float) -> str:
    """A noun phrase for an object; `choice` and `which` in [0, 1) pick the word and its variant."""
    word, plural = concept.name, concept.plural
    if choice < KEYWORD_SHARE and concept.keywords:
        word, plural = concept.keywords[int(which * len(concept.keywords))], False
    elif KEYWORD_SHARE <= choice < KEYWORD_SHARE + CATEGORY_SHARE:
        word, plural = concept.categories[int(which * len(concept.categories))], False
    phrase = f"{tint} {word}" if tint else word
    return phrase if plural else with_article(phrase)


def write_caption(
    objects: Sequence[tuple[Concept, str | None]], colour: str, pattern: str, own: Sequence[float]
) -> str:
    """The caption of a scene; `own` are 16 uniform numbers in [0, 1)."""
    nouns = [
        name_object(concept, tint, choice=own[2 + 2 * place], which=own[3 + 2 * place])
        for place, (concept, tint) in enumerate(objects)
    ]
    listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} and {nouns[-1]}"
    caption = OPENINGS[int(own[0] * len(OPENINGS))] + listed
    if own[1] < BACKGROUND_SHARE:
        # "an orange dotted background", "a plain blue background"
        parts = f"plain {colour}" if pattern == "plain" else f"{colour} {pattern}"
        caption += f" on {with_article(parts + ' background')}"
    return caption
