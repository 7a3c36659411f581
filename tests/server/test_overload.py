"""Too many at once: every answer is right or a 503 with Retry-After, and all is well afterwards."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from backend.server.app import create_app
from backend.server.services import Services
from backend.server.settings import Settings
from tests.server.conftest import picture, serving

ADDRESS = "/api/v1/models/demo/segmentations"
AT_ONCE = 12
FLOOD_SECONDS = 4.0
PATIENCE = 120


class Gate:
    """Keeps the device busy until it is opened."""

    def __init__(self, services: Services) -> None:
        self._begun, self._open = threading.Event(), threading.Event()
        key = services.catalog.open_store("demo").model_key
        self.running = services.engine.submit(key, self._hold)
        assert self._begun.wait(PATIENCE)

    def _hold(self, model: object) -> None:
        self._begun.set()
        assert self._open.wait(PATIENCE)

    def open(self) -> None:
        self._open.set()


@contextmanager
def server(store: Path, checkpoint: Path, data: Path, **given: object) -> Iterator[tuple]:
    """Address and services of a real server with its model loaded."""
    settings = Settings(stores=(store,), checkpoint=checkpoint, device="cpu", data=data, **given)
    app = create_app(settings)
    with serving(app) as url:
        services = app.state.services
        assert services.engine.wait_settled(PATIENCE)
        yield url, services


def segment(url: str) -> httpx.Response:
    return httpx.post(
        url + ADDRESS, files={"image": picture()}, data={"prompts": "cat"}, timeout=PATIENCE
    )


def logits(answer: httpx.Response) -> list[list[float]]:
    return answer.json()["classes"][0]["logits"]


def wait_for(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_a_flood_is_answered_or_sent_away(store: Path, checkpoint: Path, tmp_path: Path) -> None:
    with server(store, checkpoint, tmp_path, queue_bound=2) as (url, services):
        wanted = logits(segment(url))
        ends = time.monotonic() + FLOOD_SECONDS

        def ask(_: int) -> list[httpx.Response]:
            answers = []
            while time.monotonic() < ends:
                answers.append(segment(url))
            return answers

        with ThreadPoolExecutor(AT_ONCE) as clients:
            answers = [answer for own in clients.map(ask, range(AT_ONCE)) for answer in own]
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        for answer in answers:
            if answer.status_code == 200:
                assert np.allclose(logits(answer), wanted, rtol=1e-2, atol=1e-4)
            else:
                assert answer.json()["error"]["code"] == "busy"
                assert int(answer.headers["Retry-After"]) > 0
        assert segment(url).status_code == 200, "served at once afterwards"
        assert services.engine.waiting == 0
        assert not list((tmp_path / "scratch").iterdir())


def test_who_hangs_up_frees_a_place_and_hurts_nobody(
    store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    with server(store, checkpoint, tmp_path, queue_bound=2) as (url, services):
        gate = Gate(services)
        host, _, port = url.removeprefix("http://").partition(":")
        request = httpx.Request(
            "POST", url + ADDRESS, files={"image": picture()}, data={"prompts": "cat"}
        )
        head = f"POST {ADDRESS} HTTP/1.1\r\nHost: {host}\r\n" + "".join(
            f"{name}: {request.headers[name]}\r\n" for name in ("content-type", "content-length")
        )
        gone = socket.create_connection((host, int(port)))
        gone.sendall(head.encode() + b"\r\n" + request.read())
        wait_for(lambda: services.engine.waiting == 1)
        with ThreadPoolExecutor(1) as clients:
            mate = clients.submit(segment, url)
            wait_for(lambda: services.engine.waiting == 2)
            assert segment(url).status_code == 503, "all places are taken"
            gone.close()
            wait_for(lambda: services.engine.waiting == 1)
            gate.open()
            assert mate.result().status_code == 200
        assert segment(url).status_code == 200
        kept = list((tmp_path / "results").iterdir())
        assert len(kept) == 2, "nothing is kept for who is gone"


def test_on_shutdown_what_runs_is_finished_and_what_comes_is_refused(
    store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    with server(store, checkpoint, tmp_path) as (url, services):
        gate = Gate(services)
        with ThreadPoolExecutor(1) as clients:
            admitted = clients.submit(segment, url)
            wait_for(lambda: services.engine.waiting == 1)
            services.engine.refuse()  # what the signal handler does first
            refused = segment(url)
            assert refused.status_code == 503
            assert refused.json()["error"]["code"] == "shutting_down"
            assert int(refused.headers["Retry-After"]) > 0
            assert httpx.get(url + "/readyz").status_code == 503
            assert httpx.get(url + "/demo/pairs/3/4").status_code == 200
            gate.open()
            assert admitted.result().status_code == 200


def test_pictures_of_different_visitors_share_passes(
    store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """And are told the same, whatever they share a pass with."""
    with server(store, checkpoint, tmp_path) as (url, services):
        gate = Gate(services)
        with ThreadPoolExecutor(3) as clients:
            asked = [clients.submit(segment, url) for _ in range(3)]
            wait_for(lambda: services.engine.waiting == 3)
            gate.open()
            first, *others = [logits(each.result()) for each in asked]
        for other in others:
            assert np.allclose(first, other, rtol=1e-2, atol=1e-4)
