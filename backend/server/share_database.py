"""The table of shares."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

LOCK_SECONDS = 5.0
"""A writer waits this long for another process's write, which takes milliseconds."""

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
    id TEXT PRIMARY KEY,
    token_hash TEXT NOT NULL,
    view TEXT,
    model TEXT,
    image TEXT,
    segmentation TEXT,
    attribution TEXT,
    ablation TEXT,
    title TEXT NOT NULL,
    note TEXT NOT NULL,
    data_version TEXT NOT NULL,
    created TEXT NOT NULL,
    CHECK (view IS NOT NULL OR image IS NOT NULL)
) STRICT;
CREATE INDEX IF NOT EXISTS shares_image ON shares (image);
"""

_FROM_VERSION_0 = """
ALTER TABLE shares RENAME TO shares_0;
DROP INDEX IF EXISTS shares_segmentation;
"""

_COPY_VERSION_0 = """
INSERT INTO shares (id, token_hash, view, model, title, note, data_version, created)
    SELECT id, lower(hex(token_hash)), view, model, title, note, data_version, created
    FROM shares_0 WHERE view IS NOT NULL;
DROP TABLE shares_0;
"""
"""Pictures were kept with each segmentation then, and are not kept any more."""


@dataclass(frozen=True)
class StoredShare:
    """One row.  ``view`` is without the server's prefix; ``model`` the store it shows, if any;
    ``image`` the picture that it keeps, and with it the results that it shows."""

    id: str
    token_hash: str
    view: str | None
    model: str | None
    image: str | None
    segmentation: str | None
    attribution: str | None
    ablation: str | None
    title: str
    note: str
    data_version: str
    created: str


_PLACES = ", ".join("?" for _ in fields(StoredShare))


class ShareDatabase:
    """The table of shares; safe from several threads and processes at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self) -> None:
        """Make the file and its table if they are missing, or as they were before."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'shares'"
            old = version == 0 and connection.execute(tables).fetchone()[0] > 0
            script = f"{_FROM_VERSION_0}{_SCHEMA}{_COPY_VERSION_0}" if old else _SCHEMA
            connection.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )

    def insert(self, share: StoredShare) -> None:
        """Add a row, durably."""
        with self._connection() as connection:
            connection.execute(f"INSERT INTO shares VALUES ({_PLACES})", astuple(share))  # noqa: S608

    def find(self, share: str) -> StoredShare | None:
        """The row of an id."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM shares WHERE id = ?", (share,)).fetchone()
        return None if row is None else StoredShare(*row)

    def all(self) -> list[StoredShare]:
        """Every row, the newest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM shares ORDER BY created DESC").fetchall()
        return [StoredShare(*row) for row in rows]

    def delete(self, share: str) -> None:
        """Remove a row; nothing happens if it is gone."""
        with self._connection() as connection:
            connection.execute("DELETE FROM shares WHERE id = ?", (share,))

    def keeps(self, image: str) -> bool:
        """Whether any share shows this picture."""
        with self._connection() as connection:
            row = connection.execute(
                "SELECT 1 FROM shares WHERE image = ? LIMIT 1", (image,)
            ).fetchone()
        return row is not None

    def delete_of(self, image: str) -> None:
        """Remove all shares that show a picture."""
        with self._connection() as connection:
            connection.execute("DELETE FROM shares WHERE image = ?", (image,))

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
