"""Segmentations of visitors' pictures: made, kept with the picture, shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from backend.server import schemas
from backend.server.asking import check_prompts, settings_of, unusable, view_of
from backend.server.errors import not_found
from backend.server.familiarity import Verdict
from backend.server.images import Given, OpenImage, Picture
from backend.server.kept import ImageRecord, Kind, ResultRecord
from backend.server.lab import Answer, AtHand
from backend.server.method_results import (
    StoredMethod,
    described,
    method_files,
    method_result,
    stored_method,
)
from backend.server.open_store import OpenStore
from backend.server.results import MaskedResults

if TYPE_CHECKING:
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import SegmentationMaps


class SegmentationRecord(ResultRecord):
    """A segmentation as kept on disk."""

    settings: schemas.SegmentationSettings
    rows: int
    columns: int
    results: list[StoredMethod]

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


class Segmentations(MaskedResults[SegmentationRecord, schemas.Segmentation, str | None]):
    """Makes, keeps and finds segmentations."""

    kind = SEGMENTATION

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

    def image(self, segmentation: str) -> Picture:
        """The picture itself, as pages show it."""
        record = self._record(segmentation)
        return self._images.show(record.model, record.image)

    def _part(self, record: SegmentationRecord, part: str | None) -> tuple[str, StoredMethod]:
        """The answer of a method, of the first by default."""
        for stored in record.results:
            if part in (None, stored.method):
                return stored.method, stored
        raise not_found("method", "This segmentation was not made by that method.")

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
            **self._new_fields(opened, kept, answer),
            settings=described(opened, asked, settings[0]),
            rows=rows,
            columns=columns,
            results=[
                stored_method(each.method, maps, found.verdicts, found.prompts, told=told)
                for each, maps in zip(settings, found.maps, strict=True)
            ],
        )
        files: dict[str, bytes] = {}
        for method, maps in zip(record.results, found.maps, strict=True):
            files |= method_files(method.method, maps)
        self._kept.keep_result(self.kind, record, files)
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
            **self._told_fields(record, image)
            | {"image_url": urls.segmentation_image(model, ident)},
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
        )


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


def _unless_first(record: SegmentationRecord, stored: StoredMethod) -> str | None:
    """The method that an address must name; the first one's names none."""
    return None if stored is record.results[0] else stored.method
