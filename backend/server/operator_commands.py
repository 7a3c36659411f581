"""``pairscope shares`` and ``pairscope uploads``: what visitors left, for who runs the server.

They work on the data folder, beside a running server or without one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from backend.options import AsJson
from backend.server.commands import DEFAULT_DATA, fail
from backend.server.deletion import delete_picture, delete_share
from backend.server.kept import ImageRecord, KeptUploads
from backend.server.settings import MAX_STORED_BYTES, UPLOAD_LIFETIME
from backend.server.share_database import ShareDatabase, StoredShare
from backend.tables import show, size_text

shares_app = typer.Typer(no_args_is_help=True, help="List and delete links that visitors made.")
uploads_app = typer.Typer(no_args_is_help=True, help="List and delete pictures of visitors.")

Data = Annotated[Path, typer.Option("--data", help="Folder of uploads and shares.")]
Ids = Annotated[list[str], typer.Argument(help="Ids, as the list has them.")]


@dataclass(frozen=True)
class _Left:
    """What visitors left in a data folder."""

    database: ShareDatabase
    kept: KeptUploads


@shares_app.command("list")
def list_shares(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """All links, the newest first."""
    found = _open(data).database.all()
    if as_json:
        typer.echo(json.dumps([_told(share) for share in found], indent=2))
        return
    rows = [(s.id, s.created[:16], s.model or "", s.view or "a picture", s.title) for s in found]
    show(("id", "made (UTC)", "model", "shows", "title"), rows)


@shares_app.command("delete")
def delete_shares(ids: Ids, data: Data = DEFAULT_DATA) -> None:
    """Delete links, and the pictures that no other link keeps."""
    left = _open(data)
    found = [share for share in map(left.database.find, ids) if share is not None]
    for share in found:
        delete_share(left.database, left.kept, share)
    _say(len(found), "share", missing=len(ids) - len(found))


@shares_app.command("purge")
def purge_shares(
    days: Annotated[float, typer.Option("--days", min=0, help="Delete what is older than this.")],
    data: Data = DEFAULT_DATA,
) -> None:
    """Delete all links that are older than a number of days, with the pictures that they keep."""
    left = _open(data)
    before = datetime.now(UTC) - timedelta(days=days)
    over = [s for s in left.database.all() if datetime.fromisoformat(s.created) <= before]
    for share in over:
        delete_share(left.database, left.kept, share)
    _say(len(over), "share")


@uploads_app.command("list")
def list_uploads(data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """All pictures, the newest first."""
    left = _open(data)
    found = sorted(left.kept.images(), key=lambda image: image.created, reverse=True)
    if as_json:
        typer.echo(json.dumps([_described(left, image) for image in found], indent=2))
        return
    rows = [
        (
            image.id,
            f"{image.created:%Y-%m-%dT%H:%M}",
            image.model,
            f"{image.width} x {image.height}",
            size_text(left.kept.bytes_of(image.id)),
            "shared" if left.database.keeps(image.id) else "private",
        )
        for image in found
    ]
    show(("id", "uploaded (UTC)", "model", "pixels", ">size", ""), rows)


@uploads_app.command("delete")
def delete_uploads(ids: Ids, data: Data = DEFAULT_DATA) -> None:
    """Delete pictures with their results and all links to them."""
    left = _open(data)
    known = {image.id for image in left.kept.images()}
    for image in known.intersection(ids):
        delete_picture(left.database, left.kept, image)
    gone = len(known.intersection(ids))
    _say(gone, "upload", missing=len(set(ids)) - gone)


@uploads_app.command("purge")
def purge_uploads(data: Data = DEFAULT_DATA) -> None:
    """Delete now what has expired; a running server does so every few minutes."""
    _say(_open(data).kept.purge(), "upload")


def _open(data: Path) -> _Left:
    if not data.is_dir():
        fail(f"there is no data folder {data}; give the server's with --data")
    database = ShareDatabase(data / "shares.sqlite")
    database.open()
    kept = KeptUploads(
        data, lifetime=UPLOAD_LIFETIME, max_bytes=MAX_STORED_BYTES, is_shared=database.keeps
    )
    kept.make_folders()
    return _Left(database, kept)


def _told(share: StoredShare) -> dict[str, str | None]:
    """A share without its token."""
    return {name: value for name, value in vars(share).items() if name != "token_hash"}


def _described(left: _Left, image: ImageRecord) -> dict[str, object]:
    expires = left.kept.expires(image)
    return {
        "id": image.id,
        "model": image.model,
        "created": image.created.isoformat(),
        "width": image.width,
        "height": image.height,
        "bytes": left.kept.bytes_of(image.id),
        "shared": expires is None,
        "expires": None if expires is None else expires.isoformat(),
    }


def _say(count: int, what: str, *, missing: int = 0) -> None:
    typer.echo(f"deleted {count} {what}{'' if count == 1 else 's'}")
    if missing:
        fail(f"{missing} of the ids are not there")
