"""The table of all pairs: against a plain reading of the store, as JSON, as CSV and as a page."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend.server.csv_files import csv_chunks
from backend.server.pair_table import PairTable
from backend.server.schemas import FinderQuery
from backend.store import Store, open_store
from backend.store.format import INDEX_ATOMS
from tests.server.tiny_store import UNKNOWN_PAIR, WORDS

PAIRS = "/api/v1/models/demo/pairs"


@pytest.fixture(scope="module")
def opened(store: Path) -> Store:
    return open_store(store)


def find(client: TestClient, **query: object) -> dict[str, Any]:
    response = client.get(PAIRS, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def everything(client: TestClient, **query: object) -> list[tuple[int, int]]:
    """(neuron, head) of all that match, read from the CSV file."""
    response = client.get(f"{PAIRS}.csv", params=query)
    assert response.status_code == 200, response.text
    rows = csv.DictReader(io.StringIO(response.text))
    return [(int(row["neuron"]), int(row["head"])) for row in rows]


def test_all_pairs_the_largest_norm_first(client: TestClient, opened: Store) -> None:
    norm = opened.statistics["norm"]
    found = find(client, limit=100)
    assert found["total"] == found["matching"] == norm.size
    assert [pair["norm"] for pair in found["results"]] == np.sort(norm.ravel())[::-1][:100].tolist()
    first = found["results"][0]
    head, neuron = first["head"], first["neuron"]
    assert first["cosine"] == opened.explanations["cosine"][head, neuron, -1]
    assert first["held_out"] == opened.explanations["held_out"][head, neuron]
    assert first["monosemanticity"] == opened.statistics["monosemanticity"][head, neuron]
    assert first["words"]
    assert first["thumbnails"]


@pytest.mark.parametrize(
    ("column", "file", "name"),
    [
        ("norm", "statistics", "norm"),
        ("monosemanticity", "statistics", "monosemanticity"),
        ("cosine", "explanations", "cosine"),
        ("held_out", "explanations", "held_out"),
    ],
)
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_every_column_sorts_both_ways_with_the_undefined_last(
    client: TestClient, opened: Store, column: str, file: str, name: str, order: str
) -> None:
    values = getattr(opened, file)[name]
    values = values[..., -1] if name == "cosine" else values
    listed = everything(client, sort=column, order=order)
    figures = np.array([values[head, neuron] for neuron, head in listed])
    known = figures[~np.isnan(figures)]
    assert (np.diff(known if order == "asc" else -known) >= 0).all()
    assert np.isnan(figures[len(known) :]).all()
    if np.isnan(values).any():
        assert listed[-1] == UNKNOWN_PAIR


def test_pages_follow_one_another_without_gap_or_repetition(client: TestClient) -> None:
    query = {"head": 3, "percentile_min": 80, "sort": "cosine", "limit": 40}
    seen, url = [], None
    while True:
        found = client.get(url).json() if url else find(client, **query)
        seen += [(pair["neuron"], pair["head"]) for pair in found["results"]]
        url = found["next_url"]
        if url is None:
            break
    assert len(seen) == found["matching"] > 40
    assert seen == everything(client, **query)
    back = client.get(found["previous_url"]).json()
    assert back["offset"] == found["offset"] - 40


def test_conditions_hold_together(client: TestClient, opened: Store) -> None:
    statistics, explanations = opened.statistics, opened.explanations
    query = {
        "norm_min": 1.0,
        "norm_max": 4.0,
        "percentile_max": 90,
        "monosemanticity_min": 0.25,
        "cosine_min": 0.3,
        "cosine_max": 0.99,
        "held_out_min": -0.5,
        "head": 2,
    }
    cosine = explanations["cosine"][..., -1]
    wanted = (
        (statistics["norm"] >= 1)
        & (statistics["norm"] <= 4)
        & (statistics["norm_percentile"] <= 90)
        & (statistics["monosemanticity"] >= 0.25)
        & (cosine >= 0.3)
        & (cosine <= 0.99)
        & (explanations["held_out"] >= -0.5)
    )
    expected = {(int(neuron), 2) for neuron in np.flatnonzero(wanted[2])}
    assert set(everything(client, **query)) == expected != set()
    assert find(client, **query)["matching"] == len(expected)


def test_words_are_whole_words_of_entries_and_must_all_be_there(
    client: TestClient, opened: Store
) -> None:
    first = opened.explanations["word_ids"][..., :INDEX_ATOMS]
    green = np.isin(first, [WORDS.index("green tree")]).any(axis=-1)
    cat = np.isin(first, [WORDS.index("cat")]).any(axis=-1)
    listed = everything(client, words=" Tree ,cat")
    assert set(listed) == {(int(n), int(h)) for h, n in np.argwhere(green & cat)} != set()
    assert find(client, words="re")["matching"] == 0, "part of a word is no word"
    assert find(client, words="re, cat")["unknown_words"] == ["re"]


def test_a_region_is_a_polygon_on_the_map(client: TestClient, opened: Store) -> None:
    x, y = np.moveaxis(opened.map["position"], -1, 0)
    triangle = find(client, region="-1,-1,1,-1,-1,1")
    assert triangle["matching"] == int((x + y < 0).sum())
    box = everything(client, region="-0.5,0,0.5,0,0.5,0.25,-0.5,0.25")
    inside = (x > -0.5) & (x < 0.5) & (y > 0) & (y < 0.25)
    assert set(box) == {(int(n), int(h)) for h, n in np.argwhere(inside)}


class _OnlyMap:
    """A store of one head as far as its table needs one, with pairs at given places."""

    def __init__(self, position: np.ndarray) -> None:
        figures = np.zeros((1, len(position)), np.float32)
        names = ("norm", "norm_percentile", "monosemanticity")
        self.statistics = dict.fromkeys(names, figures)
        self.explanations = {"cosine": figures[..., None], "held_out": figures}
        self.index = {
            "offsets": np.zeros(1, int),
            "pairs": np.zeros(0, int),
            "weights": np.zeros(0),
        }
        self.map = {"position": position[None]}


@given(st.lists(st.tuples(*[st.floats(-1, 1, width=16)] * 2), min_size=3, max_size=12))
def test_a_region_of_any_shape_holds_what_the_even_odd_rule_says(
    corners: list[tuple[float, float]],
) -> None:
    x, y = np.random.default_rng(0).uniform(-1, 1, (2, 500)).astype(np.float32)
    found = PairTable(_OnlyMap(np.stack([x, y], axis=1))).within(corners)
    expected = np.zeros(500, bool)
    polygon = np.array(corners, np.float32)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        for point in np.flatnonzero((y0 > y) != (y1 > y)):
            expected[point] ^= x[point] < x0 + (y[point] - y0) * ((x1 - x0) / (y1 - y0))
    assert (found == expected).all()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("head=16", 404),
        ("neuron=999999", 404),
        ("offset=99999", 404),
        ("offset=-1", 422),
        ("limit=0", 422),
        ("limit=101", 422),
        ("sort=beauty", 422),
        ("order=up", 422),
        ("cosine_min=nan", 422),
        ("norm_min=-1", 422),
        ("percentile_max=101", 422),
        ("words=" + "a" * 201, 422),
        ("words=a,b,c,d,e,f", 422),
        ("region=1,2", 422),
        ("region=0,0,1,1,x,0", 422),
        ("region=0,0,1,1,5,0", 422),
        ("region=" + ",".join(["0"] * 82), 422),
    ],
)
def test_what_cannot_be_asked_is_refused_as_page_and_as_json(
    client: TestClient, query: str, status: int
) -> None:
    for address in (f"{PAIRS}?{query}", f"/demo/pairs?{query}"):
        response = client.get(address, headers={"Accept": "text/html"})
        assert response.status_code == status, address
    assert client.get(f"{PAIRS}?{query}").json()["error"]["message"]


def test_blank_fields_of_a_form_are_no_conditions(client: TestClient, opened: Store) -> None:
    text = client.get("/demo/pairs?words=&neuron=&head=&norm_min=&cosine_max= ").text
    assert f"All {opened.statistics['norm'].size:,} pairs" in text
    assert FinderQuery.model_validate({"words": " ", "head": ""}).asked() == {}


def test_the_page_shows_what_its_twin_says(client: TestClient) -> None:
    query = "words=cat&sort=held_out&order=asc&offset=25"
    found = client.get(f"{PAIRS}?{query}").json()
    text = client.get(f"/demo/pairs?{query}").text
    pairs = re.findall(r'class="finder__pair" href="([^"]+)"', text)
    assert pairs == [pair["url"] for pair in found["results"]]
    assert f"26 to 50 of {found['matching']:,}" in text
    assert 'aria-sort="ascending"' in text
    links = dict(re.findall(r'<a class="button" href="([^"]+)" rel="nofollow (\w*)', text))
    onward = next(html.unescape(url) for url, rel in links.items() if rel == "next")
    assert client.get(onward).status_code == 200
    assert "offset=50" in onward
    assert "words=cat" in onward


def test_a_table_can_be_shared_as_it_is(client: TestClient) -> None:
    made = client.post(
        "/api/v1/shares", json={"view": "/demo/pairs?words=cat&sort=cosine&limit=7"}
    ).json()
    text = client.get(made["url"], headers={"Accept": "text/html"}).text
    assert text.count('class="finder__pair"') == 7
    refused = client.post("/api/v1/shares", json={"view": "/demo/pairs?sort=beauty"})
    assert refused.status_code == 422


def test_random_pairs_differ_and_are_not_kept(client: TestClient) -> None:
    answers = [client.get("/demo/random", follow_redirects=False) for _ in range(5)]
    assert {answer.status_code for answer in answers} == {303}
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    places = {answer.headers["location"] for answer in answers}
    assert len(places) > 1
    assert all(client.get(place).status_code == 200 for place in places)


def test_csv_is_an_attachment_with_an_etag(client: TestClient) -> None:
    response = client.get(f"{PAIRS}.csv", params={"head": 1, "limit": 3})
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"] == 'attachment; filename="demo-pairs.csv"'
    again = client.get(f"{PAIRS}.csv", headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304


def test_csv_cells_run_nothing_and_numbers_stay_numbers() -> None:
    cells = ["=1+1", "+a", "-b", "@c", "\td", 'quo"ted', "naïve", -0.5, float("nan"), None, 3]
    lines = list(csv.reader(io.StringIO("".join(csv_chunks(["h"] * len(cells), [cells] * 2500)))))
    assert len(lines) == 2501
    assert lines[1] == [
        *("'=1+1", "'+a", "'-b", "'@c", "'\td", 'quo"ted', "naïve"),
        *("-0.5", "", "", "3"),
    ]
