"""Links that outlive a visit, under unguessable ids: a view of this server, or a visitor's picture
with what was made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from backend.server import schemas
from backend.server.deletion import delete_share
from backend.server.errors import ApiError, invalid, not_found
from backend.server.kept import KeptUploads, check_token, is_id, new_id, new_token, token_hash
from backend.server.queries import Catalog
from backend.server.settings import Settings
from backend.server.share_database import ShareDatabase, StoredShare
from backend.server.text import clean_writing
from backend.server.urls import Urls

SHOWN = ("image", "segmentation", "attribution", "ablation")
"""What of a picture a share may show, as the wire and the lab's addresses name it."""

PICTURE_PAGES = ("/lab", "/search/picture")
"""Ends of the addresses of pages whose parameters name uploads."""

ModelOf = Callable[[str], str | None]
"""Checks the address of a view, and tells which store it shows; ``None`` for all of them."""


@dataclass(frozen=True)
class _Subject:
    """What is shared: a view, or of the picture ``image`` what ``shown`` names by kind, or both."""

    view: str | None
    model: str | None
    version: str
    image: str | None
    shown: Mapping[str, str]


class _Made(Protocol):
    """A picture, or something made of one, as the wire has it."""

    @property
    def id(self) -> str: ...
    @property
    def image(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def data_version(self) -> str: ...


Find = Callable[[str], _Made]
"""Finds what is shared by its id, or raises 404."""


class Shares:
    """Makes, shows and deletes shares; ``shown`` has a function for each of ``SHOWN``."""

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        catalog: Catalog,
        database: ShareDatabase,
        kept: KeptUploads,
        shown: Mapping[str, Find],
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._catalog = catalog
        self._database = database
        self._kept = kept
        self._find_shown = shown

    def open(self) -> None:
        """Open the database."""
        self._database.open()

    def check(self) -> None:
        """Raise :class:`sqlite3.Error` when the database does not answer."""
        self._database.count()

    def create(self, request: schemas.ShareRequest, model_of: ModelOf) -> schemas.ShareCreated:
        """Publish a view, or a picture or a result of one.

        Raises 404 for a result, model or pair that does not exist, 422 for a view that is not a
        page of this server, 507 when the server keeps as many shares as it may.
        """
        given = [getattr(request, name) for name in ("view", *SHOWN)]
        if len(given) - given.count(None) != 1:
            names = ", ".join(SHOWN)
            raise invalid("share", f"Give exactly one of {names} and view.")
        if self._database.count() >= self._settings.max_shares:
            raise ApiError(507, "storage_full", "The server has no room for another share.")
        subject = self._subject(request, model_of)
        token = new_token()
        stored = StoredShare(
            id=new_id(),
            token_hash=token_hash(token),
            view=subject.view,
            model=subject.model,
            image=subject.image,
            segmentation=subject.shown.get("segmentation"),
            attribution=subject.shown.get("attribution"),
            ablation=subject.shown.get("ablation"),
            title=clean_writing(request.title),
            note=clean_writing(request.note),
            data_version=subject.version,
            created=datetime.now(UTC).isoformat(),
        )
        self._database.insert(stored)
        return schemas.ShareCreated(
            id=stored.id, url=self._urls.share(stored.id), delete_token=token
        )

    def get(self, share: str) -> schemas.Share:
        """A share, for anybody who has its id; 404 when there is none."""
        stored = self._find(share)
        shown: dict[str, Any] = {
            name: self._find_shown[name](ident)
            for name in SHOWN
            if (ident := getattr(stored, name)) is not None
        }
        return schemas.Share(
            id=stored.id,
            url=self._urls.share(stored.id),
            title=stored.title,
            note=stored.note,
            view=None if stored.view is None else self._urls.prefix + stored.view,
            **{name: shown.get(name) for name in SHOWN},
            data_version=stored.data_version,
            stale=self._catalog.data_version(stored.model) != stored.data_version,
            created=datetime.fromisoformat(stored.created),
        )

    def delete(self, share: str, token: str | None) -> None:
        """Delete a share and, unless another share shows it, its picture with all results.

        Raises 404 for no such share, 401 without a token, 403 with a wrong one.
        """
        stored = self._find(share)
        check_token(token, stored.token_hash, "share")
        delete_share(self._database, self._kept, stored)

    def _subject(self, request: schemas.ShareRequest, model_of: ModelOf) -> _Subject:
        view = None if request.view is None else own_view(request.view, self._urls.prefix)
        named = _named_in(view) if view is not None else _named(request)
        shown = {name: self._find_shown[name](ident) for name, ident in named.items()}
        if view is not None and not shown:
            model = model_of(view)
            version = self._catalog.data_version(model) or ""
            return _Subject(view, model, version, None, {})
        about = {(made.model, made.image) for made in shown.values()}
        if view is not None:
            about.add((model_of(view) or "", next(iter(shown.values())).image))
        if len(about) != 1:
            raise invalid("share", "A share shows one picture, and results of one model.")
        ((model, image),) = about
        version = next(iter(shown.values())).data_version
        return _Subject(view, model, version, image, named)

    def _find(self, share: str) -> StoredShare:
        stored = self._database.find(share) if is_id(share) else None
        if stored is None:
            raise not_found("share", "There is no such share; it may have been deleted.")
        return stored


def own_view(view: str, prefix: str) -> str:
    """The address of a page of this server, without its ``prefix``; 422 for any other address.

    Whether there is such a page is for :func:`~backend.server.pages.addresses.view_of` to say.
    """
    refused = invalid(
        "view",
        "A view is the root-relative address of a page of this server, like /demo/pairs/3/4.",
    )
    if not view.startswith("/") or view.startswith("//"):
        raise refused
    if not view.isascii() or "\\" in view or any(c <= " " or c == "\x7f" for c in view):
        raise refused
    try:
        parts = urlsplit(view)
    except ValueError:
        raise refused from None
    if parts.scheme or parts.netloc:
        raise refused
    inside = prefix and (parts.path == prefix or parts.path.startswith(prefix + "/"))
    return (view[len(prefix) :] if inside else view) or "/"


def _named(request: schemas.ShareRequest) -> dict[str, str]:
    """Ids of what a request asks to share, by kind."""
    return {name: ident for name in SHOWN if (ident := getattr(request, name)) is not None}


def _named_in(view: str) -> dict[str, str]:
    """The same of what a page about a picture shows: sharing the page must keep it, too."""
    parts = urlsplit(view)
    if not parts.path.endswith(PICTURE_PAGES):
        return {}
    query = parse_qs(parts.query)
    return {name: query[name][0] for name in SHOWN if name in query}
