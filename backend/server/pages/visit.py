"""How a page was asked for, whatever page it is: in full or as an embed, and from which version.

Every page that can be shared takes these parameters beside its own:

    embed=1            bare and frameable, for an iframe on another site
    show=words,top     of an embed, these parts alone (the page's ``parts``)
    theme=dark         of an embed, light or dark whatever the reader's system has
    version=0123abcd   the data version that the link was made on
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from backend.server.errors import invalid
from backend.server.pages.base import Page
from backend.server.pages.error import ErrorPage

THEMES = ("light", "dark")

_VERSION = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What a request asks of a page's frame; templates see it as ``visit``."""

    embed: bool = False
    """Bare: no masthead, no forms, nothing that changes anything; links leave the frame."""
    parts: frozenset[str] | None = None
    """Parts that are shown; ``None`` for all of them."""
    theme: str | None = None
    """``light`` or ``dark``; ``None`` for the reader's own."""
    made_on: str | None = None
    """The data version that the link was made on, where that is not the present one."""

    def shows(self, part: str) -> bool:
        """Whether a part of the page is shown."""
        return self.parts is None or part in self.parts


def visit_of(query: Mapping[str, str], page: Page) -> Visit:
    """Read the parameters for ``page``.

    Raises 422 for a part or a theme that there is not; a page of an error takes anything.
    """
    embed = query.get("embed") in {"1", "true"} and _can_be_embedded(page)
    if not embed:
        return Visit(made_on=_other_version(query.get("version"), page))
    refusing = not isinstance(page, ErrorPage)
    return Visit(
        embed=True,
        parts=_parts(query.get("show", ""), page) if refusing else None,
        theme=_theme(query.get("theme", "")) if refusing else None,
        made_on=_other_version(query.get("version"), page),
    )


def _can_be_embedded(page: Page) -> bool:
    return page.view_url is not None or page.share is not None or isinstance(page, ErrorPage)


def _parts(show: str, page: Page) -> frozenset[str] | None:
    wanted = frozenset(name for name in show.split(",") if name)
    if not wanted <= set(page.parts):
        has = f"has {', '.join(page.parts)}" if page.parts else "cannot be shown in parts"
        raise invalid("show", f"show names a part that is not there; this page {has}.")
    return wanted or None


def _theme(theme: str) -> str | None:
    if theme and theme not in THEMES:
        raise invalid("theme", f"theme must be {' or '.join(THEMES)}.")
    return theme or None


def _other_version(version: str | None, page: Page) -> str | None:
    """The version of the link, where it is one and the page's data are of another."""
    if version is None or page.model is None or not _VERSION.fullmatch(version):
        return None
    return None if page.model.data_version.startswith(version) else version
