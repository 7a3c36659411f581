"""Segmentations of visitors' pictures: made, kept with the picture, shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from backend.server import schemas
from backend.server.asking import check_prompts, settings_of, unusable, view_of
from backend.server.errors import invalid, not_found
from backend.server.familiarity import Verdict
from backend.server.images import Given, Images, OpenImage, Picture
from backend.server.kept import ImageRecord, KeptUploads, Kind, ResultRecord, new_id
from backend.server.lab import Answer, AtHand, Lab
from backend.server.method_results import (
    LOGITS,
    MASK,
    StoredMethod,
    described,
    draw_heatmap,
    draw_overlay,
    file_name,
    method_files,
    method_result,
    stored_method,
    timings,
)
from backend.server.open_store import OpenStore
from backend.server.queries import Catalog
from backend.server.urls import Urls

if TYPE_CHECKING:
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import SegmentationMaps


class SegmentationRecord(ResultRecord):
    """A segmentation as kept on disk."""

    settings: schemas.SegmentationSettings
    rows: int
    columns: int
    results: list[StoredMethod]
    timings: schemas.Timings

    @property
    def prompts(self) -> list[str]:
        return [kind.prompt for kind in self.results[0].classes]

    def options(self) -> schemas.SegmentationOptions:
        """What it was asked with."""
        made = self.settings
        return schemas.SegmentationOptions(
            **made.model_dump(exclude={"pairs_per_class", "background"}), background=made.background
        )


SEGMENTATION = Kind("segmentation", SegmentationRecord)


@dataclass(frozen=True)
class Segmented:
    """What the device gives: the maps of every method, and whether the model knows the prompts."""

    prompts: list[str]
    maps: list[SegmentationMaps]
    verdicts: list[Verdict]


class Segmentations:
    """Makes, keeps and finds segmentations."""

    def __init__(
        self, urls: Urls, catalog: Catalog, images: Images, lab: Lab, kept: KeptUploads
    ) -> None:
        self._urls = urls
        self._catalog = catalog
        self._images = images
        self._lab = lab
        self._kept = kept

    async def create(
        self, model: str, asked: schemas.SegmentationRequest, upload: bytes | None = None
    ) -> tuple[schemas.Segmentation, str | None]:
        """Segment a picture and keep the result with it; a new picture's delete token beside it.

        Raises 404 for an unknown model or picture, 422 for what cannot be used, 503 when the model
        cannot answer now, 507 when the server's quota is full.
        """
        opened = self._catalog.open_store(model)
        prompts = check_prompts(asked.prompts)
        async with self._lab.place(opened):
            settings = settings_of(asked, asked.method)
            image, answer = await self._lab.ask(
                opened,
                Given(upload, asked.image_id, asked.sample),
                view_of(asked),
                partial(_segment, prompts=prompts, settings=settings),
                texts=len(prompts) + len(asked.background_prompts),
                methods=len(settings),
            )
            stored = await asyncio.to_thread(self._keep, opened, image, asked, settings, answer)
        return self._wire(*stored), image.token

    def based_on(
        self, model: str, asked: schemas.ResultRequest, upload: bytes | None
    ) -> SegmentationRecord | None:
        """The segmentation that a request takes picture, prompts and options from, if it does."""
        if asked.segmentation is None:
            return None
        if upload is not None or asked.image_id is not None or asked.sample is not None:
            raise invalid("segmentation", "A segmentation brings its picture; give no other.")
        record = self._kept.result(SEGMENTATION, asked.segmentation)
        if record.model != model:
            raise not_found("segmentation", "This model has no such segmentation.")
        return record

    def get(self, segmentation: str) -> schemas.Segmentation:
        """The result of an id; 404 when there is none, or no longer."""
        record = self._kept.result(SEGMENTATION, segmentation)
        return self._wire(record, self._kept.image(record.image))

    def image(self, segmentation: str) -> Picture:
        """The picture itself, as pages show it."""
        record = self._kept.result(SEGMENTATION, segmentation)
        return self._images.show(record.model, record.image)

    def mask(self, segmentation: str, method: str | None = None) -> Picture:
        """8-bit mask of one method, of the first by default."""
        return Picture(self._file(*self._found(segmentation, method), MASK), "image/png")

    def overlay(self, segmentation: str, method: str | None = None) -> Picture:
        """The mask in the classes' colours."""
        record, stored = self._found(segmentation, method)
        return Picture(draw_overlay(stored, self._file(record, stored, MASK)), "image/png")

    def heatmap(self, segmentation: str, place: int, method: str | None = None) -> Picture:
        """Heatmap of the prompt at ``place``."""
        record, stored = self._found(segmentation, method)
        image = self._kept.image(record.image)
        logits = self._file(record, stored, LOGITS)
        content = draw_heatmap(stored, logits, place, (image.width, image.height))
        return Picture(content, "image/png")

    def _found(
        self, segmentation: str, method: str | None
    ) -> tuple[SegmentationRecord, StoredMethod]:
        record = self._kept.result(SEGMENTATION, segmentation)
        return record, _method(record, method)

    def _file(self, record: SegmentationRecord, stored: StoredMethod, name: str) -> bytes:
        return self._kept.result_file(SEGMENTATION, record.id, file_name(stored.method, name))

    def _keep(
        self,
        opened: OpenStore,
        image: OpenImage,
        asked: schemas.SegmentationRequest,
        settings: Sequence[SegmentationSettings],
        answer: Answer[Segmented],
    ) -> tuple[SegmentationRecord, ImageRecord]:
        kept = self._images.keep(opened, image, answer.seen)
        found = answer.result
        rows, columns = found.maps[0].logits.shape[1:]
        told = sum(maps.logits.size for maps in found.maps) <= schemas.MAX_LOGITS
        record = SegmentationRecord(
            id=new_id(),
            image=kept.id,
            model=opened.store.name,
            data_version=opened.store.data_version,
            created=datetime.now(UTC),
            settings=described(opened, asked, settings[0]),
            rows=rows,
            columns=columns,
            results=[
                stored_method(each.method, maps, found.verdicts, found.prompts, told=told)
                for each, maps in zip(settings, found.maps, strict=True)
            ],
            timings=timings(answer),
        )
        files: dict[str, bytes] = {}
        for method, maps in zip(record.results, found.maps, strict=True):
            files |= method_files(method.method, maps)
        self._kept.keep_result(SEGMENTATION, record, files)
        return record, kept

    def _wire(self, record: SegmentationRecord, image: ImageRecord) -> schemas.Segmentation:
        model, ident, urls = record.model, record.id, self._urls
        results = [
            method_result(
                stored,
                mask_url=urls.segmentation_mask(model, ident, _unless_first(record, stored)),
                overlay_url=urls.segmentation_overlay(model, ident, _unless_first(record, stored)),
                heatmap_urls=[
                    urls.segmentation_heatmap(model, ident, place, _unless_first(record, stored))
                    for place in range(len(stored.classes))
                ],
            )
            for stored in record.results
        ]
        first = results[0]
        return schemas.Segmentation(
            id=ident,
            model=model,
            image=image.id,
            width=image.width,
            height=image.height,
            rows=record.rows,
            columns=record.columns,
            background=record.settings.background != "none",
            settings=record.settings,
            results=results,
            **first.model_dump(),
            picture_known=image.doubt is None,
            picture_doubt=image.doubt,
            image_url=urls.segmentation_image(model, ident),
            url=urls.lab(model, segmentation=ident),
            timings=record.timings,
            data_version=record.data_version,
            created=record.created,
            expires=self._kept.expires(image),
        )


def given(
    asked: schemas.PictureRequest, upload: bytes | None, based: SegmentationRecord | None
) -> Given:
    """The picture of a request, which may be that of a segmentation."""
    return Given(upload, asked.image_id if based is None else based.image, asked.sample)


def _segment(
    at_hand: AtHand, *, prompts: list[str], settings: Sequence[SegmentationSettings]
) -> Segmented:
    """Runs on the device's thread."""
    read = at_hand.read(prompts)
    behind = at_hand.read_behind(settings[0])
    try:
        maps = [
            at_hand.segmenter.answer(at_hand.encoded, read, each, behind=behind)
            for each in settings
        ]
    except ValueError as exc:
        raise unusable(exc) from None
    told = at_hand.opened.familiarity
    return Segmented(prompts, maps, [told.read(read, place) for place in range(len(prompts))])


def _method(record: SegmentationRecord, method: str | None) -> StoredMethod:
    for stored in record.results:
        if method in (None, stored.method):
            return stored
    raise not_found("method", "This segmentation was not made by that method.")


def _unless_first(record: SegmentationRecord, stored: StoredMethod) -> str | None:
    """The method that an address must name; the first one's names none."""
    return None if stored is record.results[0] else stored.method
