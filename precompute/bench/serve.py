"""How fast the server answers stored pages and their JSON twins, and how large they are.

A server process of its own (`pairscope serve`, without a model) is asked over loopback by one
client, one request at a time on a kept connection.  Times are the client's, so they hold the
server's work, compression and the way there and back; the processor time of the server process
stands beside them, which other work on the machine disturbs less.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np
import torch

from backend.store import Store, open_store
from precompute.bench.models import SMALL
from precompute.bench.report import Part, report
from precompute.bench.rows import Row, own_row
from precompute.bench.storage import IMAGES, SMALL_IMAGES, SMALL_WORDS, WORDS, sizes_of
from precompute.bench.synthetic import write_synthetic_store
from precompute.errors import InputError

MODEL = "RN50x16"

TIME_REACH = 0.050
SIZE_REACH = 150e3

COLLECTED = 60
SEED = 0
WARM = 3
"""Requests of each kind that are not counted: the first make what is kept at hand."""

START_SECONDS = 120

Address = Callable[[np.random.Generator], str]


@dataclass(frozen=True)
class Asked:
    """A page and its twin.  Addresses are drawn at random: what is asked twice may be kept."""

    name: str
    page: Address | None
    twin: Address | None


def kinds(store: Store) -> list[Asked]:
    """Every stored page of a server with this store."""
    name = quote(store.name)
    words = store.vocabulary

    def at(prefix: str, rest: Address) -> Address:
        return lambda rng: f"{prefix}/{name}{rest(rng)}"

    def both(kind: str, rest: Address) -> Asked:
        return Asked(kind, at("", rest), at("/api/v1/models", rest))

    def pair(rng: np.random.Generator) -> str:
        return f"{rng.integers(store.n_neurons)}/{rng.integers(store.n_heads)}"

    def pairs(count: int) -> Address:
        return lambda rng: ",".join(pair(rng).replace("/", ".") for _ in range(count))

    def word(rng: np.random.Generator) -> str:
        return quote(words[rng.integers(len(words))])

    return [
        Asked("first page", lambda rng: "/", lambda rng: "/api/v1/models"),
        both("model", lambda rng: ""),
        both("search by a stored word", lambda rng: f"/search?q={word(rng)}"),
        both("table of pairs", lambda rng: f"/pairs?offset={25 * rng.integers(100)}"),
        both("table of pairs with a word", lambda rng: f"/pairs?words={word(rng)}&sort=cosine"),
        both("pair", lambda rng: f"/pairs/{pair(rng)}"),
        both("neuron", lambda rng: f"/neurons/{rng.integers(store.n_neurons)}"),
        both("head", lambda rng: f"/heads/{rng.integers(store.n_heads)}"),
        Asked("map of pairs", None, at("/api/v1/models", lambda rng: "/map")),
        Asked("comparison of 4", at("", lambda rng: f"/compare?pairs={pairs(4)(rng)}"), None),
        both("splits", lambda rng: "/splits"),
        both(
            f"collection of {COLLECTED}",
            lambda rng: f"/collection?pairs={pairs(COLLECTED)(rng)}",
        ),
        both("provenance", lambda rng: "/provenance"),
        Asked("method", lambda rng: "/docs", lambda rng: "/api/v1/openapi.json"),
    ]


def bench_serve(
    stores: list[Path], *, requests: int, quick: bool, note: Callable[[str], None]
) -> dict[str, Any]:
    """Machine, parameters and rows as plain data, over a synthetic store and ``stores``."""
    model = SMALL if quick else MODEL
    words, images = (SMALL_WORDS, SMALL_IMAGES) if quick else (WORDS, IMAGES)
    sizes = sizes_of(model, words=words, images=images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        note("synthetic store")
        made = write_synthetic_store(folder / f"synthetic-{model.lower()}", model, sizes)
        parts: list[Part] = [
            (path.name, partial(_rows, path, folder / "data", requests, note))
            for path in (made, *stores)
        ]
        return report(
            parts,
            device=torch.device("cpu"),
            parameters={"model": model, "requests": requests, "words": words, "images": images},
            quick=quick,
            note=note,
        )


def _rows(path: Path, data: Path, requests: int, note: Callable[[str], None]) -> list[Row]:
    store = open_store(path)
    rows: list[Row] = []
    with _server(path, data) as (address, process):
        for kind in kinds(store):
            note(f"{store.name}: {kind.name}")
            for what, make in (("page", kind.page), ("JSON", kind.twin)):
                if make is not None:
                    work = f"{kind.name}, {what}, {store.name}"
                    rows += _measured(work, make, address, process, requests)
    return rows


def _measured(
    work: str, make: Address, address: str, process: int, requests: int
) -> tuple[Row, Row]:
    """Rows of time and of size."""
    rng = np.random.default_rng(SEED)
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=START_SECONDS)
    for _ in range(WARM):
        _ask(connection, make(rng))
    begun = _processor_seconds(process)
    taken = [_ask(connection, make(rng)) for _ in range(requests)]
    processor = (_processor_seconds(process) - begun) / requests
    connection.close()
    times, lengths = zip(*taken, strict=True)
    cuts = quantiles(times, n=20, method="inclusive")
    p50, p95 = cuts[9], cuts[18]
    return (
        own_row(
            work,
            "s",
            p95,
            meaning="95th percentile",
            reach=TIME_REACH,
            how=f"p50 {1e3 * p50:.1f} ms, {requests} requests; processor time is their mean",
            by_processor_time=processor,
        ),
        own_row(
            work,
            "bytes",
            max(lengths),
            meaning="compressed",
            reach=SIZE_REACH,
            how="the largest answer",
        ),
    )


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[float, int]:
    """Seconds until the whole answer was there, and its bytes as they were sent."""
    headers = {"Accept": "text/html", "Accept-Encoding": "gzip"}
    begun = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    passed = time.perf_counter() - begun
    if answer.status != 200:
        raise InputError(f"{path} was answered with status {answer.status}")
    return passed, len(body)


def _processor_seconds(process: int) -> float:
    """Processor time of a process until now; counted in steps of 10 ms."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _server(store: Path, data: Path) -> Iterator[tuple[str, int]]:
    """Address and number of a server process over one store."""
    command = [sys.executable, "-m", "precompute.cli", "serve", str(store), "--no-live"]
    process = subprocess.Popen(  # noqa: S603 (this very program)
        [*command, "--port", "0", "--data", str(data)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        if "http" not in said:
            raise InputError("the server did not start")
        yield "http" + said.strip().rpartition("http")[2], process.pid
    finally:
        process.terminate()
        process.wait(START_SECONDS)
