"""The life of a share: made, shown to anybody with its id, deleted by whoever has the token."""

from __future__ import annotations

import html
import sqlite3
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from tests.server.conftest import picture
from tests.server.tiny_store import write_store

SHARES = "/api/v1/shares"
Start = Callable[..., object]


def share(client: TestClient, **body: str) -> dict:
    response = client.post(SHARES, json=body)
    assert response.status_code == 200, response.text
    made = response.json()
    assert set(made) == {"id", "url", "delete_token"}
    assert made["url"] == f"/s/{made['id']}"
    return made


def segmentation(client: TestClient) -> dict:
    response = client.post(
        "/api/v1/models/demo/segmentations",
        files={"image": picture()},
        data={"prompts": ["cat"]},
    )
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    "view",
    [
        "/",
        "/demo",
        "/demo/pairs/3/4",
        "/demo/search?q=b%C3%BCtterfly&limit=5",
        "/demo/lab?prompts=cat&prompts=dog",
        "/docs",
    ],
)
def test_a_view_is_shared(client: TestClient, view: str) -> None:
    made = share(client, view=view, title="<b>T</b>", note="line 1\r\nline 2")
    shown = client.get(f"{SHARES}/{made['id']}").json()
    assert shown["view"] == view
    assert shown["segmentation"] is None
    assert shown["title"] == "<b>T</b>"
    assert shown["note"] == "line 1\nline 2"
    assert shown["stale"] is False
    page = client.get(made["url"])
    assert page.status_code == 200
    assert "<b>T</b>" not in page.text
    assert page.headers["x-robots-tag"] == "noindex"


@pytest.mark.parametrize(
    "view",
    [
        "",
        "demo",
        "//evil.net/demo",
        "/\\evil.net",
        "\\\\evil.net",
        "https://evil.net/",
        "javascript:alert(1)",
        "/demo\n",
        "/demo pairs",
        "/demo/pairs/3/4/x",
        "/demo/pairs/x/4",
        "/demo/pairs/\u0663/4",
        "/demo/../etc",
        "/s/abc",
        "/api/v1/models",
        "/static/x/y.js",
        "/d\u00e9mo",
        "/[",
    ],
)
def test_other_views_are_refused(client: TestClient, view: str) -> None:
    response = client.post(SHARES, json={"view": view})
    assert response.status_code in {404, 422}, view
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("view", ["/nope", "/demo/pairs/99999/0", "/demo/pairs/0/99", "/healthz"])
def test_views_of_what_does_not_exist_are_not_found(client: TestClient, view: str) -> None:
    assert client.post(SHARES, json={"view": view}).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"view": "/", "segmentation": "a"},
        {"view": "/", "title": "a" * 201},
        {"view": "/", "title": "a" * 10_000},
        {"view": "/", "note": "a" * 2001},
        {"view": "/" + "a" * 8000},
        {"view": "/", "other": 1},
        {"view": 3},
    ],
)
def test_bodies_that_cannot_be_used(client: TestClient, body: dict) -> None:
    response = client.post(SHARES, json=body)
    assert response.status_code == 422
    assert response.json()["error"]["status"] == 422


def test_the_token_deletes_and_nothing_else_does(client: TestClient) -> None:
    made = share(client, view="/demo")
    address = f"{SHARES}/{made['id']}"
    assert client.delete(address).status_code == 401
    wrong = client.delete(address, headers={"Authorization": "Bearer wrong"})
    assert wrong.status_code == 403
    assert wrong.json()["error"]["code"] == "wrong_token"
    assert client.get(address).status_code == 200
    done = client.delete(address, headers={"Authorization": f"Bearer {made['delete_token']}"})
    assert done.status_code == 204
    assert client.get(address).status_code == 404
    assert client.get(made["url"]).status_code == 404
    again = client.delete(address, headers={"Authorization": f"Bearer {made['delete_token']}"})
    assert again.status_code == 404


@pytest.mark.parametrize("way", ["header", "delete_token", "token", "body"])
def test_other_ways_to_give_the_token(client: TestClient, way: str) -> None:
    made = share(client, view="/demo")
    address, token = f"{SHARES}/{made['id']}", made["delete_token"]
    if way == "header":
        response = client.delete(address, headers={"X-Delete-Token": token})
    elif way == "body":
        response = client.request("DELETE", address, json={"delete_token": token})
    else:
        response = client.delete(address, params={way: token})
    assert response.status_code == 204
    assert client.get(address).status_code == 404


def test_only_a_hash_of_the_token_is_kept(client: TestClient) -> None:
    made = share(client, view="/demo")
    folder = client.app.state.services.settings.data
    for path in folder.glob("shares.sqlite*"):
        assert made["delete_token"].encode() not in path.read_bytes()


def test_a_shared_segmentation_lives_and_dies_with_its_shares(client: TestClient) -> None:
    result = segmentation(client)
    assert result["expires"] is not None
    first = share(client, segmentation=result["id"], title="mine")
    second = share(client, segmentation=result["id"])
    shown = client.get(f"{SHARES}/{first['id']}").json()
    assert shown["view"] is None
    assert shown["segmentation"]["id"] == result["id"]
    assert shown["segmentation"]["expires"] is None
    assert shown["data_version"] == result["data_version"]
    page = client.get(first["url"])
    assert page.status_code == 200
    assert result["image_url"] in page.text
    for made, status in ((first, 200), (second, 404)):
        bearer = {"Authorization": f"Bearer {made['delete_token']}"}
        assert client.delete(f"{SHARES}/{made['id']}", headers=bearer).status_code == 204
        assert client.get(result["image_url"]).status_code == status
        assert client.get(result["mask_url"]).status_code == status
    data = client.app.state.services.settings.data
    assert not (data / "images" / result["image"]).exists()
    assert not (data / "results" / f"segmentation-{result['id']}").exists()


def test_sharing_the_lab_page_of_a_result_keeps_the_result(client: TestClient) -> None:
    result = segmentation(client)
    made = share(client, view=result["url"])
    assert client.get(f"{SHARES}/{made['id']}").json()["segmentation"]["id"] == result["id"]
    assert client.post(SHARES, json={"view": "/demo/lab?segmentation=no"}).status_code == 404


@pytest.mark.parametrize(
    ("kind", "asked", "state"),
    [
        ("attribution", {"text": "cat"}, "attribution={id}&panel=score"),
        ("attribution", {"cell": [1, 1]}, "place={id}&panel=why"),
        ("ablation", {"off": ["3.4"]}, "ablation={id}&panel=what-if"),
    ],
)
def test_a_shared_answer_is_shown_in_the_lab(
    client: TestClient, kind: str, asked: dict, state: str
) -> None:
    result = segmentation(client)
    about = {"segmentation": result["id"], **asked}
    answer = client.post(f"/api/v1/models/demo/{kind}s", json=about)
    assert answer.status_code == 200, answer.text
    made = share(client, **{kind: answer.json()["id"]})
    told = client.get(f"{SHARES}/{made['id']}").json()
    assert (told["view"], told["segmentation"]) == (None, None)
    page = html.unescape(client.get(made["url"]).text)
    assert result["mask_url"] in page
    named = f"image={result['image']}&segmentation={result['id']}"
    assert f'data-state="{named}&{state.format(id=answer.json()["id"])}"' in page
    assert "unless another link shows it, the picture with all that was made of it" in page


@pytest.mark.parametrize("kind", ["image", "attribution"])
def test_a_shared_picture_is_shown_in_the_lab(client: TestClient, kind: str) -> None:
    model = "/api/v1/models/demo"
    made = client.post(f"{model}/images", files={"image": picture()}).json()
    image = made["image"]
    if kind == "attribution":
        about = {"image_id": image, "text": "cat"}
        made = client.post(f"{model}/attributions", json=about).json()
    link = share(client, **{kind: made["id"]})["url"]
    page = html.unescape(client.get(link).text)
    assert f'data-state="image={image}"' in page
    assert made["image_url"] in page
    assert "unless another link shows it, the picture with all that was made of it" in page
    framed = client.get(f"{link}?embed=1").text
    assert made["image_url"] in framed
    assert "None" not in framed


def test_an_embedded_share_of_an_empty_lab_leads_to_the_lab(client: TestClient) -> None:
    made = share(client, view="/demo/lab?prompts=cat")
    assert '<a href="/demo/lab">Open the lab' in client.get(f"{made['url']}?embed=1").text


def test_the_banner_of_a_page_says_that_the_link_alone_is_deleted(client: TestClient) -> None:
    page = client.get(share(client, view="/demo")["url"]).text
    assert "Deletes the link for everyone." in page


def test_unknown_segmentations_and_shares(client: TestClient) -> None:
    for ident in ("a", "a" * 22, "../shares", "\0", "'; drop table shares"):
        assert client.post(SHARES, json={"segmentation": ident}).status_code == 404
        assert client.get(f"{SHARES}/{quote(ident, safe='')}").status_code == 404


def test_a_share_says_when_the_store_has_changed(
    start: Start, store: Path, checkpoint: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with start(data=data, live=False) as client:
        made = [share(client, view=view) for view in ("/demo/pairs/3/4", "/")]
        before = client.get(f"{SHARES}/{made[0]['id']}").json()
    write_store(tmp_path / "demo", checkpoint, seed=5)
    with start(data=data, live=False, stores=(tmp_path / "demo",)) as client:
        for each in made:
            shown = client.get(f"{SHARES}/{each['id']}").json()
            assert shown["stale"] is True
        assert client.get(f"{SHARES}/{made[0]['id']}").json() == {**before, "stale": True}
    write_store(tmp_path / "other", checkpoint, name="other")
    with start(data=data, live=False, stores=(tmp_path / "other",)) as client:
        assert client.get(f"{SHARES}/{made[0]['id']}").json()["stale"] is True
        assert client.get(made[0]["url"]).status_code == 200
    with start(data=data, live=False) as client:
        assert client.get(f"{SHARES}/{made[0]['id']}").json() == before


def test_the_number_of_shares_is_bounded(start: Start) -> None:
    with start(live=False, max_shares=1) as client:
        share(client, view="/")
        assert client.post(SHARES, json={"view": "/"}).status_code == 507


def test_a_lost_database_is_not_ready(start: Start) -> None:
    with start(live=False) as client:
        path = client.app.state.services.settings.data / "shares.sqlite"
        with sqlite3.connect(path) as connection:
            connection.execute("DROP TABLE shares")
        response = client.get("/readyz")
        assert response.status_code == 503
        assert "database" in response.json()["error"]["message"]
