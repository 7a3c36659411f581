"""Collections: held by their address, shared, saved, read in again, and bounded."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from urllib.parse import urlencode

import pytest
from fastapi.testclient import TestClient

from backend.server.schemas import (
    MAX_COLLECTED,
    MAX_ENTRY_NOTE_CHARACTERS,
    MAX_NOTE_CHARACTERS,
    MAX_TITLE_CHARACTERS,
)

HTML = {"Accept": "text/html"}
API = "/api/v1/models/demo/collection"
PAGE = "/demo/collection"
HOSTILE = "=1+1<script>alert(\"x\")</script> & 'quotes'"
QUERY = urlencode(
    {"pairs": "3.1,7.2", "title": HOSTILE, "about": "two\nlines", "note": ["first", HOSTILE]},
    doseq=True,
)


def test_the_list_is_what_the_address_holds(client: TestClient) -> None:
    told = client.get(f"{API}?{QUERY}").json()
    assert [(e["neuron"], e["head"], e["note"]) for e in told["entries"]] == [
        (3, 1, "first"),
        (7, 2, HOSTILE),
    ]
    assert told["title"] == HOSTILE
    assert told["about"] == "two\nlines"
    again = client.get(API + "?" + told["url"].partition("?")[2]).json()
    assert again == told


def test_a_form_with_a_field_for_each_pair_gives_the_same_list(client: TestClient) -> None:
    form = urlencode(
        [("pairs", "3.1"), ("note", "a"), ("pairs", ""), ("note", "lost"), ("pairs", " 7.2 "),
         ("note", "b"), ("pairs", "3.1"), ("note", "twice")]
    )  # fmt: skip
    told = client.get(f"{API}?{form}").json()
    assert [(e["neuron"], e["note"]) for e in told["entries"]] == [(3, "a"), (7, "b")]
    assert told["url"] == "/demo/collection?pairs=3.1,7.2&note=a&note=b"


def test_the_page_shows_what_its_twin_says_as_text(client: TestClient) -> None:
    text = client.get(f"{PAGE}?{QUERY}", headers=HTML).text
    assert "<script>alert" not in text
    assert html.escape(HOSTILE).replace("&quot;", "&#34;").replace("&#x27;", "&#39;") in text
    assert text.count('class="card__link"') == 2
    for name in ("title", "about"):
        assert f'name="{name}"' in text
    assert text.count('name="pairs"') == 3, "a row for each pair and one to add another"
    embedded = client.get(f"{PAGE}?{QUERY}&embed=1", headers=HTML).text
    assert "<form" not in embedded
    assert "<script>alert" not in embedded


def test_a_few_pairs_lead_to_their_comparison(client: TestClient) -> None:
    few = client.get(f"{PAGE}?pairs=3.1,7.2", headers=HTML).text
    assert 'href="/demo/compare?pairs=3.1,7.2"' in few
    many = client.get(f"{PAGE}?pairs=1.1,2.1,3.1,4.1,5.1", headers=HTML).text
    assert "/demo/compare?pairs" not in many


def test_an_empty_collection_says_how_to_begin(client: TestClient) -> None:
    text = client.get(PAGE, headers=HTML).text
    assert "Nothing is collected yet" in text
    assert 'name="pairs"' in text


def test_a_collection_is_shared_as_a_short_link(client: TestClient) -> None:
    view = client.get(f"{API}?{QUERY}").json()["url"]
    made = client.post("/api/v1/shares", json={"view": view, "title": "T"}).json()
    text = client.get(made["url"], headers=HTML).text
    assert text.count('class="card__link"') == 2
    assert "first" in text


def test_notes_keep_their_places_in_a_share(client: TestClient) -> None:
    view = client.get(API + "?pairs=3.1,7.2,8.3&note=&note=second&note=").json()["url"]
    made = client.post("/api/v1/shares", json={"view": view}).json()
    text = client.get(made["url"], headers=HTML).text
    (note,) = re.findall(r'class="card__note">([^<]*)<', text)
    assert note == "second"
    assert text.index("/demo/pairs/7/2") < text.index("card__note") < text.index("/demo/pairs/8/3")


def test_what_is_saved_is_read_in_again(client: TestClient) -> None:
    saved = client.get(f"{API}.json?{QUERY}")
    assert saved.headers["content-disposition"] == 'attachment; filename="demo-collection.json"'
    answer = client.post(
        PAGE, files={"file": ("x.json", saved.content)}, headers=HTML, follow_redirects=False
    )
    assert answer.status_code == 303
    assert answer.headers["location"] == saved.json()["url"]


def test_cells_of_the_table_do_not_run(client: TestClient) -> None:
    saved = client.get(f"{API}.csv?{QUERY}")
    assert saved.headers["content-disposition"] == 'attachment; filename="demo-collection.csv"'
    assert saved.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(saved.text)))
    assert [(row["neuron"], row["head"]) for row in rows] == [("3", "1"), ("7", "2")]
    assert rows[1]["note"] == "'" + HOSTILE
    assert not any(cell.startswith(tuple("=+-@")) for row in rows for cell in row.values())


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"pairs": "3"}, 422, "neuron.head"),
        ({"pairs": "3.1;7.2"}, 422, "neuron.head"),
        ({"pairs": "999999.0"}, 404, "neurons are 0 to"),
        ({"pairs": "3.99"}, 404, "heads are 0 to"),
        ({"pairs": ",".join(f"{n}.0" for n in range(MAX_COLLECTED + 1))}, 422, "at most 60"),
        ({"pairs": "3.1", "note": ["a", "b"]}, 422, "2 notes for 1 pairs"),
        ({"pairs": "3.1", "note": "x" * (MAX_ENTRY_NOTE_CHARACTERS + 1)}, 422, "500"),
        ({"title": "x" * 10_000}, 422, str(MAX_TITLE_CHARACTERS)),
        ({"about": "x" * 10_000}, 422, str(MAX_NOTE_CHARACTERS)[:1]),
        (
            {"pairs": ",".join(f"{n}.0" for n in range(30)), "note": ["y" * 400] * 30},
            422,
            "Shorten the notes",
        ),
    ],
)
def test_what_is_no_collection_is_refused(
    client: TestClient, query: dict[str, object], status: int, said: str
) -> None:
    for address in (API, PAGE):
        answer = client.get(f"{address}?{urlencode(query, doseq=True)}")
        assert answer.status_code == status
        assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no json",
        b"[]",
        json.dumps({"entries": [{"neuron": -1, "head": 0}]}).encode(),
        json.dumps({"entries": [{"neuron": 1, "head": 0, "note": "x" * 501}]}).encode(),
        b'{"entries": [], "title": "\\ud800"}',
        b" " * 300_000,
    ],
)
def test_other_files_are_refused(client: TestClient, content: bytes) -> None:
    answer = client.post(PAGE, files={"file": ("x.json", content)})
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] in {"invalid_file", "invalid_request"}
