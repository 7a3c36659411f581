"""Search by text: by meaning, by words, with conditions, suggestions and misspellings."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from backend.server.vocabulary import Vocabulary
from backend.store import Store, open_store
from backend.store.format import INDEX_ATOMS
from tests.server.tiny_store import WORDS

SEARCH = "/api/v1/models/demo/search"
SUGGESTIONS = "/api/v1/models/demo/suggestions"


@pytest.fixture(scope="module")
def opened(store) -> Store:
    return open_store(store)


def search(client: TestClient, **query: object) -> dict[str, Any]:
    response = client.get(SEARCH, params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def cosines(opened: Store, word: str) -> np.ndarray:
    """Plain reading of the definition, [head, neuron]."""
    embeddings = opened.vocabulary_embeddings
    text = embeddings[WORDS.index(word)] - embeddings.mean(axis=0)
    write = np.einsum("hod,hdn->hno", opened.factors["output"], opened.factors["value"])
    cosine = write @ (text / np.linalg.norm(text)) / np.linalg.norm(write, axis=-1)
    oriented: np.ndarray = opened.statistics["sign"] * cosine
    return oriented


def test_conditions_and_ranks_of_search_by_meaning(client: TestClient, opened: Store) -> None:
    cosine, norm = cosines(opened, "cat"), opened.statistics["norm"]
    allowed = opened.statistics["norm_percentile"] >= 60
    allowed[[head for head in range(len(allowed)) if head != 5]] = False
    for rank, scores in (("cosine", cosine), ("weighted", cosine * norm)):
        found = search(
            client, q="cat", by="meaning", head=5, percentile_min=60, rank=rank, limit=30
        )
        best = np.argsort(-np.where(allowed, scores, -np.inf).ravel())[:30]
        places = [(pair["head"], pair["neuron"]) for pair in found["results"]]
        assert places == [divmod(int(place), opened.n_neurons) for place in best]
        assert found["total"] == allowed.sum()
        assert found["by_words"] is None
        first = found["results"][0]
        assert first["weighted"] == pytest.approx(first["similarity"] * first["norm"], rel=1e-5)


def test_the_norm_changes_no_null(client: TestClient) -> None:
    nulls = {}
    for rank in ("cosine", "weighted"):
        for pair in search(client, q="dog", by="meaning", rank=rank, limit=100)["results"]:
            place = pair["neuron"], pair["head"]
            assert nulls.setdefault(place, pair["null_percentile"]) == pair["null_percentile"]


def test_a_condition_that_leaves_few_pairs_gives_few(client: TestClient, opened: Store) -> None:
    found = search(client, q="cat", by="meaning", neuron=3, head=2, limit=50)
    assert [(pair["neuron"], pair["head"]) for pair in found["results"]] == [(3, 2)]
    assert found["total"] == 1
    assert found["next_limit"] is None


def test_pairs_are_found_by_words_of_their_explanations(client: TestClient, opened: Store) -> None:
    ids = opened.explanations["word_ids"][..., :INDEX_ATOMS]
    weights = opened.explanations["weights"][..., :INDEX_ATOMS]
    held = ids == WORDS.index("cat")
    found = search(client, q="Cat", by="words", limit=100)
    words = found["by_words"]
    assert found["results"] == []
    assert found["source"] is None
    assert words["total"] == held.any(axis=-1).sum()
    assert words["entries"] == 1
    expected = np.sort(weights[held])[::-1][:100]
    assert [pair["weight"] for pair in words["results"]] == pytest.approx(expected, abs=2e-3)
    for pair in words["results"][:5]:
        (matched,) = pair["matched"]
        assert matched["word"] == "cat"
        assert matched["weight"] == pytest.approx(pair["weight"], abs=2e-3)
        smaller = (np.abs(weights) < abs(pair["weight"])).mean()
        assert pair["null_percentile"] == pytest.approx(100 * smaller, abs=0.2)
    weighted = search(client, q="cat", by="words", rank="weighted", limit=100)["by_words"]
    moves = [pair["weighted"] for pair in weighted["results"]]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] == pytest.approx(
        float((weights * held).max(axis=-1).__mul__(opened.statistics["norm"]).max()), rel=2e-3
    )


def test_a_phrase_is_an_entry_or_all_of_its_words(client: TestClient, opened: Store) -> None:
    ids = opened.explanations["word_ids"][..., :INDEX_ATOMS]
    tree = (ids == WORDS.index("green tree")).any(axis=-1)
    cat = (ids == WORDS.index("cat")).any(axis=-1)
    assert search(client, q="green tree", by="words")["by_words"]["total"] == tree.sum()
    assert search(client, q='"green tree"', by="words")["by_words"]["total"] == tree.sum()
    assert search(client, q="tree cat", by="words")["by_words"]["total"] == (tree & cat).sum()
    assert search(client, q='"tree cat"', by="words")["by_words"]["total"] == 0
    assert search(client, q="tree zzz", by="words")["by_words"]["total"] == 0


def test_quotation_marks_do_not_change_the_meaning(client: TestClient) -> None:
    plain = search(client, q="cat", by="meaning", limit=5)
    quoted = search(client, q='"cat"', by="meaning", limit=5)
    assert quoted["results"] == plain["results"]
    assert quoted["source"] == "vocabulary"


def test_misspelt_words_are_recognised(client: TestClient) -> None:
    assert search(client, q="buterfly", by="words")["did_you_mean"][0] == "butterfly"
    assert search(client, q="butterfly")["did_you_mean"] == []
    text = client.get("/demo/search?q=buterfly").text
    assert re.search(r'Did you mean <a href="/demo/search\?q=butterfly">butterfly</a>', text)


def test_without_the_model_words_still_answer(start: Callable[..., Any]) -> None:
    with start(live=False) as client:
        # No entry is "cat dog", so its meaning needs the text tower.
        answer = client.get(SEARCH, params={"q": "cat dog"})
        assert answer.status_code == 200
        found = answer.json()
        assert found["unavailable"]
        assert found["results"] == []
        assert found["by_words"]["total"] > 0
        assert answer.headers["cache-control"] == "private, no-store"
        assert client.get(SEARCH, params={"q": "no such words"}).status_code == 503
        assert client.get(SEARCH, params={"q": "cat dog", "by": "meaning"}).status_code == 503
        assert found["unavailable"] in html.unescape(client.get("/demo/search?q=cat+dog").text)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("q=", 422),
        ("q=%20", 422),
        ("q=" + "a" * 201, 422),
        ("q=%00", 422),
        ("q=cat&by=luck", 422),
        ("q=cat&rank=luck", 422),
        ("q=cat&limit=0", 422),
        ("q=cat&limit=101", 422),
        ("q=cat&percentile_min=101", 422),
        ("q=cat&percentile_min=nan", 422),
        ("q=cat&head=-1", 422),
        ("q=cat&head=16", 404),
        ("q=cat&neuron=99999", 404),
    ],
)
def test_what_cannot_be_searched_is_refused(client: TestClient, query: str, status: int) -> None:
    response = client.get(f"{SEARCH}?{query}")
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]


def test_page_and_twin_list_the_same(client: TestClient) -> None:
    address = "/demo/search?q=cat&head=3&rank=weighted&limit=6"
    text = client.get(address).text
    twin = re.search(r'type="application/json" href="([^"]+)"', text)
    assert twin is not None
    found = client.get(html.unescape(twin[1])).json()
    cards = re.findall(r'class="card__link" href="([^"]+)"', text)
    listed = [*found["results"], *found["by_words"]["results"]]
    assert cards == [pair["url"] for pair in listed]
    more = re.search(r'<a class="button" href="([^"]+)" rel="nofollow">Show more', text)
    assert more is not None
    assert "limit=12" not in more[1], "the page's own default"
    assert "head=3" in html.unescape(more[1])
    assert client.get(html.unescape(more[1])).text.count('class="card__link"') > len(cards)


def test_suggestions_complete_and_correct(client: TestClient) -> None:
    def suggested(text: str, **query: object) -> list[tuple[str, str]]:
        response = client.get(SUGGESTIONS, params={"q": text, **query})
        assert response.status_code == 200, response.text
        return [(each["word"], each["kind"]) for each in response.json()["suggestions"]]

    assert suggested("BUT")[0] == ("butterfly", "begins")
    assert ("green tree", "begins") in suggested("tr")
    assert suggested("gras")[0] == ("grass", "begins")
    assert suggested("strpied") == [("striped", "similar")]
    assert suggested("<scr")[0] == ("<script>alert(1)</script>", "begins")
    assert len(suggested("r", limit=1)) == 1
    assert client.get(SUGGESTIONS).status_code == 422
    assert client.get(SUGGESTIONS, params={"q": "a" * 201}).status_code == 422
    assert client.get(SUGGESTIONS, params={"q": " "}).status_code == 422


def test_a_suggestion_tells_how_many_pairs_its_word_explains(
    client: TestClient, opened: Store
) -> None:
    (first, *_) = client.get(SUGGESTIONS, params={"q": "cat"}).json()["suggestions"]
    ids = opened.explanations["word_ids"][..., :INDEX_ATOMS]
    assert first["pairs"] == (ids == WORDS.index("cat")).sum()


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=20, unique=True), st.data())
def test_every_beginning_of_a_word_leads_to_it(words: list[str], data: st.DataObject) -> None:
    vocabulary = Vocabulary(words)
    number = data.draw(st.integers(0, len(words) - 1))
    length = data.draw(st.integers(1, len(words[number])))
    # Folding may turn one letter into two, so the beginning is taken of the folded word.
    beginning = words[number].casefold()[:length]
    assert number in vocabulary.completions(beginning, len(words))
