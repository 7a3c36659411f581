"""Several pairs looked up together, and compared on the same images."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.server import formats, schemas
from backend.store import Store, open_store
from tests.server.tiny_store import UNKNOWN_PAIR, write_store

API = "/api/v1/models/demo"
HTML = {"Accept": "text/html"}
THREE = "3.1,7.4,3.2"


@pytest.fixture(scope="module")
def opened(store: Path) -> Store:
    return open_store(store)


def batch(client: TestClient, pairs: str) -> dict[str, Any]:
    response = client.get(f"{API}/pairs:batch", params={"pairs": pairs})
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def direction(store: Store, neuron: int, head: int) -> np.ndarray:
    vector = store.factors["output"][head] @ store.factors["value"][head, :, neuron]
    return store.statistics["sign"][head, neuron] * vector / np.linalg.norm(vector)


def test_both_ways_of_asking_give_the_same(client: TestClient) -> None:
    wanted = [{"neuron": 3, "head": 1}, {"neuron": 7, "head": 4}, {"neuron": 3, "head": 1}]
    posted = client.post(f"{API}/pairs:batch", json={"pairs": wanted})
    assert posted.status_code == 200
    assert posted.json() == batch(client, "3.1,7.4")
    assert posted.headers["etag"]


def test_a_batch_says_what_the_pairs_pages_say(client: TestClient) -> None:
    for found in batch(client, THREE)["pairs"]:
        pair = client.get(f"{API}/pairs/{found['neuron']}/{found['head']}").json()
        same = ("norm", "sign", "monosemanticity", "held_out", "cosine", "explanation")
        assert {name: found[name] for name in same} == {name: pair[name] for name in same}
        assert found["top_images"] == pair["top_images"]
        assert found["url"] == pair["url"]


def test_matrices_agree_with_the_plain_definition(client: TestClient, opened: Store) -> None:
    found = batch(client, THREE)
    places = [(pair["neuron"], pair["head"]) for pair in found["pairs"]]
    for i, (n, h) in enumerate(places):
        for j, (m, g) in enumerate(places):
            plain = float(direction(opened, n, h) @ direction(opened, m, g))
            assert found["cosines"][i][j] == pytest.approx(plain, abs=1e-5)
            one, other = (
                set(opened.statistics["top_images"][head, neuron].tolist())
                for neuron, head in ((n, h), (m, g))
            )
            assert found["overlaps"][i][j] == pytest.approx(len(one & other) / len(one | other))


def test_every_image_has_a_value_or_bounds_of_each_pair(client: TestClient, opened: Store) -> None:
    found = batch(client, THREE)
    tops = [{each["image"] for each in pair["top_images"]} for pair in found["pairs"]]
    assert {image["image"] for image in found["images"]} == set().union(*tops)
    for image in found["images"]:
        assert image["image"] in tops[image["top_of"]]
        assert not any(image["image"] in each for each in tops[: image["top_of"]])
        for pair, value in zip(found["pairs"], image["values"], strict=True):
            at = (pair["head"], pair["neuron"])
            known = dict(
                zip(
                    opened.statistics["top_images"][at].tolist(),
                    opened.statistics["top_values"][at].tolist(),
                    strict=True,
                )
            )
            if image["image"] in known:
                assert value["value"] == value["low"] == value["high"] == known[image["image"]]
            elif value["value"] is None:
                assert value["low"] <= value["high"] == pytest.approx(min(known.values()))
            if value["heatmap_url"] is not None:
                assert client.get(value["heatmap_url"]).status_code == 200


def test_words_are_set_side_by_side(client: TestClient) -> None:
    found = batch(client, THREE)
    holders = [sum(w is not None for w in word["weights"]) for word in found["words"]]
    assert holders == sorted(holders, reverse=True)
    for at, pair in enumerate(found["pairs"]):
        told = {
            word["word"]: word["weights"][at]
            for word in found["words"]
            if word["weights"][at] is not None
        }
        assert told == {word["word"]: word["weight"] for word in pair["explanation"]}


def test_many_pairs_are_looked_up_but_not_compared(client: TestClient) -> None:
    places = [{"neuron": n, "head": 0} for n in range(schemas.MAX_BATCH)]
    found = client.post(f"{API}/pairs:batch", json={"pairs": places}).json()
    assert len(found["pairs"]) == len(found["cosines"]) == schemas.MAX_BATCH
    assert found["images"] == found["words"] == []
    assert found["url"] is None
    one_more = [*places, {"neuron": 999, "head": 0}]
    refused = client.post(f"{API}/pairs:batch", json={"pairs": one_more})
    assert refused.status_code == 422
    assert str(schemas.MAX_BATCH) in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("pairs", "status", "says"),
    [
        ("1024.0", 404, "0 to 1023"),
        ("0.16", 404, "0 to 15"),
        ("0", 422, "neuron.head"),
        ("0.0;1.1", 422, "neuron.head"),
        ("-1.0", 422, "neuron.head"),
        ("<script>", 422, "neuron.head"),
    ],
)
def test_refusals(client: TestClient, pairs: str, status: int, says: str) -> None:
    for response in (
        client.get(f"{API}/pairs:batch", params={"pairs": pairs}),
        client.get(f"{API}/pairs:words.csv", params={"pairs": pairs}),
    ):
        assert response.status_code == status
        assert says in response.json()["error"]["message"]
    shown = client.get("/demo/compare", params={"pairs": pairs}, headers=HTML)
    assert shown.status_code == status
    assert 'role="alert"' in shown.text
    assert says in html.unescape(shown.text)
    assert "<script>" not in shown.text.replace('<script src="', "")
    assert html.escape(pairs) in shown.text


@pytest.mark.parametrize("body", [{}, {"pairs": []}, {"pairs": [{"neuron": 1}]}, {"pairs": "3.1"}])
def test_bodies_that_are_no_look_up(client: TestClient, body: dict[str, Any]) -> None:
    response = client.post(f"{API}/pairs:batch", json=body)
    assert response.status_code == 422
    assert set(response.json()["error"]) == {"status", "code", "message", "request_id"}


def test_the_page_shows_what_its_twin_says(client: TestClient) -> None:
    found = batch(client, THREE)
    text = html.unescape(client.get(found["url"], headers=HTML).text)
    for pair in found["pairs"]:
        assert f'href="{pair["url"]}"' in text
    for image in found["images"]:
        assert image["url"] in text
        for value in image["values"]:
            if value["value"] is not None:
                assert formats.signed(value["value"]) in text
            else:
                assert f"between {formats.number(value['low'])}" in text
    assert formats.number(found["cosines"][0][1]) in text
    assert formats.number(found["overlaps"][0][2]) in text
    assert f'action="{found["url"].partition("?")[0]}"' in text
    for kept in ("7.4,3.2", "3.1,3.2", "3.1,7.4"):
        assert f'href="/demo/compare?pairs={kept}"' in text


def test_too_many_to_compare_is_said_in_place(client: TestClient) -> None:
    text = client.get("/demo/compare?pairs=0.0,1.0,2.0,3.0,4.0", headers=HTML)
    assert text.status_code == 422
    assert "At most 4 pairs" in text.text
    assert client.get(f"{API}/pairs:words.csv?pairs=0.0,1.0,2.0,3.0,4.0").status_code == 422


def test_nothing_and_one_pair_ask_for_more(client: TestClient) -> None:
    assert "Compare pairs" in client.get("/demo/compare", headers=HTML).text
    assert "One pair alone" in client.get("/demo/compare?pairs=3.1", headers=HTML).text


def test_words_can_be_kept(client: TestClient) -> None:
    response = client.get(f"{API}/pairs:words.csv", params={"pairs": THREE})
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert set(rows[0]) == {"word", "3.1", "7.4", "3.2"}
    assert len(rows) == len(batch(client, THREE)["words"])


def test_a_pair_leads_to_comparisons(client: TestClient) -> None:
    text = html.unescape(client.get("/demo/pairs/3/1", headers=HTML).text)
    pair = client.get(f"{API}/pairs/3/1").json()
    first = ",".join(f"{near['neuron']}.{near['head']}" for near in pair["nearest"][:3])
    assert f'href="/demo/compare?pairs=3.1,{first}"' in text


def test_missing_ranks_and_pictures_are_no_obstacle(
    client: TestClient, start: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    unknown = f"{UNKNOWN_PAIR[0]}.{UNKNOWN_PAIR[1]}"
    assert len(batch(client, f"{unknown},3.1")["pairs"][0]["top_images"]) == 5
    write_store(tmp_path / "bare", checkpoint, exemplars=False)
    with start(stores=(tmp_path / "bare",)) as bare:
        assert batch(bare, THREE)["images"] == []
        assert "keeps no images" in bare.get("/demo/compare?pairs=3.1,7.4", headers=HTML).text
