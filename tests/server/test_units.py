"""Neurons as units, what their heads make of them, and the gallery of splits."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from backend.server import formats
from backend.server.grouping import group_pairs, groups_of, neuron_pairs
from backend.server.naming import distinct_words, nearest_words, word_similarities
from backend.server.open_store import OpenStore
from backend.server.splits import SPLITS_KEPT, featured_splits
from backend.server.urls import Urls
from backend.store import Store, open_store
from tests.server.tiny_store import IMAGES, UNKNOWN_PAIR, WORDS, write_store

API = "/api/v1/models/demo"
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def opened(store: Path) -> OpenStore:
    return OpenStore(open_store(store))


@pytest.fixture(scope="module")
def dense(opened: OpenStore) -> np.ndarray:
    """Oriented unit directions ``[head, neuron, d_out]``, plainly."""
    factors = opened.store.factors
    vectors = np.einsum("hod,hdn->hno", factors["output"], factors["value"])
    return vectors * (opened.store.statistics["sign"] / np.linalg.norm(vectors, axis=-1))[..., None]


def centred_words(store: Store) -> np.ndarray:
    words = store.vocabulary_embeddings - store.vocabulary_embeddings.mean(axis=0)
    return words / np.linalg.norm(words, axis=1, keepdims=True)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def page(client: TestClient, url: str) -> str:
    response = client.get(url, headers=HTML)
    assert response.status_code == 200, response.text
    return html.unescape(response.text)


def test_a_neuron_is_what_the_store_says(client: TestClient, opened: OpenStore) -> None:
    neuron = client.get(f"{API}/neurons/3").json()
    stored = opened.store.neurons
    assert neuron["norm"] == pytest.approx(stored["norm"][3])
    smaller = (stored["norm"] < stored["norm"][3]).sum() / (opened.n_neurons - 1)
    assert neuron["norm_percentile"] == pytest.approx(100 * smaller)
    assert neuron["variance_shares"] == pytest.approx([0.25] * 4)
    assert neuron["held_out"] == pytest.approx(stored["held_out"][3])
    assert neuron["images"] == IMAGES
    assert [image["image"] for image in neuron["top_images"]] == stored["top_images"][
        3, :8
    ].tolist()
    assert [image["value"] for image in neuron["bottom_images"]] == pytest.approx(
        stored["bottom_values"][3, :4].tolist()
    )
    assert [word["weight"] for word in neuron["explanation"]] == pytest.approx(
        stored["weights"][3].tolist()
    )


def test_heads_agree_with_the_plain_definition(
    client: TestClient, opened: OpenStore, dense: np.ndarray
) -> None:
    neuron = client.get(f"{API}/neurons/3").json()
    norm = opened.store.statistics["norm"][:, 3]
    mean = unit((dense[:, 3] * norm[:, None]).sum(axis=0))
    heads = {each["head"]: each for each in neuron["heads"]}
    assert sorted(heads) == list(range(opened.n_heads))
    shares = [each["share"] for each in neuron["heads"]]
    assert shares == sorted(shares, reverse=True)
    for head, each in heads.items():
        share, cosine = norm[head] / norm.sum(), float(dense[head, 3] @ mean)
        alike = opened.store.statistics["monosemanticity"][head, 3]
        assert each["share"] == pytest.approx(share, rel=1e-5)
        assert each["cosine"] == pytest.approx(cosine, abs=1e-5)
        assert each["strength"] == pytest.approx(share * (1 - cosine) * alike, rel=1e-4)
        assert head in neuron["subconcepts"][each["subconcept"]]["heads"]
    first = opened.store.neurons["direction"][3]
    assert neuron["mean_cosine"] == pytest.approx(max(-1, min(1, float(first @ mean))), abs=1e-4)


def test_subconcepts_agree_with_the_plain_definition(
    client: TestClient, opened: OpenStore, dense: np.ndarray
) -> None:
    neuron = client.get(f"{API}/neurons/3").json()
    norm, words = opened.store.statistics["norm"][:, 3], centred_words(opened.store)
    mean = unit((dense[:, 3] * norm[:, None]).sum(axis=0))
    assert sorted(h for part in neuron["subconcepts"] for h in part["heads"]) == list(
        range(opened.n_heads)
    )
    for part in neuron["subconcepts"]:
        weight = norm[part["heads"]]
        direction = unit((dense[part["heads"], 3] * weight[:, None]).sum(axis=0))
        assert part["share"] == pytest.approx(weight.sum() / norm.sum(), rel=1e-5)
        assert part["cosine"] == pytest.approx(float(direction @ mean), abs=1e-5)
        gains = dict(zip(WORDS, words @ direction - words @ mean, strict=True))
        for word in part["distinct"]:
            assert word["gain"] == pytest.approx(gains[word["word"]], abs=1e-5)
        told = [word["gain"] for word in part["distinct"]]
        assert told == sorted(told, reverse=True)
        near = [word["similarity"] for word in part["nearest"]]
        assert near == pytest.approx(np.sort(words @ direction)[::-1][: len(near)], abs=1e-5)


def test_images_of_a_subconcept_stand_highest_among_its_pairs(
    client: TestClient, opened: OpenStore
) -> None:
    neuron = client.get(f"{API}/neurons/3").json()
    norm = opened.store.statistics["norm"][:, 3]
    tops = opened.store.statistics["top_images"][:, 3]
    for part in neuron["subconcepts"]:
        points = np.zeros(IMAGES)
        for head in part["heads"]:
            for rank, image in enumerate(tops[head]):
                points[image] += norm[head] * (1 - rank / len(tops[head]))
        shown = [image["image"] for image in part["thumbnails"]]
        assert shown == np.argsort(-points, kind="stable")[: len(shown)].tolist()
        for image in part["thumbnails"]:
            if image["heatmap_url"] is not None:
                assert client.get(image["heatmap_url"]).status_code == 200


def test_a_head_is_what_the_store_says(client: TestClient, opened: OpenStore) -> None:
    head = client.get(f"{API}/heads/2").json()
    stored, norm = opened.store.heads, opened.store.statistics["norm"]
    assert head["norm"] == pytest.approx(stored["norm"][2])
    assert head["norm_share"] == pytest.approx(norm[2].sum() / norm.sum(), rel=1e-5)
    assert {pair["head"] for pair in head["strongest"] + head["clearest"]} == {2}
    norms = [pair["norm"] for pair in head["strongest"]]
    assert norms == pytest.approx(np.sort(norm[2])[::-1][: len(norms)].tolist())
    tenth = np.sort(norm[2])[::-1][: opened.n_neurons // 10]
    alike = opened.store.statistics["monosemanticity"][2]
    told = [alike[pair["neuron"]] for pair in head["clearest"]]
    assert told == sorted(told, reverse=True)
    assert min(pair["norm"] for pair in head["clearest"]) >= tenth.min() - 1e-6
    assert max(told) == alike[norm[2] >= tenth.min()].max()


def test_words_of_a_head_are_counted(client: TestClient, opened: OpenStore) -> None:
    head = client.get(f"{API}/heads/2").json()
    explanations = opened.store.explanations
    towards = explanations["weights"] > 0
    counted = {
        word: (towards & (explanations["word_ids"] == number)).sum(axis=(1, 2))
        for number, word in enumerate(WORDS)
    }
    pairs = [word["pairs"] for word in head["common_words"]]
    assert pairs == sorted((int(c[2]) for c in counted.values()), reverse=True)[: len(pairs)]
    for word in head["own_words"]:
        counts, n = counted[word["word"]], opened.n_neurons
        here, others = counts[2] / n, n * (opened.n_heads - 1)
        elsewhere = (counts.sum() - counts[2]) / others
        pooled = counts.sum() / (n + others)
        z = (here - elsewhere) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / others))
        assert word["share"] == pytest.approx(here)
        assert word["elsewhere"] == pytest.approx(elsewhere)
        assert word["z"] == pytest.approx(z)
    told = [word["z"] for word in head["own_words"]]
    assert told == sorted(told, reverse=True)


def test_the_head_page_shows_what_its_twin_says(client: TestClient) -> None:
    head = client.get(f"{API}/heads/2").json()
    text = page(client, head["url"])
    for figure in (head["norm"], head["cosine"], head["monosemanticity"]):
        assert formats.number(figure) in text
    for word in head["common_words"] + head["own_words"]:
        assert formats.percent(word["share"]) in text
        assert formats.signed(word["z"]) in text
    for pair in head["strongest"] + head["clearest"]:
        assert f'href="{pair["url"]}"' in text
    rows = table(client, "/heads/2/words.csv")
    assert [int(row["pairs"]) for row in rows][: len(head["common_words"])] == [
        word["pairs"] for word in head["common_words"]
    ]


def test_pairs_that_agree_are_grouped() -> None:
    first, second = torch.eye(6)[0], torch.eye(6)[1]
    noise = 0.05 * torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    directions = torch.stack([first, second, first, second, first, first]) + noise
    directions = torch.nn.functional.normalize(directions, dim=1)
    tops = torch.arange(60).view(6, 10)
    found = group_pairs(directions, tops, torch.ones(6)).tolist()
    assert found[0] == found[2] == found[4] == found[5]
    assert found[1] == found[3] != found[0]
    assert group_pairs(directions[:2], tops[:2], torch.ones(2)).tolist() == [0, 1]


def test_equal_pairs_are_one_group() -> None:
    directions = torch.eye(4)[:1].expand(5, 4).contiguous()
    tops = torch.arange(10).expand(5, 10).contiguous()
    assert group_pairs(directions, tops, torch.ones(5)).tolist() == [0] * 5


def test_a_silent_neuron_has_no_subconcepts(store: Path) -> None:
    opened = OpenStore(open_store(store))
    opened.norm[:, 5] = 0
    pairs = neuron_pairs(opened, 5)
    assert groups_of(opened, 5, pairs) == []
    assert (pairs.mean_direction == 0).all()


def test_words_that_share_a_part_are_told_once(opened: OpenStore) -> None:
    similar = torch.full((len(WORDS),), 0.1)
    for word, value in {"grass": 0.9, "green tree": 0.8, "red": 0.3}.items():
        similar[WORDS.index(word)] = value
    assert [word.word for word in nearest_words(opened, similar, wanted=2)] == [
        "grass",
        "green tree",
    ]
    # A word's own direction is as near to the word as can be, so the word is no gain over it.
    grass = torch.from_numpy(centred_words(opened.store)[WORDS.index("grass")]).float()
    told = distinct_words(opened, similar, grass, wanted=len(WORDS))
    assert "grass" not in [word.word for word in told]
    for word in told:
        plain = float(centred_words(opened.store)[WORDS.index(word.word)] @ grass.numpy())
        assert word.gain == pytest.approx(word.similarity - plain, abs=1e-5)
    gains = [word.gain for word in told]
    assert gains == sorted(gains, reverse=True)


def test_similarities_are_cosines(opened: OpenStore, dense: np.ndarray) -> None:
    direction = torch.from_numpy(dense[2, 9]).float()
    plain = centred_words(opened.store) @ dense[2, 9]
    assert word_similarities(opened, direction[None])[0].numpy() == pytest.approx(plain, abs=1e-5)


def test_the_gallery_is_of_the_strongest_splits(
    client: TestClient, opened: OpenStore, dense: np.ndarray
) -> None:
    statistics = opened.store.statistics
    norm = np.array(statistics["norm"])
    means = (dense * norm[..., None]).sum(axis=0)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosine = np.einsum("hno,no->hn", dense, means)
    alike = np.nan_to_num(statistics["monosemanticity"])
    plain = norm / norm.sum(axis=0) * (1 - cosine) * alike
    body = client.get(f"{API}/splits").json()
    assert body["total"] == min(SPLITS_KEPT, int((plain > 0).sum()))
    found = [split["strength"] for split in body["splits"]]
    assert found == pytest.approx(np.sort(plain.ravel())[::-1][: len(found)], rel=1e-4)
    for split in body["splits"]:
        at = (split["head"], split["neuron"])
        assert split["strength"] == pytest.approx(float(plain[at]), rel=1e-4)
        assert split["cosine"] == pytest.approx(float(cosine[at]), abs=1e-5)
    second = client.get(body["next_url"]).json()
    assert second["offset"] == len(found)
    assert second["splits"][0]["strength"] <= found[-1]
    assert client.get(second["previous_url"]).json()["splits"] == body["splits"]


def test_featured_splits_are_distinct(opened: OpenStore) -> None:
    featured = featured_splits(opened, Urls(), wanted=5)
    firsts = [split.distinct[0].word for split in featured]
    assert len(set(firsts)) == len(firsts) > 0
    assert len({split.neuron for split in featured}) == len(featured)
    strengths = [split.strength for split in featured]
    assert strengths == sorted(strengths, reverse=True)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/neurons/1024", 404, "0 to 1023"),
        ("/neurons/-1", 404, "0 to 1023"),
        ("/neurons/x", 422, "neuron"),
        ("/neurons/1024/heads.csv", 404, "0 to 1023"),
        ("/heads/16", 404, "0 to 15"),
        ("/heads/16/words.csv", 404, "0 to 15"),
        ("/heads/x", 422, "head"),
        ("/splits?offset=480", 404, "480"),
        ("/splits?offset=481", 422, "480"),
        ("/splits?offset=-1", 422, "offset"),
        ("/splits?limit=0", 422, "limit"),
        ("/splits?limit=101", 422, "100"),
    ],
)
def test_refusals(client: TestClient, path: str, status: int, says: str) -> None:
    response = client.get(API + path)
    assert response.status_code == status
    assert says in response.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/neurons/1024", "/heads/16", "/splits?offset=480"])
def test_pages_refuse_as_their_twins_do(client: TestClient, path: str) -> None:
    response = client.get(f"/demo{path}", headers=HTML)
    assert response.status_code == 404
    said = client.get(API + path).json()["error"]["message"]
    assert said in html.unescape(response.text)


def table(client: TestClient, path: str) -> list[dict[str, str]]:
    response = client.get(API + path)
    assert response.headers["content-type"].startswith("text/csv")
    assert "attachment" in response.headers["content-disposition"]
    return list(csv.DictReader(io.StringIO(response.text)))


def test_tables_can_be_kept(client: TestClient) -> None:
    neuron = client.get(f"{API}/neurons/3").json()
    rows = table(client, "/neurons/3/heads.csv")
    assert [int(row["head"]) for row in rows] == [each["head"] for each in neuron["heads"]]
    assert [float(row["share"]) for row in rows] == pytest.approx(
        [each["share"] for each in neuron["heads"]], rel=1e-5
    )
    rows = table(client, "/splits.csv")
    body = client.get(f"{API}/splits").json()
    assert len(rows) == body["total"]
    assert float(rows[0]["strength"]) == pytest.approx(body["splits"][0]["strength"], rel=1e-5)


def test_the_neuron_page_shows_what_its_twin_says(client: TestClient) -> None:
    neuron = client.get(f"{API}/neurons/{UNKNOWN_PAIR[0]}").json()
    text = page(client, neuron["url"])
    for figure in (neuron["norm"], neuron["cosine"], neuron["held_out"]):
        assert formats.number(figure) in text
    for image in neuron["top_images"] + neuron["bottom_images"]:
        assert image["url"] in text
        assert formats.signed(image["value"]) in text
    for part in neuron["subconcepts"]:
        assert formats.percent(part["share"]) in text
        assert formats.signed(part["cosine"]) in text
        assert all(image["url"] in text for image in part["thumbnails"])
    for each in neuron["heads"]:
        assert f'href="{each["url"]}"' in text
        assert formats.number(each["strength"]) in text
        assert formats.number(each["monosemanticity"]) in text


def test_the_gallery_page_shows_what_its_twin_says(client: TestClient) -> None:
    for address in ("/demo/splits", "/demo/splits?offset=24"):
        twin = client.get(address.replace("/demo", API)).json()
        text = page(client, address)
        for split in twin["splits"]:
            assert f'href="{split["url"]}"' in text
            assert f'href="{split["neuron_url"]}"' in text
            assert formats.number(split["strength"]) in text
        assert f"{twin['offset'] + 1} to {twin['offset'] + len(twin['splits'])}" in text
    assert "offset=456" in page(client, "/demo/splits")


def test_hostile_words_are_text(client: TestClient) -> None:
    raw = "".join(client.get(url, headers=HTML).text for url in ("/demo/splits", "/demo/neurons/3"))
    assert "&lt;script&gt;alert(1)" in raw
    assert "<script>alert" not in raw


def test_neurons_step_by_both_kinds_of_arrows(client: TestClient) -> None:
    text = page(client, "/demo/neurons/0")
    keys = re.findall(r'data-key="([^"]+)"', text)
    assert keys == ["ArrowRight Shift+ArrowRight"]


def test_without_pictures_units_have_figures_and_words(
    start: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "bare", checkpoint, exemplars=False)
    with start(stores=(tmp_path / "bare",)) as client:
        assert "keeps no images" in page(client, "/demo/neurons/3")
        neuron = client.get(f"{API}/neurons/3").json()
        assert neuron["top_images"] == neuron["subconcepts"][0]["thumbnails"] == []
        assert "splitting" in page(client, "/demo/splits")
