"""Numbers and words as people read them; filters of the templates."""

from __future__ import annotations

import math
from collections.abc import Sequence

from backend.server import schemas

MINUS = "\N{MINUS SIGN}"


def number(value: float | None) -> str:
    """Three significant digits with a true minus sign, so that columns align; a dash for unknown.

    >>> number(0.012345), number(1234567), number(2.0)
    ('0.0123', '1,230,000', '2.00')
    """
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    if value == 0:
        return "0"
    places = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    if abs(rounded) < 1e-4:
        mantissa, exponent = f"{rounded:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", MINUS)
    # Rounding up to the next power of ten (9.999 to 10.0) leaves one digit less to show.
    places = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(places, 0)}f}".replace("-", MINUS)


def short(value: float) -> str:
    """Like :func:`number` without closing zeros, for the round numbers of an axis.

    >>> short(0.5), short(100.0), short(1.0)
    ('0.5', '100', '1')
    """
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def signed(value: float | None) -> str:
    """Like :func:`number`, with a plus sign before positive numbers."""
    text = number(value)
    return f"+{text}" if value is not None and value > 0 and math.isfinite(value) else text


def limit(size: int) -> str:
    """A bound in bytes as whoever sets it writes it, in units of 2**20.

    >>> limit(20 << 20)
    '20\u202fMB'
    """
    return f"{size / 2**20:.3g}\N{NARROW NO-BREAK SPACE}MB"


def percent(share: float) -> str:
    """A share in [0, 1] as percent with a unit; never rounded to 0 or 100 unless it is.

    >>> percent(0.1234), percent(1.0), percent(0.0004)
    ('12.3\\u202f%', '100\\u202f%', '< 0.1\\u202f%')
    """
    scaled = 100.0 * share
    if 0 < scaled < 0.1:
        text = "< 0.1"
    elif 99.9 < scaled < 100:
        text = "> 99.9"
    else:
        text = f"{scaled:.1f}".removesuffix(".0")
    return text + "\N{NARROW NO-BREAK SPACE}%"


def percentile(value: float) -> str:
    """A percentile in [0, 100] without rounding it to the ends.

    >>> percentile(98.76), percentile(99.97), percentile(100)
    ('98.8', '> 99.9', '100')
    """
    if 99.9 < value < 100:
        return "> 99.9"
    return f"{value:.1f}".removesuffix(".0")


def count(value: int) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,}"


def size(value: int) -> str:
    """Bytes with a unit.

    >>> size(512), size(25165912)
    ('512\\u202fB', '25.2\\u202fMB')
    """
    scaled, unit = float(value), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if scaled < 1000:
            break
        scaled, unit = scaled / 1000, larger
    return f"{scaled:.3g}\N{NARROW NO-BREAK SPACE}{unit}"


def first_words(words: Sequence[schemas.Word], wanted: int = 3) -> str:
    """The first words as a title; words that the direction points away from get a minus.

    >>> first_words([schemas.Word(word="cat", weight=1), schemas.Word(word="wings", weight=0.5)])
    'cat · wings'
    """
    shown = [(MINUS if word.weight < 0 else "") + word.word for word in words[:wanted]]
    return " · ".join(shown)
