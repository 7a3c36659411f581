"""What all results of visitors' pictures say."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from backend.server.schemas.base import Wire


class Timings(Wire):
    """Where the time of an answer went, on this server."""

    waited_seconds: float = Field(description="in the queue for the device")
    device_seconds: float = Field(
        description="on the device; of a pass that several requests shared, this one's part"
    )
    encoded_before: bool = Field(
        description="whether the picture had been through the model already"
    )


class Result(Wire):
    """Something made of a picture, kept as long as that is."""

    id: str
    model: str
    image: str = Field(description="id of the picture")
    image_url: str
    url: str = Field(description="the lab page that shows it")
    timings: Timings
    data_version: str
    created: datetime
    expires: datetime | None = Field(description="null once it is shared")
