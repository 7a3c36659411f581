"""``pairscope serve``: checks everything it can before it starts, and says when it is ready."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from backend.server.app import create_app
from backend.server.errors import reason
from backend.server.metrics import Metrics
from backend.server.routes.health import what_is_missing
from backend.server.services import Services
from backend.server.settings import Settings
from backend.store import StoreError

DEFAULT_DATA = Path("data")
BACKLOG = 2048


def serve(
    stores: Annotated[list[Path], typer.Argument(help="Store directories to serve.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 chooses one.")] = 8000,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    half: Annotated[
        bool, typer.Option("--half", help="On a GPU: the backbone in half precision.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Local weights, instead of those named by the store's tag.")
    ] = None,
    data: Annotated[
        Path, typer.Option(help="Folder of uploads and shares; made if missing.")
    ] = DEFAULT_DATA,
    public_url: Annotated[
        str | None,
        typer.Option(help="Address under which visitors reach the server; may carry a path."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Further host name to answer to; '*' for all.")
    ] = None,
    rate_limit: Annotated[
        str | None,
        typer.Option(
            help="What one client may ask for, like 60/minute, or off; by default 60/minute, and "
            "off on loopback. Counted in each process by itself."
        ),
    ] = None,
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address of a proxy that tells who the client is; may be repeated."),
    ] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Port of Prometheus metrics; none by default.")
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="Address of the metrics.")] = "127.0.0.1",
    live: Annotated[
        bool, typer.Option(help="Load the models; without, stored pages and word search alone.")
    ] = True,
) -> None:
    """Serve pages, API and live segmentation of one or more stores."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings = _settings(
        stores=tuple(stores),
        data=data,
        host=host,
        port=port,
        device=device,
        half=half,
        checkpoint=checkpoint,
        public_url=public_url,
        allowed_hosts=tuple(allow_host or ()),
        rate_limit=rate_limit,
        trusted_proxies=tuple(trust_proxy or ()),
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        live=live,
    )
    _check_weights(settings)
    _check_data(settings.data)
    try:
        app = create_app(settings)
    except StoreError as exc:
        fail(f"{exc}")
    listening = _listen(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=int(settings.drain.total_seconds()),
    )
    _serve_metrics(app, settings)
    server = Server(config, app, _address(settings, listening))
    server.run(sockets=[listening])
    if not server.started:
        fail("the server could not start; the lines above say why")
    if server.useless_checkpoint:
        fail(f"the checkpoint {checkpoint} does not hold the weights of any of the stores")


class Server(uvicorn.Server):
    """Refuses new work from the first signal on, and tells when everything answers."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, address: str) -> None:
        super().__init__(config)
        self._app = app
        self._address = address
        self._announcing: asyncio.Task[None] | None = None
        self.useless_checkpoint = False
        """Set when weights were given by hand and no store was made with them."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit:  # uvicorn's way to give up, under an exit code of its own
            self.should_exit = True
        if self.started:
            self._announcing = asyncio.create_task(self._announce())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        services: Services | None = getattr(self._app.state, "services", None)
        if services is not None:
            services.engine.refuse()
        super().handle_exit(sig, frame)

    async def _announce(self) -> None:
        """Print the address once the models are loaded, or known to be unavailable."""
        services: Services = self._app.state.services
        settings = services.settings
        if settings.live:
            typer.echo("Loading the model…", err=True)
        while not services.engine.settled and not self.should_exit:
            await asyncio.sleep(0.1)
        missing = what_is_missing(services)
        if self.should_exit:
            return
        if settings.live and settings.checkpoint is not None and not services.engine.models_ready:
            self.useless_checkpoint = self.should_exit = True
        elif missing:
            for sentence in missing:
                typer.echo(f"Without live answers: {sentence}", err=True)
            typer.echo(f"PairScope serves stored pages at {self._address}")
        else:
            typer.echo(f"PairScope is ready at {self._address}")


def _settings(**given: object) -> Settings:
    try:
        return Settings.model_validate(given)
    except ValidationError as exc:
        first = exc.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        fail(f"--{option}: {reason(first)}")


def _check_weights(settings: Settings) -> None:
    """See that the device exists and the checkpoint is a file; reading it is left to the engine."""
    if not settings.live:
        return
    # late: importing open_clip takes seconds, which a server of stored pages need not spend
    from backend.clip.errors import ModelError
    from backend.clip.models import resolve_device

    try:
        resolve_device(settings.device)
    except ModelError as exc:
        fail(f"{exc}")
    if settings.checkpoint is not None and not settings.checkpoint.is_file():
        fail(f"checkpoint {settings.checkpoint} does not exist")


def _check_data(data: Path) -> None:
    """Make the data folder and see that it can be written to."""
    probe = data / ".writable"
    try:
        data.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as exc:
        fail(f"the data folder {data} cannot be written to: {exc.strerror}")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket; opened here, so that a port in use is a sentence and not a traceback."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as exc:
        fail(
            f"cannot listen on {host}:{port}: {exc.strerror}; choose another with --port, or "
            "with PORT= under make"
        )
    listening.set_inheritable(True)
    return listening


def _serve_metrics(app: FastAPI, settings: Settings) -> None:
    if settings.metrics_port is None:
        return
    host, port = settings.metrics_host, settings.metrics_port
    metrics: Metrics = app.state.metrics
    try:
        listening, _ = metrics.serve(host, port)
    except OSError as exc:
        fail(f"cannot listen on {host}:{port}: {exc.strerror}; choose another --metrics-port")
    typer.echo(f"Metrics are at http://{host}:{listening.server_port}/metrics")


def _address(settings: Settings, listening: socket.socket) -> str:
    if settings.public_url is not None:
        return settings.public_url
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listening.getsockname()[1]}"


def fail(sentence: str) -> NoReturn:
    """End the command with one sentence on stderr and exit code 2."""
    typer.echo(f"pairscope: {sentence}", err=True)
    raise typer.Exit(2)
