"""What an operator watches, and how often one client may ask."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from backend.server.settings import Settings
from tests.server.conftest import picture

SEGMENTATIONS = "/api/v1/models/demo/segmentations"
Start = Callable[..., object]


def ask(client: TestClient) -> int:
    sent = client.post(SEGMENTATIONS, files={"image": picture()}, data={"prompts": "cat"})
    return sent.status_code


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def test_what_is_done_is_counted(start: Start) -> None:
    with start() as client:
        registry = client.app.state.metrics.registry
        assert ask(client) == 200
        client.get("/demo/pairs/3/4")
        client.get("/api/v1/models/demo/pairs/99999/4")
        client.get("/no/such/page/at/all")
        timed = "pairscope_request_seconds_count"
        for method, route, status in (
            ("POST", "post_segmentation", "200"),
            ("GET", "pair", "200"),
            ("GET", "get_pair", "404"),
            ("GET", "none", "404"),
        ):
            assert value(registry, timed, method=method, route=route, status=status) == 1
        # 12 x 16 cells are six windows of 8 x 8 cells, and the whole picture is one more input.
        assert value(registry, "pairscope_batch_parts_sum") == 7
        assert value(registry, "pairscope_batch_parts_count") == 2
        assert value(registry, "pairscope_queue_seconds_count") == 1
        assert value(registry, "pairscope_queue_length") == 0
        assert value(registry, "pairscope_models_ready") == 1
        assert value(registry, "pairscope_uploads_bytes") > 0
        assert value(registry, "pairscope_encoded_bytes") > 0
        assert value(registry, "pairscope_encoded_lookups_total", found="no") == 1


def test_they_have_an_address_of_their_own(client: TestClient) -> None:
    listening, _ = client.app.state.metrics.serve("127.0.0.1", 0)
    try:
        address = f"http://127.0.0.1:{listening.server_port}/metrics"
        with urllib.request.urlopen(address) as response:
            text = response.read().decode()
    finally:
        listening.shutdown()
        listening.server_close()
    assert "pairscope_queue_length" in text
    assert client.get("/metrics").status_code == 404, "and no other"


def test_an_address_that_is_taken_is_an_error(client: TestClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        client.app.state.metrics.serve("127.0.0.1", taken.getsockname()[1])


def test_a_client_may_ask_so_often_and_no_more(start: Start) -> None:
    with start(rate_limit="2/minute", live=False) as client:
        shares = [client.post("/api/v1/shares", json={"view": "/demo"}) for _ in range(3)]
        assert [share.status_code for share in shares] == [200, 200, 429]
        assert 0 < int(shares[2].headers["retry-after"]) <= 60
        error = shares[2].json()["error"]
        assert error["code"] == "too_many_requests"
        assert "2 are taken in 1 minute" in error["message"]
        assert client.get("/demo").status_code == 200, "looking is free"
        refused = "pairscope_refused_total"
        assert value(client.app.state.metrics.registry, refused, status="429") == 1


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, None),
        ({"host": "0.0.0.0"}, "60/minute"),
        ({"host": "0.0.0.0", "rate_limit": "off"}, None),
        ({"rate_limit": "5/second"}, "5/second"),
    ],
)
def test_on_loopback_there_is_no_limit_by_default(given: dict, rate: str | None) -> None:
    assert Settings(stores=(), data=".", **given).rate() == rate


def test_a_rate_that_means_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="60/minute"):
        Settings(stores=(), data=".", rate_limit="often")
