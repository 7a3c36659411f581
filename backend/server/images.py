"""Pictures of visitors: taken once, shown, asked again by their id, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from PIL import Image

from backend.server import schemas, uploads
from backend.server.deletion import delete_picture
from backend.server.encoded import EncodedImages
from backend.server.errors import invalid, not_found
from backend.server.first_prompts import first_prompts
from backend.server.kept import (
    ImageRecord,
    KeptUploads,
    check_token,
    new_id,
    new_token,
    token_hash,
)
from backend.server.open_store import OpenStore
from backend.server.queries import Catalog
from backend.server.settings import Settings
from backend.server.share_database import ShareDatabase
from backend.server.urls import Urls

DISPLAY = "image.webp"
"""The copy that pages show."""

SOURCE = "source.webp"
"""The copy that the model sees, without loss."""

PICTURES_AT_ONCE = 4
"""Pictures that are decoded at a time; the others wait as they came.  Each may hold MAX_PIXELS x 8
bytes (320 MB)."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture, ready to send."""

    content: bytes
    content_type: Literal["image/webp", "image/png"]


@dataclass(frozen=True)
class Seen:
    """What the model says of a whole picture when it first sees it.

    ``rows`` and ``columns`` are the cells of the grid that it is segmented on by default.
    """

    rows: int
    columns: int
    doubt: str | None
    suggestions: list[str]


@dataclass(frozen=True)
class OpenImage:
    """A picture at hand: upright RGB ``pixels``, at most ``uploads.DISPLAY_SIDE`` a side.

    ``size`` is (width, height) of the picture itself, to which masks are made.  ``new`` holds the
    files of one that is not kept yet, with its owner's ``token``.
    """

    id: str
    pixels: Image.Image
    size: tuple[int, int]
    new: Mapping[str, bytes] = field(default_factory=dict)
    token: str | None = None


@dataclass(frozen=True)
class Given:
    """A picture as a request gives it: exactly one of them is not None.

    Attributes:
        upload: an encoded picture.
        image_id: id of one that was uploaded before.
        sample: number of an image of the data set.
    """

    upload: bytes | None = None
    image_id: str | None = None
    sample: int | None = None


class Images:
    """Takes pictures in and gives them out."""

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        catalog: Catalog,
        database: ShareDatabase,
        kept: KeptUploads,
        encoded: EncodedImages,
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._catalog = catalog
        self._database = database
        self._kept = kept
        self._encoded = encoded
        self._decoding = asyncio.Semaphore(PICTURES_AT_ONCE)

    async def receive(self, opened: OpenStore, given: Given, *, keeping: bool) -> OpenImage:
        """The picture that a request names or carries.

        ``keeping`` tells whether the picture, or what is made of it, will be kept.  Raises 404 for
        a picture that is not there, 422 when none, several or an unusable one are given, 507 when
        something will be kept and no more may be.
        """
        if [given.upload, given.image_id, given.sample].count(None) != 2:
            raise invalid("image", "Give exactly one picture: image, image_id or sample.")
        async with self._decoding:
            if keeping:
                await asyncio.to_thread(self._kept.check_room)
            if given.image_id is not None:
                return await asyncio.to_thread(self._reopen, opened, given.image_id)
            return await asyncio.to_thread(self._take, opened, given)

    def keep(self, opened: OpenStore, image: OpenImage, seen: Seen | None) -> ImageRecord:
        """Write a new picture, which the model has ``seen``; one that is kept is looked up."""
        if image.token is None or seen is None:
            return self._kept.image(image.id)
        record = ImageRecord(
            id=image.id,
            model=opened.store.name,
            data_version=opened.store.data_version,
            created=datetime.now(UTC),
            token_hash=token_hash(image.token),
            width=image.size[0],
            height=image.size[1],
            rows=seen.rows,
            columns=seen.columns,
            doubt=seen.doubt,
            suggestions=seen.suggestions,
            first_prompts=first_prompts(opened, seen.suggestions),
        )
        self._kept.keep_image(record, image.new)
        return record

    def record(self, model: str, image: str) -> ImageRecord:
        """The picture of an id under the model it was given to; under another there is none."""
        self._catalog.open_store(model)
        record = self._kept.image(image)
        if record.model != model:
            raise not_found("image", "This model has no such picture.")
        return record

    def get(self, model: str, image: str) -> schemas.UploadedImage:
        """What is known of a picture."""
        return schemas.UploadedImage(**self._fields(self.record(model, image)))

    def find(self, image: str) -> schemas.UploadedImage:
        """The same by the id alone."""
        return schemas.UploadedImage(**self._fields(self._kept.image(image)))

    def created(self, image: OpenImage, record: ImageRecord) -> schemas.ImageCreated:
        """The same of a new picture for its owner, who alone is told the token."""
        assert image.token is not None
        return schemas.ImageCreated(**self._fields(record), delete_token=image.token)

    def show(self, model: str, image: str) -> Picture:
        """The copy that pages show."""
        self.record(model, image)
        return Picture(self._kept.image_file(image, DISPLAY), "image/webp")

    def delete(self, model: str, image: str, token: str | None) -> None:
        """Delete a picture, all that was made of it, and the shares that show it.

        Raises 401 and 403 like shares do.
        """
        check_token(token, self.record(model, image).token_hash, "picture")
        delete_picture(self._database, self._kept, image)
        self._encoded.forget(image)

    def _fields(self, record: ImageRecord) -> dict[str, Any]:
        model, urls = record.model, self._urls
        return {
            "id": record.id,
            "image": record.id,
            "model": model,
            "width": record.width,
            "height": record.height,
            "rows": record.rows,
            "columns": record.columns,
            "image_url": urls.uploaded_image(model, record.id),
            "url": urls.lab(model, image=record.id),
            "picture_known": record.doubt is None,
            "picture_doubt": record.doubt,
            "suggestions": record.suggestions,
            "first_prompts": record.first_prompts,
            "data_version": record.data_version,
            "created": record.created,
            "expires": self._kept.expires(record),
        }

    def _reopen(self, opened: OpenStore, image: str) -> OpenImage:
        record = self.record(opened.store.name, image)
        pixels = uploads.open_copy(self._kept.image_file(image, SOURCE))
        return OpenImage(image, pixels, (record.width, record.height))

    def _take(self, opened: OpenStore, given: Given) -> OpenImage:
        if given.sample is not None:
            data = self._catalog.exemplar(opened.store.name, given.sample)
        else:
            data = given.upload or b""
        image = uploads.decode_image(
            data, max_pixels=self._settings.max_pixels, max_aspect=self._settings.max_aspect
        )
        pixels = uploads.display_size(image)
        files = {DISPLAY: uploads.display_copy(pixels), SOURCE: uploads.lossless_copy(pixels)}
        return OpenImage(new_id(), pixels, image.size, files, new_token())
