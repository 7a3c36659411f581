"""What visitors gave and what was made of it, on disk, for a day or as long as it is shared.

A picture lies in a folder of its own under an unguessable name, and so does every result.  A result
belongs to a picture: it can be seen as long as the picture is there, and goes with it.  Whoever has
a name may see what lies under it; only the owner's token deletes a picture.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from backend.server.errors import ApiError, not_found
from backend.server.files import clear_leftovers, folder_bytes, remove_folder, write_folder
from backend.server.schemas import Timings

log = logging.getLogger(__name__)

ID_BYTES = 16
"""128 random bits in every id: nobody guesses one."""

TOKEN_BYTES = 24
"""192 random bits in every delete token; only its hash is kept."""

PURGE_GRACE = timedelta(minutes=5)
"""Between the moment a picture can no longer be shared and its deletion, so that the two cannot
meet."""

RECORD = "record.json"

_RESULTS = "results"
"""In a picture's folder: an empty file for every result, named by its kind and id."""

_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class Record(BaseModel):
    """A folder's figures; no addresses, which depend on where the server is mounted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    model: str
    data_version: str
    created: datetime


class ImageRecord(Record):
    """An uploaded picture; ``token_hash`` is of the owner's delete token, in hexadecimal."""

    token_hash: str
    width: int
    height: int
    rows: int
    columns: int
    doubt: str | None
    suggestions: list[str]
    first_prompts: list[str] = []


class ResultRecord(Record):
    """Something made of the picture ``image``."""

    image: str
    timings: Timings


Kept = TypeVar("Kept", bound=ResultRecord)


@dataclass(frozen=True)
class Kind(Generic[Kept]):
    """A kind of results, by its singular; what its folders hold."""

    name: str
    record: type[Kept]


class KeptUploads:
    """Pictures and results below the folder ``data``.

    ``is_shared`` tells whether a share shows the picture of an id; one that none shows lives for
    ``lifetime``.  All together take about ``max_bytes`` at most.
    """

    def __init__(
        self,
        data: Path,
        *,
        lifetime: timedelta,
        max_bytes: int,
        is_shared: Callable[[str], bool],
    ) -> None:
        self.lifetime = lifetime
        self._max_bytes = max_bytes
        self._is_shared = is_shared
        self._images = data / "images"
        self._results = data / "results"
        self._scratch = data / "scratch"
        self._stored_bytes = 0

    def open(self) -> None:
        """Make the folders and delete what has expired."""
        self.make_folders()
        self.purge()

    def make_folders(self) -> None:
        """Make the folders that are missing."""
        for folder in (self._images, self._results, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def stored_bytes(self) -> int:
        """Bytes of everything kept, about."""
        return self._stored_bytes

    def check_room(self) -> None:
        """Raise 507 when no more may be kept, after deleting what has expired."""
        if self._stored_bytes < self._max_bytes:
            return
        self.purge()
        if self._stored_bytes >= self._max_bytes:
            raise ApiError(
                507,
                "storage_full",
                f"The server keeps at most {self._max_bytes / 1e9:g} GB of uploads and has no room "
                "for more; try again when older ones have expired.",
            )

    def keep_image(self, record: ImageRecord, files: Mapping[str, bytes]) -> None:
        """Write a new picture."""
        self._write(self._images / record.id, record, files)

    def keep_result(self, kind: Kind[Kept], record: Kept, files: Mapping[str, bytes]) -> None:
        """Write a new result of a picture; 404 when the picture has gone meanwhile."""
        markers = self._images / record.image / _RESULTS
        try:
            markers.mkdir(exist_ok=True)
            (markers / _name(kind, record.id)).touch()
        except FileNotFoundError:
            raise self._gone("image") from None
        self._write(self._results / _name(kind, record.id), record, files)

    def image(self, image: str) -> ImageRecord:
        """The picture of an id; 404 when there is none, or no longer."""
        record = _read(self._images / image, ImageRecord) if is_id(image) else None
        if record is None or (self._has_expired(record) and not self._is_shared(image)):
            raise self._gone("image")
        return record

    def images(self) -> list[ImageRecord]:
        """All pictures that are there, expired ones included until they are purged."""
        found = (_read(folder, ImageRecord) for folder in sorted(self._images.iterdir()))
        return [record for record in found if record is not None]

    def bytes_of(self, image: str) -> int:
        """Bytes of a picture's own files, without its results."""
        return folder_bytes(self._images / image)

    def result(self, kind: Kind[Kept], result: str) -> Kept:
        """The result of an id; 404 when there is none, or its picture has gone."""
        folder = self._results / _name(kind, result)
        record = _read(folder, kind.record) if is_id(result) else None
        if record is None:
            raise self._gone(kind.name)
        try:
            self.image(record.image)
        except ApiError:
            raise self._gone(kind.name) from None
        return record

    def image_file(self, image: str, name: str) -> bytes:
        """A file of a picture that is there."""
        return self._file(self._images / image / name, "image")

    def result_file(self, kind: Kind[Kept], result: str, name: str) -> bytes:
        """A file of a result that is there; 404 when it has none of this name."""
        return self._file(self._results / _name(kind, result) / name, kind.name)

    def expires(self, image: ImageRecord) -> datetime | None:
        """When a picture goes with its results; ``None`` while a share keeps it."""
        return None if self._is_shared(image.id) else image.created + self.lifetime

    def delete(self, image: str) -> None:
        """Delete a picture and its results; nothing happens when it is gone already."""
        if is_id(image):
            self._delete(self._images / image)

    def _delete(self, folder: Path) -> None:
        try:
            results = [marker.name for marker in (folder / _RESULTS).iterdir()]
        except FileNotFoundError:
            results = []
        remove_folder(folder, scratch=self._scratch)
        for name in results:
            remove_folder(self._results / name, scratch=self._scratch)

    def purge(self) -> int:
        """Delete what has expired and nobody shares; returns how many pictures that were."""
        clear_leftovers(self._scratch)
        over = [folder for folder in sorted(self._images.iterdir()) if self._is_over(folder)]
        for folder in over:
            self._delete(folder)
        for name in self._orphans():
            remove_folder(self._results / name, scratch=self._scratch)
        self._stored_bytes = folder_bytes(self._images) + folder_bytes(self._results)
        if over:
            log.info("deleted %d expired uploads", len(over))
        return len(over)

    def _is_over(self, folder: Path) -> bool:
        record = _read(folder, ImageRecord)
        if record is None:
            log.warning("upload %s is unreadable and is deleted", folder.name)
            return True
        return self._has_expired(record, PURGE_GRACE) and not self._is_shared(record.id)

    def _orphans(self) -> Iterator[str]:
        """Results whose picture is not there, as a crash between two deletions leaves them."""
        for folder in sorted(self._results.iterdir()):
            record = _read(folder, _Belonging)
            if record is None or not (self._images / record.image).is_dir():
                yield folder.name

    def _has_expired(self, image: ImageRecord, grace: timedelta = timedelta(0)) -> bool:
        return datetime.now(UTC) > image.created + self.lifetime + grace

    def _write(self, folder: Path, record: Record, files: Mapping[str, bytes]) -> None:
        written = {**files, RECORD: record.model_dump_json().encode()}
        write_folder(folder, written, scratch=self._scratch)
        self._stored_bytes += sum(map(len, written.values()))

    def _file(self, path: Path, kind: str) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise self._gone(kind) from None

    def _gone(self, kind: str) -> ApiError:
        name = "picture" if kind == "image" else kind
        return not_found(
            kind,
            f"There is no such {name}; one that nobody shares is deleted after "
            f"{_duration(self.lifetime)}.",
        )


class _Belonging(BaseModel):
    """Of any result: the picture it belongs to."""

    image: str


_AnyRecord = TypeVar("_AnyRecord", bound=BaseModel)


def is_id(text: str) -> bool:
    """Whether a text looks like what :func:`new_id` makes: nothing else is looked up."""
    return _ID.fullmatch(text) is not None


def new_id() -> str:
    """An unguessable name, which no command line takes for an option."""
    while (ident := secrets.token_urlsafe(ID_BYTES)).startswith("-"):
        pass
    return ident


def new_token() -> str:
    """What its owner deletes something with."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """What is kept of a token.  It has 192 random bits, so a plain hash needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def check_token(token: str | None, known_hash: str, what: str) -> None:
    """Raise 401 without a token, 403 with one that is not ``what``'s."""
    if not token:
        raise ApiError(
            401,
            "token_missing",
            f"Give the {what}'s delete token, as Authorization: Bearer …",
            {"WWW-Authenticate": "Bearer"},
        )
    if not hmac.compare_digest(token_hash(token), known_hash):
        raise ApiError(403, "wrong_token", f"This is not the {what}'s delete token.")


def _name(kind: Kind[Kept], result: str) -> str:
    return f"{kind.name}-{result}"


def _read(folder: Path, record: type[_AnyRecord]) -> _AnyRecord | None:
    try:
        return record.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None


def _duration(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return "a day" if hours == 24 else f"{hours:g} hours"
