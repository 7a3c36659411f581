"""What an operator watches, in Prometheus' format, on an address of its own.

One registry a server process; nothing is measured that costs a request more than a microsecond.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

import torch
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from backend.server.services import Services

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Edges of the histograms of time: from a stored page to the deadline."""

PARTS = (1, 2, 4, 8, 16, 32)

UNMATCHED = "none"
"""Route of requests that no route answered.  Routes are told by the names of their functions: paths
are as many as anybody makes up."""


class Metrics:
    """The figures of one server process; also what the engine tells of its work."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Histogram(
            "pairscope_request_seconds",
            "Time from the first byte of a request to the last of its answer",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=self.registry,
        )
        self._batches = Histogram(
            "pairscope_batch_parts",
            "Parts (windows of pictures) in a pass over the device",
            buckets=PARTS,
            registry=self.registry,
        )
        self._waits = Histogram(
            "pairscope_queue_seconds",
            "Time that work waited for the device",
            buckets=SECONDS,
            registry=self.registry,
        )
        self._refused = Counter(
            "pairscope_refused",
            "Answers that sent a client away: 429 (too many requests), 503 (busy) or 507 (full)",
            ("status",),
            registry=self.registry,
        )

    def passed(self, parts: int) -> None:
        self._batches.observe(parts)

    def waited(self, seconds: float) -> None:
        self._waits.observe(seconds)

    def answered(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """An answer has been sent."""
        self._requests.labels(method, route, str(status)).observe(seconds)
        if status in {429, 503, 507}:
            self._refused.labels(str(status)).inc()

    def watch(self, services: Services) -> None:
        """Tell of the services, too, whenever somebody asks."""
        self.registry.register(_Now(services))

    def serve(self, host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
        """Listen on an address and a thread of its own; raises OSError if it is taken."""
        return start_http_server(port, host, self.registry)


class _Now(Collector):
    """Figures that are there anyway, read when somebody asks for them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        services = self._services
        encoded = services.lab.encoded
        yield GaugeMetricFamily(
            "pairscope_queue_length", "Work that waits for the device", services.engine.waiting
        )
        yield GaugeMetricFamily(
            "pairscope_models_ready", "Models that answer", services.engine.models_ready
        )
        yield GaugeMetricFamily(
            "pairscope_uploads_bytes", "Pictures and results kept", services.kept.stored_bytes
        )
        yield GaugeMetricFamily(
            "pairscope_encoded_bytes", "What is kept of encoded pictures", encoded.nbytes
        )
        found = CounterMetricFamily(
            "pairscope_encoded_lookups", "Questions about a picture", labels=("found",)
        )
        found.add_metric(("yes",), encoded.hits)
        found.add_metric(("no",), encoded.misses)
        yield found
        if torch.cuda.is_available():
            memory = GaugeMetricFamily(
                "pairscope_device_memory_bytes", "Held by tensors on a GPU", labels=("device",)
            )
            for device in range(torch.cuda.device_count()):
                memory.add_metric((f"cuda:{device}",), torch.cuda.memory_allocated(device))
            yield memory


class Timed:
    """Middleware that tells how long each answer took; the outermost, so that it sees them all."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status, method = time.monotonic(), 500, scope["method"]

        async def listen(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, listen)
        finally:
            self._metrics.answered(
                method=method if method in KNOWN_METHODS else "other",
                route=getattr(scope.get("route"), "name", None) or UNMATCHED,
                status=status,
                seconds=time.monotonic() - started,
            )


KNOWN_METHODS = {"GET", "HEAD", "POST", "DELETE", "OPTIONS"}
