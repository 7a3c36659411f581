"""Results of visitors' pictures, whatever their kind: kept with the picture, found again, shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from backend.server import schemas
from backend.server.images import Images, Picture
from backend.server.kept import ImageRecord, Kept, KeptUploads, Kind, new_id
from backend.server.lab import Answer, Lab
from backend.server.method_results import (
    LOGITS,
    MASK,
    StoredMethod,
    draw_heatmap,
    draw_overlay,
    file_name,
)
from backend.server.open_store import OpenStore
from backend.server.queries import Catalog
from backend.server.urls import Urls

Told = TypeVar("Told", bound=schemas.Result)
Part = TypeVar("Part", bound=str | None)


class Results(ABC, Generic[Kept, Told]):
    """Makes, keeps and finds results of one kind: ``Kept`` on disk, ``Told`` on the wire."""

    kind: Kind[Kept]

    def __init__(
        self, urls: Urls, catalog: Catalog, images: Images, lab: Lab, kept: KeptUploads
    ) -> None:
        self._urls = urls
        self._catalog = catalog
        self._images = images
        self._lab = lab
        self._kept = kept

    def get(self, result: str) -> Told:
        """The result of an id; 404 when there is none, or no longer."""
        record = self._record(result)
        return self._wire(record, self._kept.image(record.image))

    @abstractmethod
    def _wire(self, record: Kept, image: ImageRecord) -> Told:
        """What is told of a result of the picture ``image``."""

    def _record(self, result: str) -> Kept:
        return self._kept.result(self.kind, result)

    def _file(self, result: str, name: str) -> bytes:
        """A file of a result whose record has been looked up."""
        return self._kept.result_file(self.kind, result, name)

    def _told_fields(self, record: Kept, image: ImageRecord) -> dict[str, Any]:
        """The fields of :class:`~backend.server.schemas.Result`."""
        return {
            "id": record.id,
            "model": record.model,
            "image": image.id,
            "image_url": self._urls.uploaded_image(record.model, image.id),
            "url": self._urls.lab(record.model, **{self.kind.name: record.id}),
            "timings": record.timings,
            "data_version": record.data_version,
            "created": record.created,
            "expires": self._kept.expires(image),
        }

    def _new_fields(
        self, opened: OpenStore, image: ImageRecord, answer: Answer[Any]
    ) -> dict[str, Any]:
        """The fields of :class:`~backend.server.kept.ResultRecord`, for a new one."""
        return {
            "id": new_id(),
            "image": image.id,
            "model": opened.store.name,
            "data_version": opened.store.data_version,
            "created": datetime.now(UTC),
            "timings": schemas.Timings(
                waited_seconds=answer.waited,
                device_seconds=answer.taken,
                encoded_before=answer.encoded_before,
            ),
        }


class MaskedResults(Results[Kept, Told], Generic[Kept, Told, Part]):
    """Results of several parts, each of which is a mask with the logits behind it."""

    @abstractmethod
    def _part(self, record: Kept, part: Part) -> tuple[str, StoredMethod]:
        """The name that a part's files begin with, and its figures; 404 when there is none."""

    def mask(self, result: str, part: Part) -> Picture:
        """Indexed mask of one part."""
        prefix, _ = self._part(self._record(result), part)
        return _png(self._file(result, file_name(prefix, MASK)))

    def overlay(self, result: str, part: Part) -> Picture:
        """The mask in the classes' colours."""
        prefix, stored = self._part(self._record(result), part)
        return _png(draw_overlay(stored, self._file(result, file_name(prefix, MASK))))

    def heatmap(self, result: str, part: Part, place: int) -> Picture:
        """Heatmap of the prompt at ``place``."""
        record = self._record(result)
        prefix, stored = self._part(record, part)
        image = self._kept.image(record.image)
        logits = self._file(result, file_name(prefix, LOGITS))
        return _png(draw_heatmap(stored, logits, place, (image.width, image.height)))


def _png(content: bytes) -> Picture:
    return Picture(content, "image/png")
