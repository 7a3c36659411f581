"""A server over a small store with a real model of random weights, and no mocks."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from backend.server.app import create_app
from backend.server.settings import Settings
from tests.server.tiny_store import write_checkpoint, write_store

BASE_URL = "http://localhost"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    write_checkpoint(path)
    return path


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path) -> Path:
    path = tmp_path_factory.mktemp("store") / "demo"
    write_store(path, checkpoint)
    return path


@pytest.fixture(scope="session")
def start(
    tmp_path_factory: pytest.TempPathFactory, store: Path, checkpoint: Path
) -> Callable[..., object]:
    """Starts a server with its own data folder; keywords override its settings."""

    @contextmanager
    def run(**given: object) -> Iterator[TestClient]:
        settings = {
            "stores": (store,),
            "checkpoint": checkpoint,
            "device": "cpu",
            "data": tmp_path_factory.mktemp("data"),
            **given,
        }
        app = create_app(Settings(**settings))
        # Unexpected exceptions must come back as the same error body as everything else.
        with TestClient(app, base_url=BASE_URL, raise_server_exceptions=False) as client:
            assert app.state.services.engine.wait_settled(60)
            yield client

    return run


@pytest.fixture(scope="session")
def client(start: Callable[..., object]) -> Iterator[TestClient]:
    """A server with its model loaded, shared by tests that leave it as it was."""
    with start() as client:
        yield client


def picture(
    width: int = 80, height: int = 60, format: str = "PNG", mode: str = "RGB", **options: object
) -> bytes:
    """An encoded picture with something in it."""
    ramp = np.add.outer(np.arange(height), np.arange(width)) % 256
    channels = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(channels).convert(mode).save(out, format, **options)
    return out.getvalue()


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Address of ``app`` on a real connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
