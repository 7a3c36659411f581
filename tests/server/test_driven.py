"""Search by a picture: figures against the store, as JSON, as a page, without scripts, shared."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from backend.store import Store, open_store
from tests.server.conftest import picture

API = "/api/v1/models/demo"


@pytest.fixture(scope="module")
def opened(store) -> Store:
    return open_store(store)


@pytest.fixture(scope="module")
def image(client: TestClient) -> dict[str, Any]:
    response = client.post(f"{API}/images", files={"image": ("x.png", picture(), "image/png")})
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def driven(client: TestClient, image: dict[str, Any], **query: object) -> dict[str, Any]:
    response = client.get(f"{API}/images/{image['id']}/pairs", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "private, no-store"
    found: dict[str, Any] = response.json()
    return found


def test_figures_follow_from_the_value_and_the_stored_statistics(
    client: TestClient, opened: Store, image: dict[str, Any]
) -> None:
    statistics = opened.statistics
    found = driven(client, image, limit=40)
    standing = [pair["standing"] for pair in found["results"]]
    assert standing == sorted(standing, reverse=True)
    assert found["total"] == opened.n_heads * opened.n_neurons
    assert found["picture"]["id"] == image["id"]
    for pair in found["results"]:
        at = pair["head"], pair["neuron"]
        sign, mean = float(statistics["sign"][at]), float(statistics["mean"][at])
        deviation = np.sqrt(statistics["m2"][at] / statistics["count"])
        above = pair["value"] - sign * mean
        assert pair["standing"] == pytest.approx(above / deviation, rel=1e-3)
        write = opened.factors["output"][at[0]] @ opened.factors["value"][at[0], :, at[1]]
        assert pair["movement"] == pytest.approx(above * np.linalg.norm(write), rel=1e-3)
        assert 0 <= pair["percentile"] <= 100


def test_the_values_are_those_of_an_attribution(client: TestClient, image: dict[str, Any]) -> None:
    first = driven(client, image, limit=1)["results"][0]
    told = client.post(
        f"{API}/attributions",
        json={
            "image_id": image["id"],
            "text": "cat",
            "pairs": [f"{first['neuron']}.{first['head']}"],
        },
    ).json()
    assert told["maps"][0]["value"] == pytest.approx(first["value"], rel=1e-4)
    assert told["maps"][0]["percentile"] == pytest.approx(first["percentile"], abs=1e-3)


def test_conditions_and_the_other_rank(
    client: TestClient, opened: Store, image: dict[str, Any]
) -> None:
    found = driven(client, image, rank="movement", head=3, percentile_min=50, limit=100)
    movement = [pair["movement"] for pair in found["results"]]
    assert movement == sorted(movement, reverse=True)
    assert {pair["head"] for pair in found["results"]} == {3}
    assert min(pair["norm_percentile"] for pair in found["results"]) >= 50
    assert found["total"] == (opened.statistics["norm_percentile"][3] >= 50).sum()
    assert driven(client, image, neuron=3, head=2)["total"] == 1


@pytest.mark.parametrize(
    ("query", "status"), [("rank=luck", 422), ("limit=0", 422), ("head=99", 404), ("head=-1", 422)]
)
def test_what_cannot_be_asked_is_refused(
    client: TestClient, image: dict[str, Any], query: str, status: int
) -> None:
    response = client.get(f"{API}/images/{image['id']}/pairs?{query}")
    assert response.status_code == status
    assert client.get(f"{API}/images/nothing/pairs").status_code == 404
    assert client.get("/demo/search/picture?image=nothing").status_code == 404


def test_the_page_shows_what_its_twin_says(client: TestClient, image: dict[str, Any]) -> None:
    response = client.get(f"/demo/search/picture?image={image['id']}&head=3")
    assert response.headers["cache-control"] == "private, no-store"
    twin = re.search(r'type="application/json" href="([^"]+)"', response.text)
    assert twin is not None
    found = client.get(html.unescape(twin[1])).json()
    cards = re.findall(r'class="card__link" href="([^"]+)"', response.text)
    assert cards == [pair["url"] for pair in found["results"]] != []
    assert 'name="robots" content="noindex"' in response.text


def test_the_plain_form_leads_to_the_pairs(client: TestClient) -> None:
    files = {"image": ("x.png", picture(), "image/png")}
    answer = client.post("/demo/search/picture", files=files, follow_redirects=False)
    assert answer.status_code == 303
    address = answer.headers["location"]
    shown = client.get(address)
    assert 'class="card__link"' in shown.text
    in_the_lab = client.get(address.replace("/search/picture?", "/lab?")).text
    (token,) = re.findall(r'name="token" value="([^"]+)"', in_the_lab)
    image = address.partition("image=")[2]
    bearer = {"Authorization": f"Bearer {token}"}
    assert client.delete(f"{API}/images/{image}", headers=bearer).status_code == 204
    broken = client.post("/demo/search/picture", files={"image": ("x.png", b"no", "image/png")})
    assert broken.status_code == 422


def test_sharing_the_page_keeps_the_picture(client: TestClient, image: dict[str, Any]) -> None:
    view = f"/demo/search/picture?image={image['id']}"
    made = client.post("/api/v1/shares", json={"view": view})
    assert made.status_code == 200, made.text
    assert client.get(f"{API}/images/{image['id']}").json()["expires"] is None
    shared = client.get(made.json()["url"], headers={"Accept": "text/html"})
    assert 'class="card__link"' in shared.text
    framed = client.get(made.json()["url"] + "?embed=1", headers={"Accept": "text/html"})
    assert 'class="card__link"' in framed.text
    assert "<form" not in framed.text


def test_without_a_model_the_page_says_why(start: Callable[..., Any]) -> None:
    with start(live=False) as client:
        assert client.get("/demo/search/picture").status_code == 200
        files = {"image": ("x.png", picture(), "image/png")}
        assert client.post("/demo/search/picture", files=files).status_code == 503
