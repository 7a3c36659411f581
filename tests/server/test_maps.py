"""The map of all pairs: what it sends, how compactly, and what Plotly needs of the policy."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import load

from backend.server.assets import CACHE_FOREVER
from backend.store import Store, open_store

MAP = "/api/v1/models/demo/map"


@pytest.fixture(scope="module")
def opened(store) -> Store:
    return open_store(store)


def test_arrays_are_the_stores_within_their_steps(client: TestClient, opened: Store) -> None:
    described = client.get(MAP).json()
    arrays = load(client.get(described["arrays_url"]).content)
    pairs = opened.n_heads * opened.n_neurons
    assert described["pairs"] == pairs
    position = arrays["position"].astype(float) / 65535 * 2 - 1
    assert np.abs(position - opened.map["position"].reshape(-1, 2)).max() < 2e-5
    assert (arrays["cluster"] == opened.map["cluster"].reshape(-1)).all()
    percentile = opened.statistics["norm_percentile"].reshape(-1)
    assert np.abs(arrays["percentile"] / 100 - percentile).max() < 0.006
    assert sum(array.nbytes for array in arrays.values()) == 8 * pairs


def test_clusters_have_words_places_and_sizes(client: TestClient, opened: Store) -> None:
    clusters = client.get(MAP).json()["clusters"]
    sizes = [int((opened.map["cluster"] == number).sum()) for number in range(len(clusters))]
    assert [cluster["pairs"] for cluster in clusters] == sizes
    words = [opened.vocabulary[word] for word in opened.map["cluster_word"]]
    assert [cluster["word"] for cluster in clusters] == words
    places = [[cluster["x"], cluster["y"]] for cluster in clusters]
    assert np.array(places) == pytest.approx(opened.map["cluster_position"])


def test_arrays_are_sent_compressed_and_asked_for_once(client: TestClient) -> None:
    url = client.get(MAP).json()["arrays_url"]
    plain = client.get(url, headers={"Accept-Encoding": "identity"})
    with client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as packed:
        body = b"".join(packed.iter_raw())
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body) == plain.content
    assert len(body) < len(plain.content)
    for address in (url, MAP):
        tag = client.get(address).headers["etag"]
        assert client.get(address, headers={"If-None-Match": tag}).status_code == 304


def test_plotly_is_served_from_its_package_and_kept(client: TestClient) -> None:
    address = re.search(r'data-plotly="([^"]+)"', client.get("/demo").text)
    assert address is not None
    script = client.get(address[1], headers={"Accept-Encoding": "gzip"})
    assert script.status_code == 200
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert script.headers["cache-control"] == CACHE_FOREVER
    assert int(script.headers["content-length"]) < 1_600_000
    assert "Plotly" in script.text
    old = client.get(re.sub(r"/static/\w+/", "/static/0123456789abcdef/", address[1]))
    assert old.headers["cache-control"] == "no-store"


def test_only_the_page_with_the_map_may_make_code(client: TestClient) -> None:
    for address, allowed in (("/demo", True), ("/demo/pairs", False), ("/", False)):
        policy = client.get(address).headers["content-security-policy"]
        assert ("script-src 'self' 'unsafe-eval';" in policy) == allowed, address
        assert "unsafe-inline" not in policy
        assert "style-src 'self';" in policy
    framed = client.get("/demo?embed=1").headers["content-security-policy"]
    assert "script-src 'self' 'unsafe-eval';" in framed
    assert "frame-ancestors *" in framed


def test_a_chosen_part_of_the_map_is_listed_and_kept_in_the_address(client: TestClient) -> None:
    region = "-1,-1,0,-1,0,0,-1,0"
    found = client.get("/api/v1/models/demo/pairs", params={"region": region}).json()
    text = client.get("/demo", params={"region": region, "colour": "head"}).text
    assert f"{found['matching']:,} chosen pairs" in text
    first = re.search(r'class="finder__pair" href="([^"]+)"', text)
    assert first is not None
    assert first[1] == found["results"][0]["url"]
    assert f'data-region="{region}"' in text
    assert re.search(r'value="head"[^>]* checked', text)
    assert client.get("/demo?region=1,2").status_code == 422
    assert client.get("/demo?colour=plaid").status_code == 422
    made = client.post("/api/v1/shares", json={"view": f"/demo?region={region}"}).json()
    shared = client.get(made["url"], headers={"Accept": "text/html"})
    assert f"{found['matching']:,} chosen pairs" in shared.text
    assert "'unsafe-eval'" in shared.headers["content-security-policy"]
