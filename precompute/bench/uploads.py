"""Uploads at once against the same work in batches without a server, and three times too many.

The server runs in this process, on a port of its own on loopback, with a model of random weights
and a synthetic store.  Processor time therefore holds everything: decoding, the device's work,
writing, HTTP, and the clients.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from PIL import Image

from backend.clip import ClipResNet
from backend.clip.models import resolve_device
from backend.clip.segmentation import Segmenter
from backend.server.app import create_app
from backend.server.settings import Settings
from backend.server.uploads import decode_image
from precompute.bench.clock import in_turns
from precompute.bench.models import SMALL, random_model
from precompute.bench.report import report
from precompute.bench.rows import Row, own_row, time_row
from precompute.bench.storage import SMALL_IMAGES, SMALL_WORDS, sizes_of
from precompute.bench.synthetic import write_synthetic_store

REACH = 0.9
OVERLOAD = 3
MEMORY_REACH = 1e9
AFTER_REACH = 2.0

AT_ONCE = 16
"""Uploads under way at a time."""

PICTURE = (640, 480)
PICTURES = 8
PROMPTS = ("bird", "water", "rock")

WORDS, IMAGES = 2000, 1000

CLIENTS = 96
"""Threads that send requests when there are too many: those that are refused are free at once."""

SAMPLE_SECONDS = 0.2
"""Between two looks at the process' memory."""

PATIENCE = timedelta(minutes=10)
"""A slow machine is to be measured as well: nothing is given up for taking long."""

BOUNDARY = "pairscope-bench"


@dataclass(frozen=True)
class Sent:
    """One answer: HTTP status, whether it was what it had to be, and how long it took."""

    status: int
    right: bool
    seconds: float


def bench_uploads(
    model: str,
    device: str,
    note: Callable[[str], None],
    *,
    rounds: int,
    seconds: float,
    quick: bool,
) -> dict[str, Any]:
    """Machine, parameters and rows as plain data; too many requests come for ``seconds``."""
    place = torch.device(resolve_device(device))
    parameters = {
        "model": model,
        "at_once": AT_ONCE,
        "picture": list(PICTURE),
        "prompts": len(PROMPTS),
        "rounds": rounds,
        "overload_seconds": seconds,
    }

    def rows() -> list[Row]:
        with tempfile.TemporaryDirectory() as name:
            return _rows(Path(name), model, place, note, rounds=rounds, seconds=seconds)

    return report([("uploads", rows)], device=place, parameters=parameters, quick=quick, note=note)


def _rows(
    folder: Path,
    name: str,
    device: torch.device,
    note: Callable[[str], None],
    *,
    rounds: int,
    seconds: float,
) -> list[Row]:
    words, images = (SMALL_WORDS, SMALL_IMAGES) if name == SMALL else (WORDS, IMAGES)
    store = write_synthetic_store(
        folder / "uploads", name, sizes_of(name, words=words, images=images)
    )
    model = random_model(name, device)
    pictures = [_picture(seed) for seed in range(PICTURES)]
    with _server(store, folder / "data", model) as (port, segmenter):
        client = Client(port, pictures)
        read = segmenter.read(PROMPTS)

        def offline() -> None:
            decoded = [
                decode_image(pictures[n % PICTURES], max_pixels=10**7, max_aspect=10)
                for n in range(AT_ONCE)
            ]
            for encoded in segmenter.encode_many(decoded):
                segmenter.answer(encoded, read)

        def served() -> None:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                sent = list(threads.map(client.send, range(AT_ONCE)))
            if any(each.status != 200 for each in sent):
                raise RuntimeError("an upload was refused that should have been served")

        client.learn()
        note("16 at once")
        times = in_turns(
            {"offline": offline, "served": served}, rounds=rounds, device=device, warm=True
        )
        rate = OVERLOAD * AT_ONCE / times.median("served")
        note(f"{rate:.3g} uploads a second for {seconds:g} s")
        before = min(client.send(0).seconds for _ in range(3))
        with _peak_memory() as peak:
            sent = _flood(client, rate, seconds)
        after = client.send(0)
    how = f"{name}, {PICTURE[0]} x {PICTURE[1]} JPEG, {len(PROMPTS)} prompts"
    counted = Counter(each.status for each in sent)
    wrong = sum(not each.right for each in sent) + (not after.right)
    told = f"{len(sent)} requests: {counted[200]} answered, {counted[503]} sent away with 503"
    return [
        time_row(
            f"{AT_ONCE} uploads at once, {how}",
            times,
            "served",
            "offline",
            beside="decoding and segmenting them in full batches, without a server",
            reach=REACH,
            bound="at least",
            how=f"{rounds} rounds in turns; ours also keeps pictures and results on disk",
            meaning="throughput: theirs / ours",
        ),
        own_row(
            f"{OVERLOAD} x the load it can carry, {rate:.3g}/s for {seconds:g} s",
            "answers",
            wrong,
            meaning="answers neither right nor 503 with Retry-After",
            reach=0,
            how=told,
        ),
        own_row(
            "memory at its peak meanwhile, above that before",
            "bytes",
            peak.bytes,
            meaning="bytes",
            reach=MEMORY_REACH,
            how=f"resident size of the process, looked at every {SAMPLE_SECONDS:g} s",
        ),
        Row(
            work="the first upload afterwards",
            unit="s",
            ours=after.seconds,
            beside="one upload before",
            theirs=before,
            meaning="ours / theirs",
            figure=after.seconds / before,
            reach=AFTER_REACH,
            bound="at most",
            how="the fastest of three before, alone",
        ),
    ]


class Client:
    """Sends pictures, and knows what the answer to each must be."""

    def __init__(self, port: int, pictures: Sequence[bytes]) -> None:
        self._port = port
        self._bodies = [_form(picture) for picture in pictures]
        self._wanted: list[Any] = []

    def learn(self) -> None:
        """Ask about every picture by itself, once."""
        for place in range(len(self._bodies)):
            status, _, answer = self._post(place)
            if status != 200:
                raise RuntimeError(f"the server answered {status} to an upload")
            self._wanted.append(_figures(answer))

    def send(self, number: int) -> Sent:
        """Ask about one of the pictures."""
        place = number % len(self._bodies)
        begun = time.perf_counter()
        status, retry_after, answer = self._post(place)
        passed = time.perf_counter() - begun
        if status == 503:
            return Sent(status, retry_after is not None, passed)
        right = status == 200 and np.allclose(_figures(answer), self._wanted[place], atol=1e-3)
        return Sent(status, bool(right), passed)

    def _post(self, place: int) -> tuple[int, str | None, Any]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=PATIENCE.total_seconds()
        )
        try:
            connection.request(
                "POST",
                "/api/v1/models/uploads/segmentations",
                self._bodies[place],
                {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
            )
            answer = connection.getresponse()
            return answer.status, answer.headers["Retry-After"], json.loads(answer.read())
        finally:
            connection.close()


def _flood(client: Client, rate: float, seconds: float) -> list[Sent]:
    """Requests at a steady rate, whether or not the ones before have been answered."""
    count = max(1, round(rate * seconds))
    begun = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as threads:
        sent = []
        for number in range(count):
            time.sleep(max(0.0, begun + number / rate - time.perf_counter()))
            sent.append(threads.submit(client.send, number))
        return [each.result() for each in sent]


@dataclass
class _Peak:
    bytes: int = 0


@contextmanager
def _peak_memory() -> Iterator[_Peak]:
    """Bytes of the process above those at the beginning, at their most."""
    peak, before, over = _Peak(), _resident(), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLE_SECONDS):
            peak.bytes = max(peak.bytes, _resident() - before)

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield peak
    finally:
        over.set()
        looking.join()


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def _server(store: Path, data: Path, model: ClipResNet) -> Iterator[tuple[int, Segmenter]]:
    """Port of a server on loopback, and the segmenter that it uses."""
    settings = Settings(stores=(store,), data=data, deadline=PATIENCE)
    app = create_app(settings, load=lambda: model)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        services = app.state.services
        services.engine.wait_settled()
        (opened,) = services.catalog.stores()
        yield listening.getsockname()[1], opened.segmenter(model)
    finally:
        server.should_exit = True
        thread.join()


def _picture(seed: int) -> bytes:
    """A JPEG of smooth noise, as large as photographs of its size are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    out = io.BytesIO()
    coarse.resize(PICTURE, Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
    return out.getvalue()


def _form(picture: bytes) -> bytes:
    """A multipart body with a picture and the prompts."""
    fields = [("prompts", "", prompt.encode()) for prompt in PROMPTS]
    parts = [*fields, ("image", '; filename="picture.jpg"', picture)]
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, more, content in parts
    )
    return body + f"--{BOUNDARY}--\r\n".encode()


def _figures(answer: Any) -> list[float]:
    """Of an answer, what does not change from one to the next: areas, logits by their range."""
    logits = np.array([kind["logits"] for kind in answer["classes"]])
    shares = [kind["area_share"] for kind in answer["classes"]]
    return [*shares, *(logits / np.ptp(logits)).ravel().tolist()]
