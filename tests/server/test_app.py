"""What every request passes: hosts, prefix, limits, headers, errors, readiness."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

import backend.clip
from backend.clip.models import DEMO_WEIGHTS
from backend.server.app import create_app
from backend.server.engine import Engine
from backend.server.settings import Settings
from backend.store import StoreError
from tests.server.conftest import picture, serving
from tests.server.tiny_store import write_checkpoint, write_store

API = "/api/v1"
Start = Callable[..., object]


def _error(response: httpx.Response) -> dict:
    body = response.json()
    assert set(body) == {"error"}
    assert body["error"]["status"] == response.status_code
    return body["error"]


# Hosts


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8123", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:80", 200),
        ("[::1]:8000", 200),
        ("example.org", 200),
        ("a.friend.net", 200),
        ("friend.net", 400),
        ("evil.net", 400),
        ("localhost.evil.net", 400),
        ("localhost:80@evil.net", 400),
        ("localhost/x", 400),
        ("", 400),
    ],
)
def test_only_known_hosts_are_answered(start: Start, host: str, status: int) -> None:
    with start(
        live=False, public_url="https://example.org", allowed_hosts=("*.friend.net",)
    ) as client:
        response = client.get(f"{API}/models", headers={"Host": host})
        assert response.status_code == status
        if status != 200:
            assert _error(response)["code"] == "unknown_host"
        assert client.get("/healthz", headers={"Host": host}).status_code == 200


# Prefix


def test_a_prefix_works_stripped_or_not(start: Start) -> None:
    with start(live=False, public_url="https://example.org/pair/scope/") as client:
        for mounted in ("", "/pair/scope"):
            pair = client.get(f"{mounted}{API}/models/demo/pairs/3/4").json()
            assert pair["url"] == "/pair/scope/demo/pairs/3/4"
            assert client.get(f"{mounted}/demo/pairs/3/4").status_code == 200
            assert client.get(f"{mounted}/").status_code == 200
            assert client.get(pair["top_images"][0]["url"]).status_code == 200
            assert client.get(f"{mounted}/readyz").status_code == 200
            assert _error(client.get(f"{mounted}{API}/x"))["code"] == "not_found"
        assert client.get("/pair/scope").status_code == 200
        described = client.get(f"/pair/scope{API}/openapi.json").json()
        assert described["servers"] == [{"url": "/pair/scope"}]
        page = client.get("/pair/scope/demo").text
        static = page.split('rel="stylesheet" href="')[1].split('"')[0]
        assert static.startswith("/pair/scope/static/")
        assert client.get(static).status_code == 200


def test_a_share_under_a_prefix(start: Start) -> None:
    with start(live=False, public_url="https://example.org/ps") as client:
        for view in ("/ps/demo/pairs/3/4", "/demo/pairs/3/4"):
            made = client.post(f"{API}/shares", json={"view": view}).json()
            assert made["url"] == f"/ps/s/{made['id']}"
            assert client.get(f"/ps{API}/shares/{made['id']}").json()["view"] == (
                "/ps/demo/pairs/3/4"
            )


def test_a_store_may_not_be_named_like_the_prefix(tmp_path: Path, store: Path) -> None:
    with pytest.raises(StoreError, match="demo"):
        create_app(
            Settings(stores=(store,), data=tmp_path, public_url="https://example.org/demo/x")
        )


def test_two_stores_of_one_name_are_refused(tmp_path: Path, store: Path) -> None:
    with pytest.raises(StoreError, match="two stores"):
        create_app(Settings(stores=(store, store), data=tmp_path))


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [
        ("/demo/?a=b", "/ps/demo?a=b"),
        ("/ps/demo/", "/ps/demo"),
        ("/demo/pairs/3/4/", "/ps/demo/pairs/3/4"),
        ("/%5Cevil.net/", "/ps/%5Cevil.net"),
        ("/%0Aevil.net/", "/ps/%0Aevil.net"),
        ("//evil.net/", None),
        ("/", None),
        ("/ps/", None),
        (f"{API}/models/", None),
    ],
)
def test_a_slash_too_many(start: Start, path: str, leads_to: str | None) -> None:
    with start(live=False, public_url="https://example.org/ps") as client:
        response = client.get(f"http://localhost{path}", follow_redirects=False)
        assert response.headers.get("location") == leads_to
        assert response.status_code == (308 if leads_to else response.status_code)


# Headers


def test_security_headers(client: TestClient) -> None:
    for path in ("/", "/demo/pairs/3/4", f"{API}/models", "/nothing/here", "/healthz"):
        headers = client.get(path, headers={"Accept": "text/html"}).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-request-id"]
        assert "server" not in headers


def test_other_sites_change_nothing(client: TestClient) -> None:
    response = client.post(
        f"{API}/shares", json={"view": "/"}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert response.status_code == 403
    assert _error(response)["code"] == "cross_site"


# Errors


def test_errors_are_json_for_programs_and_a_page_for_people(client: TestClient) -> None:
    page = client.get("/demo/pairs/99999/0", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "0 to 1023" in page.text
    assert page.headers["x-request-id"] in page.text
    assert _error(client.get("/demo/pairs/99999/0"))["code"] == "unknown_neuron"
    api = client.get(f"{API}/models/x", headers={"Accept": "text/html"})
    assert _error(api)["code"] == "unknown_model"


def test_wrong_method(client: TestClient) -> None:
    response = client.post(f"{API}/models")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert _error(response)["code"] == "method_not_allowed"


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_an_unexpected_failure_tells_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, accept: str
) -> None:
    def fail(self: Engine, key: str) -> None:
        raise RuntimeError("/secret/path")

    with start(live=False) as client:
        # The one replaced function of this suite: nothing else is known to fail unexpectedly.
        monkeypatch.setattr(Engine, "status", fail)
        response = client.get(f"{API}/models", headers={"Accept": accept})
        assert response.status_code == 500
        error = _error(response)
        assert "secret" not in response.text
        assert error["request_id"] == response.headers["x-request-id"]
        assert error["request_id"] in caplog.text
        assert "nosniff" in response.headers["x-content-type-options"]


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 422), (b"\xff", 400), (b"[]", 422), (b'{"view": "\\ud800"}', 422), (b"null", 422)],
)
def test_broken_json(client: TestClient, content: bytes, status: int) -> None:
    response = client.post(
        f"{API}/shares", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == status
    _error(response)


def test_json_sent_as_something_else_says_how(client: TestClient) -> None:
    response = client.post(
        f"{API}/shares",
        content=b"{}",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert response.status_code == 422
    assert "application/json" in _error(response)["message"]


def test_broken_multipart(client: TestClient) -> None:
    response = client.post(
        f"{API}/models/demo/segmentations",
        content=b"--x\r\nnonsense",
        headers={"Content-Type": "multipart/form-data; boundary=x"},
    )
    assert response.status_code in {400, 422}
    _error(response)


# Limits, over a real connection


def test_bodies_are_limited_chunked_or_not(store: Path, tmp_path: Path) -> None:
    limit = 100_000
    app = create_app(Settings(stores=(store,), data=tmp_path, live=False, max_upload_bytes=limit))
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'

    def chunks() -> Iterator[bytes]:
        yield start
        for _ in range(200):
            yield b"\0" * 10_000

    with serving(app) as url:
        address = f"{url}{API}/models/demo/segmentations"
        chunked = httpx.post(address, content=chunks(), headers=headers)
        declared = httpx.post(address, content=b"\0" * (limit + 1), headers=headers)
        text = httpx.post(
            f"{url}{API}/shares", json={"view": "/", "note": "a" * 70_000}, headers={}
        )
        for response in (chunked, declared, text):
            assert response.status_code == 413
            assert _error(response)["code"] == "content_too_large"
            assert "limit" in _error(response)["message"]
        assert "server" not in chunked.headers
        assert httpx.get(f"{url}/healthz").status_code == 200


# Readiness


def test_ready_when_everything_answers(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready"}


def test_other_weights_than_the_stores_are_refused_loudly(
    start: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = tmp_path / "other.safetensors"
    write_checkpoint(other, seed=1)
    with start(checkpoint=other) as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "not those that the store demo was made with" in _error(response)["message"]
        assert "not those" in caplog.text
        assert client.get("/healthz").status_code == 200
        summary = client.get(f"{API}/models").json()["models"][0]
        assert summary["live"] == "unavailable"
        assert "not those" in summary["live_message"]
        # Everything stored is served all the same.
        assert client.get("/demo/pairs/3/4").status_code == 200
        assert client.get(f"{API}/models/demo/search?q=cat").status_code == 200
        free = client.get(f"{API}/models/demo/search?q=free+text")
        assert free.status_code == 503
        assert _error(free)["code"] == "model_unavailable"
        upload = client.post(
            f"{API}/models/demo/segmentations",
            files={"image": picture()},
            data={"prompts": ["cat"]},
        )
        assert upload.status_code == 503


def test_missing_weights_name_no_path(start: Start, tmp_path: Path) -> None:
    with start(checkpoint=tmp_path / "nowhere.safetensors") as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "nowhere" not in response.text
        assert str(tmp_path) not in json.dumps(client.get(f"{API}/models").json())


def test_while_the_model_loads_stored_data_are_served(
    store: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, load = threading.Event(), backend.clip.load_model

    def slowly(*given: object, **named: object) -> object:
        assert gate.wait(30)
        return load(*given, **named)

    monkeypatch.setattr(backend.clip, "load_model", slowly)
    app = create_app(Settings(stores=(store,), data=tmp_path, checkpoint=checkpoint, device="cpu"))
    with TestClient(app, base_url="http://localhost") as client:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "being loaded" in _error(response)["message"]
        assert client.get(f"{API}/models").json()["models"][0]["live"] == "loading"
        etag = client.get(f"{API}/models").headers["etag"]
        assert client.get("/demo/pairs/3/4").status_code == 200
        assert client.get(f"{API}/models/demo/search?q=cat").status_code == 200
        free = client.get(f"{API}/models/demo/search?q=free+text")
        upload = client.post(
            f"{API}/models/demo/segmentations",
            files={"image": picture()},
            data={"prompts": ["cat"]},
        )
        for response in (free, upload):
            assert response.status_code == 503
            assert _error(response)["code"] == "model_loading"
            assert int(response.headers["retry-after"]) > 0
        gate.set()
        assert app.state.services.engine.wait_settled(60)
        assert client.get("/readyz").status_code == 200
        fresh = client.get(f"{API}/models", headers={"If-None-Match": etag})
        assert fresh.json()["models"][0]["live"] == "ready"
        assert client.get(f"{API}/models/demo/search?q=free+text").status_code == 200


def test_not_ready_while_shutting_down(start: Start) -> None:
    with start() as client:
        assert client.get("/readyz").status_code == 200
        client.app.state.services.engine.refuse()
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "shutting down" in _error(response)["message"]
        assert client.get("/healthz").status_code == 200


def test_without_live_models_stored_data_alone_is_ready(start: Start) -> None:
    with start(live=False) as client:
        assert client.get("/readyz").status_code == 200


def test_two_stores_of_the_same_weights_share_a_model(
    start: Start, store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "second", checkpoint, name="second", seed=1, exemplars=False)
    with start(stores=(store, tmp_path / "second")) as client:
        models = client.get(f"{API}/models").json()["models"]
        assert [model["name"] for model in models] == ["demo", "second"]
        assert {model["live"] for model in models} == {"ready"}
        pair = client.get(f"{API}/models/second/pairs/3/4").json()
        assert pair["top_images"] == []
        assert pair["heatmap_scale"] is None
        assert client.get(f"{API}/models/second/images/3.webp").status_code == 404
        assert client.get(f"{API}/models/second/pairs/3/4/heatmaps/3.png").status_code == 404
        assert client.get("/second/pairs/3/4").status_code == 200


def test_a_checkpoint_is_for_the_store_that_it_fits(
    start: Start, store: Path, tmp_path: Path
) -> None:
    """The other store loads what its own tag names."""
    shipped = tmp_path / "shipped"
    write_store(shipped, DEMO_WEIGHTS, name="shipped")
    with start(stores=(store, shipped)) as client:
        live = {m["name"]: m["live"] for m in client.get(f"{API}/models").json()["models"]}
    assert live == {"demo": "ready", "shipped": "ready"}
