"""Embeds, links that remember a data version, and what the share dialog offers for copying."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from backend.server.pages.snippets import PAPER
from tests.server.conftest import picture

HTML = {"Accept": "text/html"}
EMBEDDED = ["/", "/docs", "/demo", "/demo/search?q=cat", "/demo/pairs/3/1", "/demo/lab"]
HOSTILE = "<script>alert(1)</script>\"'}{"


def embed(client: TestClient, address: str, status: int = 200) -> str:
    joined = address + ("&" if "?" in address else "?") + "embed=1"
    response = client.get(joined, headers=HTML)
    assert response.status_code == status, response.text
    assert "frame-ancestors *" in response.headers["content-security-policy"]
    return response.text


def share(client: TestClient, **body: str) -> dict[str, str]:
    response = client.post("/api/v1/shares", json=body)
    assert response.status_code == 200, response.text
    made: dict[str, str] = response.json()
    return made


def snippets(client: TestClient, address: str) -> dict[str, str]:
    text = client.get(address, headers=HTML).text
    found = re.findall(r'<textarea id="snippet-(\w+)"[^>]*>(.*?)</textarea>', text, re.DOTALL)
    return {name: html.unescape(value) for name, value in found}


@pytest.mark.parametrize("address", EMBEDDED)
def test_every_page_that_can_be_shared_can_be_embedded(client: TestClient, address: str) -> None:
    text = embed(client, address)
    assert '<base target="_blank">' in text
    assert "masthead" not in text
    assert all('role="search"' in form for form in re.findall("<form[^>]*>", text))
    assert "<dialog" not in text
    assert text.count("<h1") == 1


@pytest.mark.parametrize("address", EMBEDDED)
def test_pages_themselves_cannot_be_framed(client: TestClient, address: str) -> None:
    policy = client.get(address, headers=HTML).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy


def test_an_embed_shows_the_parts_that_were_asked_for(client: TestClient) -> None:
    text = embed(client, "/demo/pairs/3/1?show=words,figures")
    assert 'id="words"' in text
    assert 'aria-label="Figures of this pair"' in text
    for part in ("top", "bottom", "siblings", "nearest", "coactive"):
        assert f'id="{part}"' not in text
    assert 'id="top"' in client.get("/demo/pairs/3/1?show=words", headers=HTML).text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("show=words,nonsense", "this page has top, figures, words"),
        ("theme=pink", "theme must be light or dark"),
    ],
)
def test_an_embed_refuses_what_it_does_not_have(client: TestClient, query: str, said: str) -> None:
    assert said in embed(client, f"/demo/pairs/3/1?{query}", 422)


def test_an_embed_may_choose_its_theme(client: TestClient) -> None:
    assert '<html lang="en" data-theme="dark" data-embed>' in embed(client, "/demo?theme=dark")


def test_an_embed_of_what_is_gone_says_so_inside_the_frame(client: TestClient) -> None:
    assert "Error 404" in embed(client, "/demo/pairs/999999/0", 404)


def test_the_embed_of_a_share_shows_what_its_maker_wrote(client: TestClient) -> None:
    made = share(client, view="/demo/pairs/3/1", title=HOSTILE, note=HOSTILE)
    text = embed(client, made["url"])
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "data-share-delete" not in text
    assert f'href="{made["url"]}"' in text


def test_a_shared_segmentation_can_be_embedded(client: TestClient) -> None:
    result = client.post(
        "/api/v1/models/demo/segmentations", files={"image": picture()}, data={"prompts": ["cat"]}
    ).json()
    made = share(client, segmentation=result["id"])
    assert result["overlay_url"] in embed(client, made["url"])


def test_a_link_made_on_another_version_says_so(client: TestClient) -> None:
    version = client.get("/api/v1/models/demo").json()["data_version"]
    for address in ("/demo/pairs/3/1", "/demo", "/demo/search?q=cat"):
        joint = "&" if "?" in address else "?"
        same = client.get(f"{address}{joint}version={version[:12]}", headers=HTML).text
        other = client.get(f"{address}{joint}version=0123456789ab", headers=HTML).text
        assert "This link was made on version" not in same
        assert "This link was made on version" in other
        assert "0123456789ab" in other
        assert "This link was made on version" in embed(client, f"{address}{joint}version=01234567")
    odd = client.get("/demo?version=%3Cscript%3E", headers=HTML).text
    assert "This link was made on version" not in odd


def test_the_dialog_offers_link_embed_citation_and_calls(client: TestClient) -> None:
    version = client.get("/api/v1/models/demo").json()["data_version"]
    found = snippets(client, "/demo/pairs/3/1")
    link = f"{{origin}}/demo/pairs/3/1?version={version[:12]}"
    assert found["link"] == link
    assert f'src="{link}&amp;embed=1"' in found["iframe"]
    assert found["citation"].endswith(PAPER)
    assert "url          = {{origin}/demo/pairs/3/1}" in found["citation"]
    assert version in found["citation"]
    assert found["curl"] == "curl '{origin}/api/v1/models/demo/pairs/3/1'"
    compile(found["python"], "snippet", "exec")


def test_snippets_are_absolute_under_a_public_address(start: Callable[..., object]) -> None:
    with start(public_url="https://example.org/scope", live=False) as client:  # type: ignore[attr-defined]
        found = snippets(client, "/demo/pairs/3/1")
        assert found["link"].startswith("https://example.org/scope/demo/pairs/3/1?version=")
        assert "{origin}" not in json.dumps(found)


def test_snippets_of_a_share_lead_to_the_share(client: TestClient) -> None:
    made = share(client, view="/demo/pairs/3/1", title=HOSTILE)
    found = snippets(client, made["url"])
    assert found["link"] == "{origin}" + made["url"]
    assert f"{made['url']}?embed=1" in found["iframe"]
    assert "<script>" not in found["iframe"]
    assert r"\}\{" in found["citation"]
    assert found["curl"] == f"curl '{{origin}}/api/v1/shares/{made['id']}'"
