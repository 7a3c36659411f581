"""Everything an operator can set, in one typed object that is handed to ``create_app``."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from backend.server.rate_limits import OFF, check_rate

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
"""Largest request body: uploads above 1 MB are spooled to disk, so this bounds disk and time."""

MAX_PIXELS = 40_000_000
"""Largest picture: decoding holds 3 bytes a pixel (120 MB), a 16-bit or CMYK one 4 to 8."""

MAX_ASPECT = 10
"""Longest side over shortest: the shorter side is scaled to the model's input, so the number of
windows grows with this ratio (a 10,000 x 10 picture would become 384,000 x 384).  Up to 10 every
model needs at most 58 of the segmenter's windows."""

UPLOAD_LIFETIME = timedelta(days=1)
"""An upload that nobody shares is deleted after this long."""

MAX_STORED_BYTES = 2 * 1024**3
"""All uploads and shared results together, so that nobody uses the server to host images."""

MAX_SHARES = 100_000
"""Rows of the share database: about 1 GB with the longest addresses, titles and notes."""

MAX_ENCODED_BYTES = 512 * 1024**2
"""What the backbone left of pictures: about 5 MB of RN50x16 for a picture of the usual shape, up to
four times as much when many methods were asked."""

MAX_WORK = 200_000
"""Windows x prompts x templates x methods of one request.  20 prompts in 80 templates on the most
elongated picture (58 windows) ask for 92,800: minutes of RN50x16 on two processor cores."""

QUEUE_BOUND = 16
"""Requests that may wait for the device.  At a second each on a CPU the last one waits 16 s; more
would only run into the deadline."""

DEADLINE = timedelta(seconds=60)
"""A request that has not been answered by the device after this long is given up."""

DRAIN = timedelta(seconds=30)
"""On shutdown, work that was already admitted has this long to finish."""

PURGE_INTERVAL = timedelta(minutes=10)
"""Between two sweeps of expired uploads; each lists one folder."""


RATE = "60/minute"
"""What one client may upload, share or ask about a picture, where others than this machine can."""


LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def _public_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must begin with http:// or https:// and name a host")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("must have no query, no fragment and no user name")
    return value.rstrip("/")


def _rate(value: str | None) -> str | None:
    return None if value is None else check_rate(value)


class Settings(BaseModel):
    """Settings of one server process.

    ``stores`` are store directories; ``data`` is the folder for uploads and shares (made if
    missing); ``device`` is a torch device name or ``auto``, ``half`` whether a GPU convolves in
    half precision; ``checkpoint`` replaces the weights named by the stores' tags; ``public_url`` is
    the address under which visitors reach the server, whose path becomes the prefix of every
    address; ``allowed_hosts`` are further Host names to answer to (``*`` for all); ``live`` false
    serves stored data alone and expects no weights.  ``rate_limit`` is what one client may ask for,
    like ``60/minute``, or ``off``; clients are told apart by their address, which those of
    ``trusted_proxies`` pass on.  Metrics are served at ``metrics_host`` and ``metrics_port``, if
    one is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stores: tuple[Path, ...]
    data: Path
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    device: str = "auto"
    half: bool = False
    checkpoint: Path | None = None
    public_url: Annotated[str | None, AfterValidator(_public_url)] = None
    allowed_hosts: tuple[str, ...] = ()
    live: bool = True

    max_upload_bytes: int = Field(default=MAX_UPLOAD_BYTES, gt=0)
    max_pixels: int = Field(default=MAX_PIXELS, gt=0)
    max_aspect: float = Field(default=MAX_ASPECT, ge=1)
    upload_lifetime: timedelta = UPLOAD_LIFETIME
    max_stored_bytes: int = Field(default=MAX_STORED_BYTES, ge=0)
    max_shares: int = Field(default=MAX_SHARES, ge=0)
    max_encoded_bytes: int = Field(default=MAX_ENCODED_BYTES, ge=0)
    max_work: int = Field(default=MAX_WORK, gt=0)
    queue_bound: int = Field(default=QUEUE_BOUND, ge=1)
    deadline: timedelta = DEADLINE
    drain: timedelta = DRAIN
    purge_interval: timedelta = PURGE_INTERVAL
    rate_limit: Annotated[str | None, AfterValidator(_rate)] = None
    trusted_proxies: tuple[str, ...] = ()
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = Field(default=None, ge=0, le=65535)

    def rate(self) -> str | None:
        """How often one client may ask; by default there is no limit on loopback."""
        if self.rate_limit is None:
            return None if self.host in LOOPBACK else RATE
        return None if self.rate_limit == OFF else self.rate_limit

    def hosts(self) -> list[str]:
        """Host names that the server answers to: loopback, its own address, the public one."""
        names = ["localhost", "127.0.0.1", "[::1]", *self.allowed_hosts]
        if self.host not in {"0.0.0.0", "::"}:  # noqa: S104 (compared, not bound)
            names.append(f"[{self.host}]" if ":" in self.host else self.host)
        if self.public_url is not None:
            hostname = urlsplit(self.public_url).hostname or ""
            names.append(f"[{hostname}]" if ":" in hostname else hostname)
        return names
