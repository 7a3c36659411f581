"""Segmentations of uploaded pictures: made, kept for a day or as long as shared, and deleted.

A result lies in a folder of its own under an unguessable name; whoever has the name may see it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from backend.server import heatmaps, schemas, uploads
from backend.server.engine import BusyError, DeadlineError, Engine
from backend.server.errors import ApiError, invalid, not_found
from backend.server.familiarity import Verdict
from backend.server.files import clear_leftovers, folder_bytes, remove_folder, write_folder
from backend.server.open_store import OpenStore
from backend.server.queries import Catalog
from backend.server.settings import Settings
from backend.server.text import check_text
from backend.server.urls import Urls

if TYPE_CHECKING:
    from backend.clip import ClipResNet
    from backend.clip.segmentation import SegmentationMaps

log = logging.getLogger(__name__)

ID_BYTES = 16
"""128 random bits in every id: nobody guesses one."""

PICTURES_AT_ONCE = 4
"""Pictures that are decoded at a time; the others wait as they came.  Each may hold MAX_PIXELS x 8
bytes (320 MB).  More than one, so that the device need not wait for decoding and encoding."""

PURGE_GRACE = timedelta(minutes=5)
"""Between the moment a result can no longer be shared and its deletion, so that the two cannot
meet."""

RECORD = "segmentation.json"
IMAGE = "image.webp"
MASK = "mask.png"
OVERLAY = "overlay.png"

_ID = re.compile(r"[A-Za-z0-9_-]{22}")


class StoredClass(BaseModel):
    """One prompt's figures, as kept on disk."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str
    colour: str
    area_share: float
    peak: float
    known: bool
    doubt: str | None = None


class StoredSegmentation(BaseModel):
    """A result as kept on disk: no addresses, which depend on where the server is mounted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    model: str
    width: int
    height: int
    background: bool
    classes: list[StoredClass]
    background_share: float
    picture_doubt: str | None = None
    heatmap_scale: float
    data_version: str
    created: datetime


@dataclass(frozen=True)
class Segmented:
    """What the device gives for one picture: its maps, and whether the model may know it."""

    maps: SegmentationMaps
    picture: Verdict


@dataclass(frozen=True)
class Picture:
    """A stored picture, ready to send."""

    content: bytes
    content_type: str


class Segmentations:
    """Makes, keeps and finds segmentations.

    ``is_shared`` tells whether a share keeps the result of an id.
    """

    def __init__(
        self,
        settings: Settings,
        urls: Urls,
        catalog: Catalog,
        engine: Engine[ClipResNet],
        *,
        is_shared: Callable[[str], bool],
    ) -> None:
        self._settings = settings
        self._urls = urls
        self._catalog = catalog
        self._engine = engine
        self._is_shared = is_shared
        self._folder = settings.data / "segmentations"
        self._scratch = settings.data / "scratch"
        self._stored_bytes = 0
        self._in_work = 0
        self._pictures = asyncio.Semaphore(PICTURES_AT_ONCE)

    def open(self) -> None:
        """Make the folders and delete what has expired."""
        for folder in (self._folder, self._scratch):
            folder.mkdir(parents=True, exist_ok=True)
        self.purge()

    async def create(
        self, model: str, data: bytes, prompts: Sequence[str], *, background: bool
    ) -> schemas.Segmentation:
        """Segment an encoded picture by ``prompts`` and keep the result for a day.

        Raises 404 for an unknown model, 422 for prompts or a picture that cannot be used, 503 when
        the model cannot answer now, 507 when the server's quota is full.
        """
        opened = self._catalog.open_store(model)
        texts = check_prompts(prompts)
        self._engine.admit(opened.model_key)
        # The engine bounds what waits for the device; this bounds the uploads held around it.
        if self._in_work > self._settings.queue_bound:
            raise BusyError("The server is busy with other pictures; try again in a few seconds.")
        self._in_work += 1
        try:
            return await self._create(opened, data, texts, background=background)
        finally:
            self._in_work -= 1

    async def _create(
        self, opened: OpenStore, data: bytes, prompts: list[str], *, background: bool
    ) -> schemas.Segmentation:
        await asyncio.to_thread(self._check_quota)
        decode = partial(
            uploads.decode_image,
            data,
            max_pixels=self._settings.max_pixels,
            max_aspect=self._settings.max_aspect,
        )
        async with self._turn():
            image = await asyncio.to_thread(decode)
            found = await self._engine.run(
                opened.model_key, partial(_segment, opened, image, prompts, background)
            )
            stored = await asyncio.to_thread(
                self._keep, opened, image, prompts, found, background=background
            )
        return self._wire(stored)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Hold one of the places for decoded pictures; late turns are given up."""
        limit = self._settings.deadline.total_seconds()
        try:
            await asyncio.wait_for(self._pictures.acquire(), limit)
        except TimeoutError:
            raise DeadlineError(
                f"The server was busy for {limit:g} seconds; try again later."
            ) from None
        try:
            yield
        finally:
            self._pictures.release()

    def get(self, segmentation: str) -> schemas.Segmentation:
        """The result of an id; 404 when there is none, or no longer."""
        return self._wire(self._stored(segmentation))

    def picture(self, segmentation: str, name: str) -> Picture:
        """One of a result's files (``IMAGE``, ``MASK``, ``OVERLAY`` or a heatmap's name)."""
        self._stored(segmentation)
        try:
            content = (self._folder / segmentation / name).read_bytes()
        except FileNotFoundError:
            raise not_found("heatmap", "This segmentation has no such picture.") from None
        return Picture(content, "image/webp" if name == IMAGE else "image/png")

    def heatmap(self, segmentation: str, place: int) -> Picture:
        """Heatmap of the prompt at ``place``."""
        prompts = len(self._stored(segmentation).classes)
        if not 0 <= place < prompts:
            raise not_found(
                "heatmap", f"There is no prompt {place}; prompts are 0 to {prompts - 1}."
            )
        return self.picture(segmentation, _heatmap_name(place))

    def delete(self, segmentation: str) -> None:
        """Delete a result and its picture; nothing happens when it is gone already."""
        if _ID.fullmatch(segmentation):
            remove_folder(self._folder / segmentation, scratch=self._scratch)

    def purge(self) -> int:
        """Delete what has expired and nobody shares; returns how many results that were."""
        clear_leftovers(self._scratch)
        deleted = 0
        for folder in sorted(self._folder.iterdir()):
            if self._is_over(folder):
                remove_folder(folder, scratch=self._scratch)
                deleted += 1
        self._stored_bytes = folder_bytes(self._folder)
        if deleted:
            log.info("deleted %d expired uploads", deleted)
        return deleted

    def _is_over(self, folder: Path) -> bool:
        try:
            stored = _read_record(folder)
        except (OSError, ValueError):
            log.warning("upload %s is unreadable and is deleted", folder.name)
            return True
        age = datetime.now(UTC) - stored.created
        return age > self._settings.upload_lifetime + PURGE_GRACE and not self._is_shared(stored.id)

    def _check_quota(self) -> None:
        limit = self._settings.max_stored_bytes
        if self._stored_bytes < limit:
            return
        self.purge()
        if self._stored_bytes >= limit:
            raise ApiError(
                507,
                "storage_full",
                f"The server keeps at most {limit / 1e9:g} GB of uploads and has no room for more; "
                "try again when older ones have expired.",
            )

    def _keep(
        self,
        opened: OpenStore,
        image: Image.Image,
        prompts: list[str],
        found: Segmented,
        *,
        background: bool,
    ) -> StoredSegmentation:
        stored = _describe(opened, image, prompts, found, background=background)
        maps = found.maps
        files = {
            IMAGE: uploads.display_copy(image),
            MASK: heatmaps.mask_png(maps.mask),
            OVERLAY: heatmaps.overlay_png(
                maps.mask, [heatmaps.rgb(kind.colour) for kind in stored.classes]
            ),
            RECORD: stored.model_dump_json().encode(),
        }
        for place, (kind, logits) in enumerate(zip(stored.classes, maps.logits, strict=True)):
            files[_heatmap_name(place)] = heatmaps.heatmap_png(
                logits,
                scale=stored.heatmap_scale,
                size=image.size,
                positive=heatmaps.rgb(kind.colour),
                negative=heatmaps.CLASS_NEGATIVE,
            )
        write_folder(self._folder / stored.id, files, scratch=self._scratch)
        self._stored_bytes += sum(map(len, files.values()))
        return stored

    def _stored(self, segmentation: str) -> StoredSegmentation:
        gone = not_found(
            "segmentation",
            "There is no such segmentation; one that nobody shares is deleted after "
            f"{_duration(self._settings.upload_lifetime)}.",
        )
        if not _ID.fullmatch(segmentation):
            raise gone
        try:
            stored = _read_record(self._folder / segmentation)
        except FileNotFoundError:
            raise gone from None
        expired = datetime.now(UTC) > stored.created + self._settings.upload_lifetime
        if expired and not self._is_shared(segmentation):
            raise gone
        return stored

    def _wire(self, stored: StoredSegmentation) -> schemas.Segmentation:
        model, ident, urls = stored.model, stored.id, self._urls
        expires = stored.created + self._settings.upload_lifetime
        return schemas.Segmentation(
            id=ident,
            model=model,
            width=stored.width,
            height=stored.height,
            background=stored.background,
            method="pairs",
            classes=[
                schemas.SegmentationClass(
                    **kind.model_dump(), heatmap_url=urls.segmentation_heatmap(model, ident, place)
                )
                for place, kind in enumerate(stored.classes)
            ],
            background_share=stored.background_share,
            picture_known=stored.picture_doubt is None,
            picture_doubt=stored.picture_doubt,
            heatmap_scale=stored.heatmap_scale,
            image_url=urls.segmentation_image(model, ident),
            mask_url=urls.segmentation_mask(model, ident),
            overlay_url=urls.segmentation_overlay(model, ident),
            url=urls.lab(model, segmentation=ident),
            data_version=stored.data_version,
            created=stored.created,
            expires=None if self._is_shared(ident) else expires,
        )


def check_prompts(prompts: Sequence[str]) -> list[str]:
    """Prompts with white space folded; 422 when they cannot be used, with the bound in the text."""
    if not prompts:
        raise invalid("prompts", "Give at least one prompt.")
    if len(prompts) > schemas.MAX_PROMPTS:
        raise invalid(
            "prompts", f"At most {schemas.MAX_PROMPTS} prompts are taken, not {len(prompts)}."
        )
    texts = [check_text("prompts", "A prompt", p, schemas.MAX_PROMPT_CHARACTERS) for p in prompts]
    if len({text.casefold() for text in texts}) < len(texts):
        raise invalid("prompts", "Every prompt may be given only once.")
    return texts


def _segment(
    opened: OpenStore,
    image: Image.Image,
    prompts: list[str],
    background: bool,
    model: ClipResNet,
) -> Segmented:
    """Runs on the device's thread."""
    from backend.clip.options import SegmentationSettings  # late, as in OpenStore.segmenter

    settings = SegmentationSettings(background="words" if background else "none")
    maps = opened.segmenter(model).segment(image, prompts, settings)
    # In its native size, as the images that it is compared with were.
    native = model.feature_map(model.preprocess(image)[None])
    return Segmented(maps, opened.familiarity.picture(native))


def _describe(
    opened: OpenStore,
    image: Image.Image,
    prompts: list[str],
    found: Segmented,
    *,
    background: bool,
) -> StoredSegmentation:
    """The figures of a result; shares are of the mask's pixels and sum to 1."""
    maps = found.maps
    verdicts = [opened.familiarity.read(maps.texts, place) for place in range(len(prompts))]
    pixels = np.bincount(maps.mask.ravel(), minlength=256) / maps.mask.size
    logits = np.nan_to_num(np.asarray(maps.logits, np.float64))
    classes = [
        StoredClass(
            prompt=prompt,
            colour=heatmaps.class_colour(place),
            area_share=float(pixels[place]),
            peak=float(logits[place].max()),
            known=verdicts[place].known,
            doubt=verdicts[place].doubt,
        )
        for place, prompt in enumerate(prompts)
    ]
    return StoredSegmentation(
        id=secrets.token_urlsafe(ID_BYTES),
        model=opened.store.name,
        width=image.width,
        height=image.height,
        background=background,
        classes=classes,
        background_share=float(pixels[heatmaps.BACKGROUND]),
        picture_doubt=found.picture.doubt,
        heatmap_scale=float(np.abs(logits).max()),
        data_version=opened.store.data_version,
        created=datetime.now(UTC),
    )


def _heatmap_name(place: int) -> str:
    return f"heatmap-{place}.png"


def _read_record(folder: Path) -> StoredSegmentation:
    return StoredSegmentation.model_validate_json((folder / RECORD).read_bytes())


def _duration(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return "a day" if hours == 24 else f"{hours:g} hours"
