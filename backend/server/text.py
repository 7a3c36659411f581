"""Short texts from strangers: queries and prompts."""

from __future__ import annotations

import unicodedata

from backend.server.errors import invalid

CONTROL = {"Cc", "Cs"}
"""Unicode categories that are not writing: control characters and lone surrogates."""


def check_text(what: str, name: str, text: str, longest: int) -> str:
    """``text`` with white space folded; 422 when it is blank, too long or not writing.

    ``what`` goes into the error's code, ``name`` begins its sentence.
    """
    if len(text) > longest:
        raise invalid(what, f"{name} may have at most {longest} characters, not {len(text)}.")
    folded = " ".join(text.split())
    if not folded:
        raise invalid(what, f"{name} must not be blank.")
    if any(unicodedata.category(character) in CONTROL for character in folded):
        raise invalid(what, f"{name} must not contain control characters.")
    return folded


def clean_writing(text: str) -> str:
    """A title or note as it is kept: line ends unified, other control characters dropped."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip()
    return "".join(c for c in lines if c in "\n\t" or (c >= " " and c != "\x7f"))
