"""The JSON addresses of stored data, and the pictures they name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from backend.pairs.factors import Factors
from backend.store import Store, open_store
from tests.server.tiny_store import ATOMS, IMAGES, STEPS, UNKNOWN_PAIR, UNREADABLE, WORDS

API = "/api/v1"


@pytest.fixture(scope="module")
def opened(store: Path) -> Store:
    return open_store(store)


def _direction(store: Store, neuron: int, head: int) -> np.ndarray:
    """Plain reading of the definition: sign * D / |D|."""
    vector = store.factors["output"][head] @ store.factors["value"][head, :, neuron]
    return store.statistics["sign"][head, neuron] * vector / np.linalg.norm(vector)


def _centred(store: Store, word: str) -> np.ndarray:
    embeddings = store.vocabulary_embeddings
    text = embeddings[store.vocabulary.index(word)] - embeddings.mean(axis=0)
    return text / np.linalg.norm(text)


def test_models_and_model(client: TestClient, opened: Store) -> None:
    (summary,) = client.get(f"{API}/models").json()["models"]
    assert summary["name"] == "demo"
    assert summary["url"] == "/demo"
    assert summary["live"] == "ready"
    assert summary["pairs"] == summary["neurons"] * summary["heads"]
    assert summary["vocabulary"] == len(WORDS)
    assert summary["atoms"] == ATOMS
    assert summary["image_size"] == 256
    detail = client.get(f"{API}/models/demo").json()
    assert {key: detail[key] for key in summary} == summary
    assert detail["unreadable_images"] == len(UNREADABLE)
    norms = [pair["norm"] for pair in detail["strongest"]]
    assert norms == sorted(norms, reverse=True)
    assert norms[0] == pytest.approx(float(opened.statistics["norm"].max()))
    first_words = [pair["words"][0]["word"] for pair in detail["clearest"]]
    assert len(set(first_words)) == len(first_words) > 0
    first_images = [pair["thumbnails"][0]["image"] for pair in detail["clearest"]]
    assert len(set(first_images)) == len(first_images)
    away = [pair["words"][0]["weight"] < 0 for pair in detail["clearest"]]
    assert away == sorted(away)
    assert set(detail["example_words"]) <= set(WORDS)


@pytest.mark.parametrize("wanted", [-1, 1])
def test_pair_is_oriented(client: TestClient, opened: Store, wanted: int) -> None:
    head, neuron = (int(place[0]) for place in np.nonzero(opened.statistics["sign"] == wanted))
    pair = client.get(f"{API}/models/demo/pairs/{neuron}/{head}").json()
    statistics = opened.statistics
    assert pair["sign"] == wanted
    assert pair["mean"] == pytest.approx(wanted * statistics["mean"][head, neuron])
    assert pair["images"] == IMAGES
    edges, counts = pair["histogram"]["edges"], pair["histogram"]["counts"]
    assert edges == sorted(edges)
    raw = statistics["histogram"][head, neuron].tolist()
    assert counts == (raw if wanted > 0 else raw[::-1])
    assert edges[0] == pytest.approx(wanted * statistics["edges"][head, neuron][::wanted][0])
    assert [image["value"] for image in pair["top_images"]] == pytest.approx(
        statistics["top_values"][head, neuron, :8].tolist()
    )
    assert len(pair["bottom_images"]) == 4
    assert [word["weight"] for word in pair["explanation"]] == pytest.approx(
        opened.explanations["weights"][head, neuron].tolist()
    )
    assert [step["words"] for step in pair["cosine_by_words"]] == STEPS
    assert pair["cosine"] == pair["cosine_by_words"][-1]["cosine"]


def test_neighbours_of_a_pair(client: TestClient, opened: Store) -> None:
    pair = client.get(f"{API}/models/demo/pairs/3/4").json()
    assert {sibling["neuron"] for sibling in pair["siblings"]} == {3}
    assert 4 not in {sibling["head"] for sibling in pair["siblings"]}
    norms = [sibling["norm"] for sibling in pair["siblings"]]
    assert norms == sorted(norms, reverse=True)
    cosines = [near["cosine"] for near in pair["nearest"]]
    assert cosines == sorted(cosines, reverse=True)
    assert (3, 4) not in {(near["neuron"], near["head"]) for near in pair["nearest"]}
    own = _direction(opened, 3, 4)
    for near in pair["nearest"]:
        plain = float(own @ _direction(opened, near["neuron"], near["head"]))
        assert near["cosine"] == pytest.approx(plain, abs=1e-3)
    overlaps = [other["jaccard"] for other in pair["coactive"]]
    assert overlaps == sorted(overlaps, reverse=True)
    flat = [other["head"] * opened.n_neurons + other["neuron"] for other in pair["coactive"]]
    assert flat == opened.neighbours["coactivation_ids"][4, 3].tolist()


def test_chance_stands_beside_the_words(client: TestClient, opened: Store) -> None:
    pair = client.get(f"{API}/models/demo/pairs/3/4").json()
    for null in ("random", "shuffled"):
        expected = opened.nulls[f"{null}_cosine"].mean(axis=0).tolist()
        assert [step[null] for step in pair["cosine_by_words"]] == pytest.approx(expected)
    assert pair["held_out"] == pytest.approx(opened.explanations["held_out"][4, 3])


def test_figures_are_told_with_their_certainty(client: TestClient, opened: Store) -> None:
    pair = client.get(f"{API}/models/demo/pairs/3/1").json()
    sure = pair["certainty"]
    assert 0 <= sure["norm"]["low"] <= sure["norm"]["high"]
    assert sure["top_retained_interval"]["low"] <= sure["top_retained"]
    for null in ("random", "shuffled"):
        beaten = np.mean(opened.nulls[f"{null}_cosine"][:, -1] < pair["cosine"])
        assert sure[f"{null}_percentile"] == pytest.approx(100 * beaten)
    scores = opened.explanations["held_out"]
    known = scores[~np.isnan(scores)]
    assert sure["held_out_percentile"] == pytest.approx(100 * np.mean(known < scores[1, 3]))


def test_a_pair_stands_beside_its_neuron(client: TestClient, opened: Store) -> None:
    pair = client.get(f"{API}/models/demo/pairs/3/4").json()
    neuron = client.get(f"{API}/models/demo/neurons/3").json()
    beside = pair["beside_neuron"]
    (own,) = (each for each in neuron["heads"] if each["head"] == 4)
    for figure in ("share", "cosine", "strength"):
        assert beside[figure] == pytest.approx(own[figure], rel=1e-4)
    words = [_centred(opened, word["word"]) * word["weight"] for word in neuron["explanation"]]
    total = np.sum(words, axis=0)
    plain = _direction(opened, 3, 4) @ total / np.linalg.norm(total)
    assert beside["neuron_words_cosine"] == pytest.approx(float(plain), abs=1e-5)
    towards = {word["word"] for word in neuron["explanation"] if word["weight"] > 0}
    assert beside["shared_words"] == [
        word["word"]
        for word in pair["explanation"]
        if word["weight"] > 0 and word["word"] in towards
    ]
    assert client.get(beside["url"]).status_code == 200


def test_missing_ranks_and_numbers_are_left_out(client: TestClient) -> None:
    neuron, head = UNKNOWN_PAIR
    pair = client.get(f"{API}/models/demo/pairs/{neuron}/{head}").json()
    assert pair["monosemanticity"] is None
    assert len(pair["top_images"]) == 5
    assert pair["held_out"] is None
    assert (len(pair["nearest"]), len(pair["coactive"])) == (2, 2)


def test_search_agrees_with_the_plain_definition(client: TestClient, opened: Store) -> None:
    body = client.get(f"{API}/models/demo/search", params={"q": "Butterfly", "limit": 5}).json()
    assert body["source"] == "vocabulary"
    assert body["next_limit"] == 10
    text = _centred(opened, "butterfly")
    factors = Factors(
        **{
            name: torch.from_numpy(np.array(opened.factors[name]))
            for name in ("value", "output", "value_bias", "output_bias")
        }
    )
    dense = np.stack(
        [(factors.output[h] @ factors.value[h]).T.numpy() for h in range(factors.n_heads)]
    )
    dense *= (opened.statistics["sign"] / np.linalg.norm(dense, axis=-1))[..., None]
    plain = dense @ text
    assert [r["similarity"] for r in body["results"]] == pytest.approx(
        np.sort(plain.ravel())[::-1][:5].tolist(), abs=1e-5
    )
    best = body["results"][0]
    direction = dense[best["head"], best["neuron"]]
    less = np.mean([direction @ _centred(opened, w) < best["similarity"] - 1e-6 for w in WORDS])
    assert best["null_percentile"] == pytest.approx(100 * less, abs=0.1)
    told = opened.words["agreement"][WORDS.index("butterfly")]
    standing = 100 * np.mean(opened.familiarity["text_null"] < told)
    assert body["standing"] == pytest.approx(standing)
    assert body["may_not_know"] == (standing < 95)
    assert (body["doubt"] is not None) == body["may_not_know"]
    assert body["total"] == opened.n_heads * opened.n_neurons


def test_search_of_a_vocabulary_word_and_of_free_text_agree(client: TestClient) -> None:
    stored = client.get(f"{API}/models/demo/search", params={"q": "cat"}).json()
    live = client.get(f"{API}/models/demo/search", params={"q": "cat !"}).json()
    assert stored["source"] == "vocabulary"
    assert live["source"] == "text tower"
    assert live["query"] == "cat !"
    assert len(live["results"]) == 20
    folded = client.get(f"{API}/models/demo/search", params={"q": "  GREEN \n tree "}).json()
    assert folded["query"] == "GREEN tree"
    assert folded["source"] == "vocabulary"


def test_every_address_in_the_json_answers(client: TestClient) -> None:
    pair = client.get(f"{API}/models/demo/pairs/3/4").json()
    for image in [*pair["top_images"], *pair["bottom_images"]]:
        thumbnail = client.get(image["url"])
        assert thumbnail.headers["content-type"] == "image/webp"
        Image.open(io.BytesIO(thumbnail.content)).verify()
        heatmap = client.get(image["heatmap_url"])
        assert Image.open(io.BytesIO(heatmap.content)).mode == "RGBA"
    assert client.get(f"{API}/openapi.json").json()["openapi"].startswith("3.")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/models/nope", 404, "demo"),
        ("/models/nope/pairs/0/0", 404, "demo"),
        ("/models/demo/pairs/1024/0", 404, "0 to 1023"),
        ("/models/demo/pairs/-1/0", 404, "0 to 1023"),
        ("/models/demo/pairs/0/16", 404, "0 to 15"),
        ("/models/demo/pairs/99999999999999999999/0", 404, "0 to 1023"),
        ("/models/demo/pairs/x/0", 422, "neuron"),
        ("/models/demo/pairs/0/1e3", 422, "head"),
        ("/models/demo/search", 422, "q"),
        ("/models/demo/search?q=", 422, "q"),
        ("/models/demo/search?q=%20%20", 422, "blank"),
        ("/models/demo/search?q=%00cat", 422, "control"),
        (f"/models/demo/search?q={'a' * 201}", 422, "200"),
        ("/models/demo/search?q=cat&limit=0", 422, "limit"),
        ("/models/demo/search?q=cat&limit=101", 422, "100"),
        ("/models/demo/search?q=cat&limit=x", 422, "limit"),
        ("/models/demo/images/20.webp", 404, "thumbnail"),
        ("/models/demo/images/-1.webp", 404, "thumbnail"),
        ("/models/demo/images/x.webp", 422, "image"),
        ("/models/demo/pairs/3/4/heatmaps/999.png", 404, "heatmap"),
        ("/models/demo/pairs/3/4/heatmaps/-1.png", 404, "heatmap"),
        ("/nothing", 404, "nothing"),
    ],
)
def test_refusals_have_one_body(client: TestClient, path: str, status: int, says: str) -> None:
    response = client.get(API + path)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"status", "code", "message", "request_id"}
    assert error["status"] == status
    assert says in error["message"]
    assert response.headers["x-request-id"] == error["request_id"]


@pytest.mark.parametrize(
    "path",
    [
        "/models",
        "/models/demo",
        "/models/demo/pairs/3/4",
        "/models/demo/search?q=cat",
        "/models/demo/images/3.webp",
    ],
)
def test_stored_data_is_not_sent_twice(client: TestClient, opened: Store, path: str) -> None:
    first = client.get(API + path)
    etag = first.headers["etag"]
    if path != "/models":
        assert opened.data_version in etag
    second = client.get(API + path, headers={"If-None-Match": etag})
    assert second.status_code == 304
    assert second.content == b""
    assert second.headers["etag"] == etag
    assert client.get(API + path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_is_get_without_a_body(client: TestClient) -> None:
    response = client.head(f"{API}/models/demo/pairs/3/4")
    assert response.status_code == 200
    assert response.content == b""


def test_json_is_compressed(client: TestClient) -> None:
    response = client.get(f"{API}/models/demo", headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
