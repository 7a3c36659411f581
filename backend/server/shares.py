"""Links that outlive a visit: a view of this server, or a segmentation, under an unguessable id."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from backend.server import schemas
from backend.server.errors import ApiError, invalid, not_found
from backend.server.queries import Catalog
from backend.server.segmentations import Segmentations
from backend.server.settings import Settings
from backend.server.text import clean_writing
from backend.server.urls import Urls

ID_BYTES = 16
"""128 random bits in every id: nobody guesses one."""

TOKEN_BYTES = 24
"""192 random bits in every delete token; only its hash is kept."""

LOCK_SECONDS = 5.0
"""A writer waits this long for another process's write, which takes milliseconds."""

_ID = re.compile(r"[A-Za-z0-9_-]{22}")

ModelOf = Callable[[str], str | None]
"""Checks the address of a view, and tells which store it shows; ``None`` for all of them."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
    id TEXT PRIMARY KEY,
    token_hash BLOB NOT NULL,
    segmentation TEXT,
    view TEXT,
    model TEXT,
    title TEXT NOT NULL,
    note TEXT NOT NULL,
    data_version TEXT NOT NULL,
    created TEXT NOT NULL,
    CHECK ((segmentation IS NULL) <> (view IS NULL))
) STRICT;
CREATE INDEX IF NOT EXISTS shares_segmentation ON shares (segmentation);
"""


@dataclass(frozen=True)
class StoredShare:
    """One row.  ``view`` is without the server's prefix; ``model`` the store it shows, if any."""

    id: str
    token_hash: bytes
    segmentation: str | None
    view: str | None
    model: str | None
    title: str
    note: str
    data_version: str
    created: str


class ShareDatabase:
    """The table of shares; safe from several threads and processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        """Make the file and its table if they are missing."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_SCHEMA)

    def insert(self, share: StoredShare) -> None:
        """Add a row, durably."""
        with self._connection() as connection:
            connection.execute(
                "INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                astuple(share),
            )

    def find(self, share: str) -> StoredShare | None:
        """The row of an id."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM shares WHERE id = ?", (share,)).fetchone()
        return None if row is None else StoredShare(*row)

    def delete(self, share: str) -> None:
        """Remove a row; nothing happens if it is gone."""
        with self._connection() as connection:
            connection.execute("DELETE FROM shares WHERE id = ?", (share,))

    def keeps(self, segmentation: str) -> bool:
        """Whether any share shows this segmentation."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM shares WHERE segmentation = ? LIMIT 1", (segmentation,)
            ).fetchone()
        return row is not None

    def count(self) -> int:
        """How many shares there are."""
        with self._connection() as connection:
            return int(connection.execute("SELECT count(*) FROM shares").fetchone()[0])

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        # One connection per use: opening takes 0.1 ms, and SQLite's must not cross threads.
        connection = sqlite3.connect(self._path, timeout=LOCK_SECONDS)
        try:
            with connection:
                yield connection
        finally:
            connection.close()


class Shares:
    """Makes, shows and deletes shares."""

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        catalog: Catalog,
        database: ShareDatabase,
        segmentations: Segmentations,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._catalog = catalog
        self._database = database
        self._segmentations = segmentations

    def open(self) -> None:
        """Open the database."""
        self._database.open()

    def check(self) -> None:
        """Raise :class:`sqlite3.Error` when the database does not answer."""
        self._database.count()

    def create(self, request: schemas.ShareRequest, model_of: ModelOf) -> schemas.ShareCreated:
        """Publish a view or a segmentation.

        Raises 404 for a segmentation, model or pair that does not exist, 422 for a view that is
        not a page of this server, 507 when the server keeps as many shares as it may.
        """
        if (request.segmentation is None) == (request.view is None):
            raise invalid("share", 'Give exactly one of "segmentation" and "view".')
        if self._database.count() >= self._settings.max_shares:
            raise ApiError(507, "storage_full", "The server has no room for another share.")
        segmentation, view, model, version = self._subject(request, model_of)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        stored = StoredShare(
            id=secrets.token_urlsafe(ID_BYTES),
            token_hash=_hash(token),
            segmentation=segmentation,
            view=view,
            model=model,
            title=clean_writing(request.title),
            note=clean_writing(request.note),
            data_version=version,
            created=datetime.now(UTC).isoformat(),
        )
        self._database.insert(stored)
        return schemas.ShareCreated(
            id=stored.id, url=self._urls.share(stored.id), delete_token=token
        )

    def get(self, share: str) -> schemas.Share:
        """A share, for anybody who has its id; 404 when there is none."""
        stored = self._find(share)
        segmentation = None
        if stored.segmentation is not None:
            segmentation = self._segmentations.get(stored.segmentation)
        return schemas.Share(
            id=stored.id,
            url=self._urls.share(stored.id),
            title=stored.title,
            note=stored.note,
            view=None if stored.view is None else self._urls.prefix + stored.view,
            segmentation=segmentation,
            data_version=stored.data_version,
            stale=self._catalog.data_version(stored.model) != stored.data_version,
            created=datetime.fromisoformat(stored.created),
        )

    def delete(self, share: str, token: str | None) -> None:
        """Delete a share and, unless another share shows it, its segmentation with the picture.

        Raises 404 for no such share, 401 without a token, 403 with a wrong one.
        """
        stored = self._find(share)
        if not token:
            raise ApiError(
                401,
                "token_missing",
                "Give the share's delete token, as Authorization: Bearer …",
                {"WWW-Authenticate": "Bearer"},
            )
        if not hmac.compare_digest(_hash(token), stored.token_hash):
            raise ApiError(403, "wrong_token", "This is not the share's delete token.")
        self._database.delete(share)
        if stored.segmentation is not None and not self._database.keeps(stored.segmentation):
            self._segmentations.delete(stored.segmentation)

    def _subject(
        self, request: schemas.ShareRequest, model_of: ModelOf
    ) -> tuple[str | None, str | None, str | None, str]:
        """What is shared: segmentation or view, the model it is of, and that model's version."""
        view = None if request.view is None else own_view(request.view, self._urls.prefix)
        segmentation = request.segmentation or _lab_result(view)
        if segmentation is None:
            model = model_of(view or "/")
            return None, view or "/", model, self._catalog.data_version(model) or ""
        found = self._segmentations.get(segmentation)
        return found.id, None, found.model, found.data_version

    def _find(self, share: str) -> StoredShare:
        stored = self._database.find(share) if _ID.fullmatch(share) else None
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


def _lab_result(view: str | None) -> str | None:
    """The segmentation that a lab page shows: sharing the page must keep it, too."""
    parts = urlsplit(view or "")
    if not parts.path.endswith("/lab"):
        return None
    return next(iter(parse_qs(parts.query).get("segmentation", [])), None)


def _hash(token: str) -> bytes:
    # The token has 192 random bits, so a plain hash needs no salt and no stretching.
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
