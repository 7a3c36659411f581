"""The server looks at every byte of its stores, in the background, and says what it finds."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from backend.server.file_checks import FileChecks
from backend.store import open_store
from backend.store.format import STATISTICS, VOCABULARY

Start = Callable[..., AbstractContextManager[TestClient]]


@pytest.fixture
def own(store: Path, tmp_path: Path) -> Path:
    return shutil.copytree(store, tmp_path / "own")


def damage(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def test_a_whole_store_is_checked_in_silence(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    checks = FileChecks([open_store(own)])
    checks.run()
    assert checks.damage == []
    assert not caplog.records


def test_a_damaged_store_is_not_ready_but_served(
    own: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    damage(own / STATISTICS)
    damage(own / VOCABULARY)
    with start(stores=(own,), live=False) as client:
        until = time.monotonic() + 30
        while client.get("/readyz").status_code == 200 and time.monotonic() < until:
            time.sleep(0.02)
        response = client.get("/readyz")
        assert response.status_code == 503
        error = response.json()["error"]
        assert error["code"] == "not_ready"
        assert "demo: its files are not what was written" in error["message"]
        assert str(own) not in response.text
        assert client.get("/demo/pairs/3/4").status_code == 200
    told = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    for file in (STATISTICS, VOCABULARY):
        assert any(f"{file}: damaged" in message for message in told)


def test_surplus_files_are_told_and_do_no_harm(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    (own / "notes.txt").write_text("mine")
    checks = FileChecks([open_store(own)])
    checks.run()
    assert checks.damage == []
    (record,) = caplog.records
    assert (record.levelno, "notes.txt: surplus" in record.message) == (logging.WARNING, True)


def test_a_store_that_went_away_is_told(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    checks = FileChecks([open_store(own)])
    shutil.rmtree(own)
    checks.run()
    assert "holds no finished store" in caplog.text


def test_a_server_that_ends_does_not_wait_for_the_check(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.server.file_checks.REST", 1e9)
    checks = FileChecks([open_store(own)])
    thread = threading.Thread(target=checks.run)
    thread.start()
    checks.end()
    thread.join(10)
    assert not thread.is_alive()
