"""What an operator lists and deletes in the data folder, beside a running server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from backend.server.kept import new_id
from precompute.application import app
from tests.server.conftest import picture


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def client(start: Callable[..., Any], data: Path) -> Iterator[TestClient]:
    with start(data=data) as client:
        yield client


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def share(client: TestClient, **body: str) -> str:
    made = client.post("/api/v1/shares", json=body)
    assert made.status_code == 200, made.text
    return str(made.json()["id"])


def segment(client: TestClient) -> dict[str, Any]:
    made = client.post(
        "/api/v1/models/demo/segmentations", files={"image": picture()}, data={"prompts": ["cat"]}
    )
    assert made.status_code == 200, made.text
    told: dict[str, Any] = made.json()
    return told


def test_shares_are_listed_and_deleted(client: TestClient, data: Path) -> None:
    kept = share(client, view="/demo", title="Keep <this>")
    gone = share(client, view="/docs")
    listed = json.loads(run("shares", "list", "--data", data, "--json").stdout)
    assert {each["id"] for each in listed} == {kept, gone}
    assert "token_hash" not in listed[0]
    assert "Keep <this>" in run("shares", "list", "--data", data).stdout
    result = run("shares", "delete", gone, "--data", data)
    assert (result.exit_code, result.stdout) == (0, "deleted 1 share\n")
    assert client.get(f"/s/{gone}").status_code == 404
    assert client.get(f"/s/{kept}").status_code == 200
    assert run("shares", "delete", gone, "--data", data).exit_code == 2


def test_old_shares_are_purged(client: TestClient, data: Path) -> None:
    made = share(client, view="/demo")
    assert run("shares", "purge", "--days", 1, "--data", data).stdout == "deleted 0 shares\n"
    assert client.get(f"/s/{made}").status_code == 200
    assert run("shares", "purge", "--days", 0, "--data", data).stdout == "deleted 1 share\n"
    assert client.get(f"/s/{made}").status_code == 404


def test_uploads_are_listed_and_go_with_everything_made_of_them(
    client: TestClient, data: Path
) -> None:
    private, shared = segment(client), segment(client)
    link = share(client, segmentation=shared["id"])
    listed = json.loads(run("uploads", "list", "--data", data, "--json").stdout)
    assert sorted(each["shared"] for each in listed) == [False, True]
    assert all(each["bytes"] > 0 for each in listed)
    assert "private" in run("uploads", "list", "--data", data).stdout
    assert run("uploads", "purge", "--data", data).stdout == "deleted 0 uploads\n"
    ids = [each["id"] for each in listed]
    assert run("uploads", "delete", *ids, "--data", data).stdout == "deleted 2 uploads\n"
    for address in (f"/s/{link}", private["url"], shared["mask_url"]):
        assert client.get(address).status_code == 404, address
    assert run("uploads", "delete", ids[0], "--data", data).exit_code == 2


def test_deleting_the_last_link_deletes_the_picture(client: TestClient, data: Path) -> None:
    made = segment(client)
    first, second = (share(client, segmentation=made["id"]) for _ in range(2))
    run("shares", "delete", first, "--data", data)
    assert client.get(made["mask_url"]).status_code == 200
    run("shares", "delete", second, "--data", data)
    assert client.get(made["mask_url"]).status_code == 404


def test_no_id_looks_like_an_option() -> None:
    assert not any(new_id().startswith("-") for _ in range(2000))


@pytest.mark.parametrize("group", ["shares", "uploads"])
def test_without_a_data_folder_there_is_a_sentence(group: str, tmp_path: Path) -> None:
    result = run(group, "list", "--data", tmp_path / "none")
    assert result.exit_code == 2
    assert "no data folder" in result.stderr
