"""What a question about a picture starts from: what it says itself, or a segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.server import schemas
from backend.server.errors import invalid, not_found
from backend.server.images import Given
from backend.server.kept import KeptUploads
from backend.server.segmentations import SEGMENTATION


@dataclass(frozen=True)
class Basis:
    """A picture and how prompts are answered.

    Attributes:
        segmentation: id of the one that all of it comes from.
        prompts: that one's prompts; none without one.
        method: that one's first method; ``None`` without one.
    """

    given: Given
    options: schemas.SegmentationOptions
    segmentation: str | None = None
    prompts: Sequence[str] = ()
    method: schemas.Method | None = None


def basis_of(
    kept: KeptUploads, model: str, asked: schemas.ResultRequest, upload: bytes | None
) -> Basis:
    """What a request starts from.

    Raises 404 for a segmentation that is not there or another model's, 422 when a picture is given
    beside it.
    """
    if asked.segmentation is None:
        return Basis(Given(upload, asked.image_id, asked.sample), asked)
    if upload is not None or asked.image_id is not None or asked.sample is not None:
        raise invalid("segmentation", "A segmentation brings its picture; give no other.")
    record = kept.result(SEGMENTATION, asked.segmentation)
    if record.model != model:
        raise not_found("segmentation", "This model has no such segmentation.")
    return Basis(
        given=Given(image_id=record.image),
        options=record.options(),
        segmentation=record.id,
        prompts=record.prompts,
        method=record.results[0].method,
    )
