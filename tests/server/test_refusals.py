"""What no page or address can answer: the same body, or the same page, everywhere; and hostile text
is text, wherever it is shown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from backend.server.pages.addresses import ADDRESSES
from tests.server.conftest import picture

HTML = {"Accept": "text/html"}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
LONG = "x" * 10_000

REFUSED = [
    ("/nothing", 404),
    ("/nothing/pairs/0/0", 404),
    ("/nothing/collection", 404),
    ("/nothing/provenance", 404),
    ("/demo/nothing", 404),
    ("/demo/pairs/999999/0", 404),
    ("/demo/pairs/0/999999", 404),
    ("/demo/pairs/-1/0", 404),
    ("/demo/pairs/x/0", 422),
    ("/demo/neurons/999999", 404),
    ("/demo/neurons/x", 422),
    ("/demo/heads/999999", 404),
    ("/demo/compare?pairs=999999.0,1.1", 404),
    ("/demo/compare?pairs=x", 422),
    ("/demo/collection?pairs=x", 422),
    (f"/demo/collection?title={LONG}", 422),
    (f"/demo/search?q={LONG}", 422),
    ("/demo/pairs?offset=-1", 422),
    ("/demo/pairs?sort=nonsense", 422),
    ("/demo/pairs/3/1?embed=1&show=nonsense", 422),
    ("/s/nothing", 404),
]
EXPLAINED = ("/demo/search", "/demo/compare")
"""These pages say in their place what they cannot use."""

TWINS = [
    ("/models/nothing", 404),
    ("/models/nothing/provenance", 404),
    ("/models/demo/pairs/999999/0", 404),
    ("/models/demo/pairs/x/0", 422),
    ("/models/demo/neurons/999999", 404),
    ("/models/demo/heads/999999", 404),
    ("/models/demo/pairs?limit=0", 422),
    ("/models/demo/pairs?offset=-1", 422),
    (f"/models/demo/search?q={LONG}", 422),
    (f"/models/demo/collection?title={LONG}", 422),
    (f"/preview.png?view=/{LONG}", 422),
    ("/shares/nothing", 404),
    ("/nothing", 404),
]


@pytest.mark.parametrize(("address", "status"), REFUSED)
def test_a_page_refuses_with_a_page(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address, headers=HTML)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert LONG not in answer.text
    assert answer.text.count("<h1") == 1


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(each for each in REFUSED if not each[0].startswith(EXPLAINED)),
        *((f"/api/v1{path}", status) for path, status in TWINS),
    ],
)
def test_programs_get_the_one_error_body(client: TestClient, address: str, status: int) -> None:
    answer = client.get(address, headers={"Accept": "application/json"})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"status", "code", "message", "request_id"}
    assert error["status"] == status
    assert len(error["message"]) < 500


def test_a_number_that_python_does_not_read_is_no_number(client: TestClient) -> None:
    view = f"/demo/splits?offset={'1' * 5000}"
    assert client.get("/api/v1/preview.png", params={"view": view}).status_code == 200
    assert client.post("/api/v1/shares", json={"view": view}).status_code == 200
    assert client.get(view, headers=HTML).status_code == 422


def test_no_place_is_too_far_to_be_refused(client: TestClient) -> None:
    made = client.post(
        "/api/v1/models/demo/attributions", files={"image": picture()}, data={"text": "cat"}
    ).json()
    known = {"model": "demo", "attribution": made["id"], "image": "0", "word": "0"}
    paths = client.app.openapi()["paths"]
    numbered = [
        (path, part["name"])
        for path, methods in paths.items()
        for part in methods.get("get", {}).get("parameters", [])
        if part["in"] == "path" and part["schema"].get("type") == "integer"
    ]
    assert (
        "/api/v1/models/{model}/attributions/{attribution}/maps/{place}.png",
        "place",
    ) in numbered
    for path, name in numbered:
        names = re.findall(r"{(\w+)}", path)
        filled = {each: known.get(each, "0") for each in names} | {name: "1" * 300}
        answer = client.get(path.format(**filled))
        assert answer.status_code in {404, 422}, path
        assert set(answer.json()) == {"error"}


def test_a_validators_words_reach_people_as_they_are(client: TestClient) -> None:
    direct = client.get("/api/v1/models/demo/pairs?region=1,2")
    through_a_view = client.post("/api/v1/shares", json={"view": "/demo/pairs?region=1,2"})
    for answer in (direct, through_a_view):
        assert answer.status_code == 422
        assert answer.json()["error"]["message"] == "region: must be x and y of 3 to 40 corners."


@pytest.mark.parametrize("field", ["title", "note"])
def test_a_long_title_or_note_is_refused(client: TestClient, field: str) -> None:
    answer = client.post("/api/v1/shares", json={"view": "/demo", field: LONG})
    assert answer.status_code == 422
    assert set(answer.json()) == {"error"}


class Tags(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


VIEWS = [
    "/",
    "/docs",
    "/demo",
    "/demo/provenance",
    "/demo/search?q=cat",
    "/demo/search/picture",
    "/demo/pairs",
    "/demo/pairs/3/1",
    "/demo/compare?pairs=3.1,7.2",
    "/demo/collection?pairs=3.1&title=T&note=n",
    "/demo/lab?prompts=cat",
    "/demo/splits",
    "/demo/heads/1",
    "/demo/neurons/3",
]


def test_every_page_that_can_be_shared_is_tried() -> None:
    for address in ADDRESSES:
        assert any(address.match(view.partition("?")[0]) is not None for view in VIEWS), address


@pytest.mark.parametrize("view", VIEWS)
def test_hostile_titles_and_notes_are_text_on_every_shared_page(
    client: TestClient, view: str
) -> None:
    made = client.post(
        "/api/v1/shares", json={"view": view, "title": HOSTILE, "note": HOSTILE}
    ).json()
    for address in (made["url"], made["url"] + "?embed=1"):
        answer = client.get(address, headers=HTML)
        assert answer.status_code == 200, address
        tags = Tags()
        tags.feed(answer.text)
        # The store's vocabulary holds a <script>, too.
        assert all("src" in attributes for tag, attributes in tags.found if tag == "script")
        assert all(attributes.get("src") != "x" for _, attributes in tags.found)
        assert not any(name.startswith("on") for _, names in tags.found for name in names)
        assert HOSTILE in tags.text
    assert client.get(f"/api/v1/shares/{made['id']}/preview.png").status_code == 200
