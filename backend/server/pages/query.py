"""The query string of a page's address."""

from __future__ import annotations

from urllib.parse import parse_qs

MAX_DIGITS = 18
"""Of a number: what fits in 64 bits is enough for any, and Python refuses to read thousands."""


class Query:
    """The query string of an address, read leniently: what cannot be used is left out."""

    def __init__(self, query: str) -> None:
        # Empty values hold the places of a list.
        self._values = parse_qs(query, keep_blank_values=True)

    def text(self, name: str, default: str = "") -> str:
        """The first value of a name."""
        return self._values.get(name, [default])[0]

    def number(self, name: str, default: int) -> int:
        """The first value of a name as a whole number."""
        text = self.text(name)
        usable = text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS
        return int(text) if usable else default

    def firsts(self) -> dict[str, str]:
        """The first value of every name."""
        return {name: values[0] for name, values in self._values.items()}

    def texts(self, name: str) -> list[str]:
        """All values of a name."""
        return self._values.get(name, [])

    def pairs(self) -> list[tuple[str, str]]:
        """Every name with each of its values."""
        return [(name, value) for name, values in self._values.items() for value in values]
