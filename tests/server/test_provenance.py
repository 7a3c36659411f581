"""Provenance: what a store records of its making, and the exactness report beside it."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from backend.server import formats
from backend.store import open_store
from backend.store.exactness import MAX_BYTES, keep_report, kept_report, report_path
from backend.store.integrity import check_integrity
from tests.server.tiny_store import UNREADABLE

HTML = {"Accept": "text/html"}
API = "/api/v1/models/demo/provenance"
HOSTILE = "<script>alert(1)</script>"


def report(version: str, **given: object) -> dict[str, Any]:
    check = {
        "check": f"sum {HOSTILE}",
        "figure": 2e-7,
        "bound": 1e-5,
        "ok": True,
        "over": "8 images",
    }
    told = {"store": "demo", "data_version": version, "ok": True, "checks": [check]}
    return told | {"left_out": [], "made": "2026-01-02T03:04:05+00:00"} | given


@pytest.fixture
def own(tmp_path: Path, store: Path) -> Path:
    """A store that this test may leave a report beside."""
    return Path(shutil.copytree(store, tmp_path / "own"))


@pytest.fixture
def served(own: Path, start: Callable[..., Any]) -> Iterator[TestClient]:
    with start(stores=(own,), live=False) as client:
        yield client


def test_the_twin_tells_what_the_manifest_does(client: TestClient, store: Path) -> None:
    told = client.get(API).json()
    manifest = open_store(store).manifest
    assert told["weights_sha256"] == manifest.model.weights_sha256
    assert told["parameters"] == manifest.parameters
    assert told["unreadable"] == manifest.dataset.unreadable
    assert {file["path"]: file["sha256"] for file in told["files"]} == {
        path: record.sha256 for path, record in manifest.files.items()
    }
    assert told["size"] == sum(record.size for record in manifest.files.values())


def test_file_names_are_text(client: TestClient) -> None:
    text = client.get("/demo/provenance", headers=HTML).text
    assert "<script>alert" not in text
    shown = html.unescape(text)
    assert all(f"<code>{name}</code>" in shown for name in UNREADABLE)


def test_the_page_shows_it(client: TestClient) -> None:
    told = client.get(API).json()
    text = html.unescape(client.get("/demo/provenance", headers=HTML).text)
    assert told["weights_sha256"] in text
    assert told["data_version"] in text
    assert formats.size(told["size"]) in text
    for file in told["files"]:
        assert file["path"] in text
        assert file["sha256"] in text
    assert 'href="/demo/provenance"' in client.get("/demo", headers=HTML).text


def test_a_kept_report_is_shown_without_a_restart(served: TestClient, own: Path) -> None:
    before = served.get(API)
    assert before.json()["exactness"] is None
    assert "No exactness report" in served.get("/demo/provenance", headers=HTML).text
    version = open_store(own).data_version
    assert keep_report(own, report(version)) == report_path(own)
    assert check_integrity(own).ok
    after = served.get(API, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200
    assert after.json()["exactness"]["checks"][0]["bound"] == 1e-5
    text = served.get("/demo/provenance", headers=HTML).text
    assert formats.number(2e-7) in text
    assert "&lt;script&gt;" in text
    assert HOSTILE not in text
    assert "This report is of data version" not in text


def test_a_report_of_another_version_says_so(served: TestClient, own: Path) -> None:
    keep_report(own, report("0123456789abcdef", ok=False))
    text = served.get("/demo/provenance", headers=HTML).text
    assert "This report is of data version" in text
    assert "Not every figure keeps its bound" in text


@pytest.mark.parametrize("content", ["", "no json", "[]", json.dumps({"ok": True})])
def test_what_is_no_report_is_none(served: TestClient, own: Path, content: str) -> None:
    report_path(own).write_text(content)
    assert served.get(API).json()["exactness"] is None


def test_a_huge_file_is_no_report(tmp_path: Path) -> None:
    report_path(tmp_path / "store").write_bytes(b" " * (MAX_BYTES + 1))
    assert kept_report(tmp_path / "store") is None
