"""Pictures that visitors give."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from backend.server.schemas.base import Wire
from backend.server.schemas.options import SegmentationOptions


class ImageRequest(Wire):
    """A new picture; an uploaded file goes beside it, as the multipart field ``image``."""

    sample: int | None = Field(
        default=None,
        ge=0,
        description="number of an image of the data set, whose thumbnail is taken",
    )


class PictureRequest(ImageRequest):
    """Which picture: a new one, or one that was uploaded before."""

    image_id: str | None = Field(
        default=None, max_length=64, description="id of a picture that was uploaded before"
    )


class ResultRequest(PictureRequest, SegmentationOptions):
    """A picture and how prompts are answered: also those of a segmentation, with its prompts."""

    segmentation: str | None = Field(
        default=None,
        max_length=64,
        description="id of a segmentation: its picture, its prompts and its options",
    )


class UploadedImage(Wire):
    id: str
    image: str = Field(description="the same id, as the results of the picture name it")
    model: str
    width: int = Field(description="pixels of the upright picture")
    height: int
    rows: int = Field(description="cells of the grid that it is segmented on, by default settings")
    columns: int
    image_url: str = Field(description="the picture, at most 2,048 pixels a side")
    url: str = Field(description="the lab page with this picture")
    picture_known: bool = Field(
        description="false when the picture is stranger to the model than 95 % of the data set"
    )
    picture_doubt: str | None = Field(description="why the model may not know it, in one sentence")
    suggestions: list[str] = Field(description="words that the whole picture is most like")
    first_prompts: list[str] = Field(
        description="prompts to begin with: the nearest of these, names of one thing as synonyms"
    )
    data_version: str
    created: datetime
    expires: datetime | None = Field(description="null while a share keeps it")


class ImageCreated(UploadedImage):
    delete_token: str = Field(
        description="shown once; deletes the picture and all that was made of it"
    )
