"""What every page has, whatever it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from backend.server import schemas
from backend.server.pages.tiles import Tile


@dataclass(frozen=True, kw_only=True)
class Page:
    """What every page has."""

    template: ClassVar[str]
    compiles: ClassVar[bool] = False
    """Whether its scripts make code at run time, which the policy of other pages forbids."""
    parts: ClassVar[tuple[str, ...]] = ()
    """Sections that an embed can show by themselves, in their order on the page."""

    title: str
    """Heading of the window and of link previews, without the application's name."""
    description: str
    """One sentence for search engines and link previews."""
    json_url: str | None = None
    """The page's JSON twin."""
    tiles: tuple[Tile, ...] = ()
    """Pictures that the page's link preview is made of."""
    view_url: str | None = None
    """The page's own address, which "share" shares; ``None`` where there is nothing to share."""
    model: schemas.ModelSummary | None = None
    """The model that the page is about; its name, search box and lab stand in the header."""
    share: schemas.Share | None = None
    """Set when the page is shown through a share link."""
    query: str = ""
    """What the search box holds."""

    @property
    def private(self) -> bool:
        """Whether the page shows something that only those with its address may see."""
        return self.share is not None


def listed(words: list[str]) -> str:
    """``a, b and 2 more``."""
    if len(words) <= 3:
        return ", ".join(words)
    return f"{', '.join(words[:2])} and {len(words) - 2} more"
