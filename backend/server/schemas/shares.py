"""Links that people make."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from backend.server.schemas.ablations import Ablation
from backend.server.schemas.attributions import Attribution
from backend.server.schemas.base import Wire
from backend.server.schemas.images import UploadedImage
from backend.server.schemas.segmentations import Segmentation

MAX_TITLE_CHARACTERS = 200

MAX_NOTE_CHARACTERS = 2000

MAX_VIEW_CHARACTERS = 8000
"""An address that can be passed on: proxies and mail programs cut longer ones.  Collections have
the longest."""

Text = Annotated[str, Field(max_length=MAX_TITLE_CHARACTERS)]


class ShareRequest(Wire):
    """Exactly one of ``view`` and the ids is given.

    The view of a lab page may name a picture and results in its query; they are then shared with
    it.
    """

    image: str | None = Field(default=None, description="id of a picture")
    segmentation: str | None = Field(default=None, description="id of a segmentation")
    attribution: str | None = Field(default=None, description="id of an attribution")
    ablation: str | None = Field(default=None, description="id of an ablation")
    view: str | None = Field(
        default=None, max_length=MAX_VIEW_CHARACTERS, description="root-relative page"
    )
    title: Text = ""
    note: Annotated[str, Field(max_length=MAX_NOTE_CHARACTERS)] = ""


class ShareCreated(Wire):
    id: str
    url: str
    delete_token: str = Field(
        description="shown once; deletes the share and, unless another shows it, the picture"
    )


class Share(Wire):
    id: str
    url: str
    title: str
    note: str
    view: str | None
    image: UploadedImage | None
    segmentation: Segmentation | None
    attribution: Attribution | None
    ablation: Ablation | None
    data_version: str
    stale: bool = Field(description="true when the store has changed since this was shared")
    created: datetime


class DeleteToken(Wire):
    """One of the ways to give a delete token."""

    delete_token: str
