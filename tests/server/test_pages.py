"""Pages: each shows what its JSON twin says, escapes what it was given, and needs no script."""

from __future__ import annotations

import gzip
import html
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from jinja2 import meta, nodes

from backend.server import formats, rendering
from backend.server.assets import CACHE_FOREVER, CONTENT_TYPES, FRONTEND, Assets
from backend.server.charts import curve_chart, histogram_chart, nice_ticks, word_bars
from backend.server.pages.base import Page
from backend.server.pages.collection import CollectionPage
from backend.server.pages.compare import ComparePage
from backend.server.pages.docs import DocsPage
from backend.server.pages.error import ErrorPage
from backend.server.pages.finder import FinderPage
from backend.server.pages.head import HeadPage
from backend.server.pages.home import HomePage
from backend.server.pages.lab import LabPage
from backend.server.pages.model import ModelPage
from backend.server.pages.neuron import NeuronPage
from backend.server.pages.pair import PairPage
from backend.server.pages.picture_search import PictureSearchPage
from backend.server.pages.provenance import ProvenancePage
from backend.server.pages.search import SearchPage
from backend.server.pages.shared import SharedLinkPage, SharedSegmentationPage
from backend.server.pages.splits import SplitsPage
from backend.server.schemas import CosineStep, Histogram, Word
from tests.server.conftest import picture
from tests.server.tiny_store import write_store

PAGES = [
    "/",
    "/docs",
    "/demo",
    "/demo/search",
    "/demo/search?q=cat",
    "/demo/search/picture",
    "/demo/search?q=cta&head=3&rank=weighted&percentile_min=20",
    "/demo/pairs",
    "/demo/pairs?words=cat&cosine_min=0.2&sort=cosine&offset=25",
    "/demo/pairs/3/1",
    "/demo/neurons/3",
    "/demo/provenance",
    "/demo/heads/2",
    "/demo/collection?pairs=3.1,7.4&title=T&note=n",
    "/demo/splits",
    "/demo/compare?pairs=3.1,7.4",
    "/demo/lab",
]
HTML = {"Accept": "text/html"}
VIEWS = [
    HomePage,
    ModelPage,
    SearchPage,
    PictureSearchPage,
    FinderPage,
    PairPage,
    ProvenancePage,
    NeuronPage,
    ComparePage,
    HeadPage,
    CollectionPage,
    SplitsPage,
    LabPage,
    SharedSegmentationPage,
    SharedLinkPage,
    DocsPage,
    ErrorPage,
]
COMPONENTS = (
    "_pair_card.html",
    "_figures.html",
    "_segmentation.html",
    "_units.html",
    "_pager.html",
    "_picture_field.html",
    "_math.html",
)
PROVIDED = {"urls", "asset", "visit", "snippets", "preview_url"}
HOSTILE = "<script>alert(\"x\")</script> & 'quotes'"


def page(client: TestClient, url: str, status: int = 200) -> str:
    response = client.get(url, headers=HTML)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    return response.text


def share(client: TestClient, **body: str) -> dict[str, Any]:
    response = client.post("/api/v1/shares", json=body)
    assert response.status_code in {200, 201}, response.text
    made: dict[str, Any] = response.json()
    return made


@pytest.fixture(scope="module")
def segmentation(client: TestClient) -> dict[str, Any]:
    response = client.post(
        "/api/v1/models/demo/segmentations",
        files={"image": ("x.png", picture(), "image/png")},
        data={"prompts": ["cat", HOSTILE]},
    )
    assert response.status_code in {200, 201}, response.text
    made: dict[str, Any] = response.json()
    return made


@pytest.mark.parametrize("url", PAGES)
def test_every_page_has_its_frame(client: TestClient, url: str) -> None:
    text = page(client, url)
    assert text.startswith("<!doctype html>")
    assert '<html lang="en">' in text
    assert re.search(r"<title>[^<]+ · PairScope</title>", text)
    assert re.search(r'<meta name="description" content="[^"]+">', text)
    assert re.search(r'<meta property="og:title" content="[^"]+">', text)
    for part in ('class="skip" href="#content"', "<header", '<main id="content"', "<footer"):
        assert part in text
    assert text.count("<h1") == 1


@pytest.mark.parametrize("url", PAGES)
def test_no_page_needs_more_than_the_policy_allows(client: TestClient, url: str) -> None:
    text = page(client, url)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text), "inline script"
    assert not re.search(r"\sstyle=", text), "inline style"
    assert not re.search(r"\son[a-z]+=", text), "inline handler"
    loaded = re.findall(r'\bsrc(?:set)?="([^"]+)"', text)
    loaded += re.findall(r'<link rel="(?:stylesheet|icon)"[^>]*href="([^"]+)"', text)
    assert loaded
    assert all(address.startswith("/") and not address.startswith("//") for address in loaded)


@pytest.mark.parametrize("url", PAGES)
def test_ids_are_unique_and_anchors_lead_somewhere(client: TestClient, url: str) -> None:
    text = page(client, url)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    docs = set(re.findall(r'\sid="([^"]+)"', page(client, "/docs")))
    for anchor in re.findall(r'href="/docs#([^"]+)"', text):
        assert anchor in docs
    for anchor in re.findall(r'href="#([^"]+)"', text):
        assert anchor in ids


def test_example_pairs_exist(client: TestClient) -> None:
    keys = set()
    for url in PAGES:
        for neuron, head in re.findall(
            r"\((\d+), (\d+)\) is neuron \1 in head \2", page(client, url)
        ):
            page(client, f"/demo/pairs/{neuron}/{head}")
            keys.add(url)
    assert {"/", "/demo", "/demo/search?q=cat", "/demo/pairs", "/demo/heads/2"} <= keys
    told = re.search(r'placeholder="([\d.,]+)"', page(client, "/demo/compare"))
    assert told is not None
    assert "aria-invalid" not in page(client, f"/demo/compare?pairs={told[1]}")
    told = re.search(r"like (\d+\.\d+);", page(client, "/demo/collection"))
    assert told is not None
    page(client, f"/demo/collection?pairs={told[1]}")


@pytest.mark.parametrize(
    "url",
    [url for url in PAGES if url not in {"/demo/lab", "/demo/search", "/demo/search/picture"}],
)
def test_the_json_twin_is_linked_and_answers(client: TestClient, url: str) -> None:
    match = re.search(
        r'<link rel="alternate" type="application/json" href="([^"]+)">', page(client, url)
    )
    assert match is not None
    twin = client.get(html.unescape(match[1]))
    assert twin.status_code == 200
    assert twin.headers["content-type"].startswith("application/json")


def test_the_pair_page_shows_what_its_twin_says(client: TestClient) -> None:
    pair = client.get("/api/v1/models/demo/pairs/3/1").json()
    text = page(client, "/demo/pairs/3/1")
    shown = html.unescape(text)
    assert formats.number(pair["norm"]) in shown
    assert formats.percent(pair["norm_percentile"] / 100) in shown
    assert formats.number(pair["cosine"]) in shown
    for word in pair["explanation"]:
        assert word["word"] in shown
        assert formats.signed(word["weight"]) in shown
    for image in pair["top_images"] + pair["bottom_images"]:
        assert image["url"] in shown
        assert formats.signed(image["value"]) in shown
        assert image["heatmap_url"] is None or image["heatmap_url"] in shown
    assert formats.number(pair["held_out"]) in shown
    for null in ("random", "shuffled"):
        assert formats.number(pair["cosine_by_words"][-1][null]) in shown
    for end in ("low", "high"):
        assert formats.number(pair["certainty"]["norm"][end]) in shown
    assert formats.percent(pair["certainty"]["top_retained"]) in shown
    for figure in ("cosine", "neuron_words_cosine"):
        assert formats.signed(pair["beside_neuron"][figure]) in shown
    for other in pair["siblings"] + pair["nearest"] + pair["coactive"]:
        assert f'href="{other["url"]}"' in shown


def test_the_search_page_shows_what_its_twin_says(client: TestClient) -> None:
    twin = client.get("/api/v1/models/demo/search?q=cat&limit=5").json()
    text = html.unescape(page(client, "/demo/search?q=cat&limit=5"))
    found = re.findall(r'<a class="card__link" href="([^"]+)"', text)
    listed = [*twin["results"], *twin["by_words"]["results"]]
    assert found == [result["url"] for result in listed]
    for result in twin["results"]:
        assert formats.number(result["similarity"]) in text
    assert ("may not know" in text) is twin["may_not_know"]


def test_words_are_shown_as_text(client: TestClient) -> None:
    texts = [page(client, url) for url in ("/demo", "/demo/pairs/3/1", "/demo/search?q=cat")]
    assert any("&lt;script&gt;alert(1)" in text for text in texts)
    assert not any("<script>alert" in text for text in texts)


def test_a_query_is_shown_as_text(client: TestClient) -> None:
    text = client.get("/demo/search", params={"q": HOSTILE}, headers=HTML).text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(&#34;x&#34;)" in text


def test_an_empty_search_asks_for_a_word(client: TestClient) -> None:
    text = page(client, "/demo/search?q=++")
    assert "card__link" not in text
    assert 'id="problem"' not in text


def test_a_refused_search_says_why_in_place(client: TestClient) -> None:
    text = page(client, "/demo/search?q=" + "x" * 201, 422)
    assert 'role="alert"' in text
    assert "at most 200 characters" in text
    assert '<input id="q"' in text


def test_more_results_are_a_link_until_the_end(client: TestClient) -> None:
    first = html.unescape(page(client, "/demo/search?q=cat&by=meaning&limit=4"))
    more = re.search(r'href="(/demo/search\?[^"]*limit=8)"', first)
    assert more is not None
    assert page(client, more[1]).count('class="card__link"') == 8
    assert "Show more" not in page(client, "/demo/search?q=cat&by=meaning&limit=100")


def test_home_passes_a_question_on(client: TestClient) -> None:
    response = client.get("/", params={"q": "a&b", "model": "demo"}, follow_redirects=False)
    assert response.status_code == 303
    assert response.headers["location"] == "/demo/search?q=a%26b"


def test_home_says_that_the_demo_is_small(client: TestClient) -> None:
    assert "The demo is a small model" in page(client, "/")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/nowhere", 404),
        ("/demo/pairs/999999/0", 404),
        ("/demo/pairs/x/0", 422),
        ("/demo/lab?segmentation=none", 404),
        ("/s/none", 404),
        ("/a/b/c/d", 404),
    ],
)
def test_errors_are_pages_with_a_way_on(client: TestClient, url: str, status: int) -> None:
    text = page(client, url, status)
    detail = client.get(url, headers={"Accept": "application/json"}).json()["error"]
    assert detail["message"] in html.unescape(text)
    assert re.search(r"Request <code[^>]*>[^<]+</code>", text)
    assert 'href="/"' in text


def test_an_error_keeps_the_links_of_its_model(client: TestClient) -> None:
    text = page(client, "/demo/pairs/3/99", 404)
    assert 'href="/demo/lab"' in text
    assert "Search the pairs of demo" in text
    assert "Back to" not in text
    unknown = page(client, "/nothing", 404)
    assert "There is no page here" in unknown
    assert "Search the pairs of" not in unknown


def test_an_error_of_a_form_leads_back_to_it(client: TestClient) -> None:
    for address in ("/demo/lab", "/demo/search/picture", "/demo/collection"):
        bad = {"image": ("x", b"words"), "file": ("x", b"words")}
        response = client.post(address, files=bad, data={"prompts": "cat"}, headers=HTML)
        assert response.status_code in {415, 422}
        assert re.search(rf'href="{address}">Back to the ', response.text)


def test_prompts_beyond_the_most_are_said_to_be_left_out(client: TestClient) -> None:
    def asked(number: int) -> str:
        return page(client, "/demo/lab?" + "&".join(f"prompts=p{at}" for at in range(number)))

    assert len(re.findall("data-prompt=", asked(25))) == 20
    assert "asks for 25 prompts; the first 20 are taken" in asked(25)
    assert "are taken." not in asked(20)


def test_the_lab_takes_prompts_from_its_address(client: TestClient) -> None:
    response = client.get(
        "/demo/lab", params={"prompts": ["cat", "Cat", HOSTILE, " "]}, headers=HTML
    )
    prompts = re.findall(r'data-prompt="([^"]*)"', response.text)
    assert [html.unescape(prompt) for prompt in prompts] == ["Cat", HOSTILE]


def test_the_lab_takes_settings_and_pairs_from_its_address(client: TestClient) -> None:
    """What cannot be used is left out, the rest is kept."""
    asked = {
        "method": ["neurons", "magic", "pairs"],
        "background": "prompts",
        "background_prompts": ["sky", "wall"],
        "mode": "official",
        "threshold": "7",
        "pairs": ["1.0,99999.0", HOSTILE],
    }
    text = client.get("/demo/lab", params=asked, headers=HTML).text
    assert re.search(r'value="neurons" checked', text)
    assert re.search(r'name="beside" checked', text)
    assert re.search(r'<option value="prompts" selected>', text)
    assert re.search(r'<option value="official" selected>', text)
    assert 'value="sky, wall"' in text
    assert 'data-trial="1.0 "' in text
    assert "<script>alert" not in text


def test_the_lab_restores_a_result(client: TestClient, segmentation: dict[str, Any]) -> None:
    response = client.get(segmentation["url"], headers=HTML)
    shown = html.unescape(response.text)
    assert response.headers["cache-control"] == "private, no-store"
    for address in ("image_url", "mask_url", "overlay_url"):
        assert segmentation[address] in shown
    for each in segmentation["classes"]:
        assert each["heatmap_url"] in shown
        assert each["colour"] in shown
        assert formats.percent(each["area_share"]) in shown
    assert "<script>alert" not in response.text


def test_a_small_model_is_called_so_whatever_its_stores_name(
    start: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "other", checkpoint, name="other")
    with start(stores=(tmp_path / "other",), live=False) as client:
        text = page(client, "/other")
    assert "A small model, trained on drawn scenes of emoji" in text


FOR_DELETION = ("image", "token")


def test_the_plain_form_leads_to_the_result(client: TestClient) -> None:
    response = client.post(
        "/demo/lab",
        files={"image": ("x.png", picture(), "image/png")},
        data={"prompts": "cat, dog\n grass,", "background": "true"},
        follow_redirects=False,
    )
    assert response.status_code == 303
    address = response.headers["location"]
    text = html.unescape(page(client, address))
    assert re.findall(r'legend__name">([^<]+)<', text) == ["cat", "dog", "grass", "background"]
    asked = {name: re.findall(rf'name="{name}" value="([^"]+)"', text) for name in FOR_DELETION}
    (image,), (token,) = asked["image"], asked["token"]
    assert token not in address
    client.cookies.clear()
    assert token not in page(client, address)
    wrong = client.post("/demo/lab/delete", data={"image": image, "token": "x"}, headers=HTML)
    assert wrong.status_code == 403
    share = client.post("/api/v1/shares", json={"image": image}).json()
    deleted = client.post(
        "/demo/lab/delete", data={"image": image, "token": token}, follow_redirects=False
    )
    assert (deleted.status_code, deleted.headers["location"]) == (303, "/demo/lab")
    left = client.app.state.services.shares._database.all()
    assert share["id"] not in {each.id for each in left}
    assert client.get(address, headers=HTML).status_code == 404


@pytest.mark.parametrize(
    ("content", "prompts", "said"),
    [(b"words", "cat", "not an image"), (picture(), " , ", "at least one prompt")],
)
def test_the_plain_form_explains_on_a_page(
    client: TestClient, content: bytes, prompts: str, said: str
) -> None:
    response = client.post(
        "/demo/lab",
        files={"image": ("x", content)},
        data={"prompts": prompts},
        headers=HTML,
    )
    assert response.status_code == 422
    assert said in response.text
    assert "<h1>" in response.text


def test_a_result_belongs_to_its_model(client: TestClient, segmentation: dict[str, Any]) -> None:
    url = segmentation["url"].replace("/demo/", "/other/")
    assert client.get(url, headers=HTML).status_code == 404


def test_a_shared_view_is_the_page_under_a_banner(client: TestClient) -> None:
    made = share(client, view="/demo/pairs/3/1", title=HOSTILE, note=HOSTILE)
    response = client.get(made["url"], headers=HTML)
    text = response.text
    assert response.headers["x-robots-tag"] == "noindex"
    assert '<meta name="robots" content="noindex">' in text
    assert "<script>alert" not in text
    assert html.unescape(text).count(HOSTILE) >= 4  # title, OpenGraph, banner's title and note
    pair = client.get("/api/v1/models/demo/pairs/3/1").json()
    assert all(image["url"] in text for image in pair["top_images"])
    assert f"/api/v1/shares/{made['id']}" in text


@pytest.mark.parametrize(
    "view", ["/", "/docs", "/demo", "/demo/search?q=cat&limit=3", "/demo/lab?prompts=cat"]
)
def test_every_kind_of_page_can_be_shown_as_a_share(client: TestClient, view: str) -> None:
    made = share(client, view=view)
    shared = page(client, made["url"])
    original = page(client, view)
    heading = re.compile(r"<h1>.*?</h1>", re.DOTALL)
    assert heading.findall(shared) == heading.findall(original)
    assert shared.count("card__link") == original.count("card__link")


def test_a_shared_result_shows_it_and_is_gone_when_deleted(
    client: TestClient, segmentation: dict[str, Any]
) -> None:
    made = share(client, segmentation=segmentation["id"], title="Mine")
    text = page(client, made["url"])
    assert segmentation["overlay_url"] in text
    assert "Mine" in text
    deleted = client.delete(
        f"/api/v1/shares/{made['id']}",
        headers={"Authorization": f"Bearer {made['delete_token']}"},
    )
    assert deleted.status_code in {200, 204}
    assert "may have been deleted" in page(client, made["url"], 404)


@pytest.fixture(scope="module")
def mounted(start: Callable[..., Any]) -> Iterator[TestClient]:
    """A server that visitors reach under a path of another host name."""
    with start(public_url="https://example.org/lens", allowed_hosts=("localhost",)) as client:
        yield client


@pytest.mark.parametrize("url", PAGES)
def test_under_a_prefix_every_address_has_it(mounted: TestClient, url: str) -> None:
    text = page(mounted, "/lens" + url)
    addresses = re.findall(r'(?:href|src|action|data-[a-z-]+)="(/[^"]*)"', text)
    assert addresses
    assert all(address.startswith("/lens/") for address in addresses)


def test_link_previews_have_absolute_addresses_of_the_public_url(mounted: TestClient) -> None:
    text = page(mounted, "/lens/demo/pairs/3/1")
    origin = "https://example.org"
    assert f'<meta property="og:image" content="{origin}/lens/api/v1/preview.png?view=' in text
    assert f'<link rel="canonical" href="{origin}/lens/demo/pairs/3/1">' in text


def test_a_view_shared_under_a_prefix_is_shown(mounted: TestClient) -> None:
    made = share(mounted, view="/lens/demo/pairs/3/1")
    assert made["url"].startswith("/lens/s/")
    text = page(mounted, made["url"])
    assert 'class="banner"' in text
    assert "Neuron 3" in text


def test_a_view_of_a_model_that_is_gone_is_a_link(
    start: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "other", checkpoint, name="other")
    with start(data=tmp_path / "data") as client:
        made = share(client, view="/demo/pairs/3/1", title="Kept")
    with start(data=tmp_path / "data", stores=(tmp_path / "other",)) as client:
        text = page(client, made["url"])
    assert "can no longer be shown in place" in text
    assert 'href="/demo/pairs/3/1"' in text
    assert "have changed since it was shared" in text


def test_several_models_are_a_choice(
    start: Callable[..., Any], checkpoint: Path, store: Path, tmp_path: Path
) -> None:
    write_store(tmp_path / "other", checkpoint, name="other")
    with start(stores=(tmp_path / "other", store)) as client:
        text = page(client, "/")
        assert re.findall(r'<option value="([^"]+)"', text) == ["other", "demo"]
        assert "The demo is a small model" in text
        response = client.get("/?q=cat&model=other", follow_redirects=False)
        assert response.headers["location"] == "/other/search?q=cat"
        assert client.get("/?q=cat&model=none", headers=HTML).status_code == 404


def test_without_weights_stored_pages_stand_and_the_rest_says_so(
    start: Callable[..., Any],
) -> None:
    with start(live=False) as client:
        assert "card__link" in page(client, "/demo/search?q=cat")
        text = page(client, "/demo/search?q=never+heard+of", 503)
        assert "not a word of the model" in html.unescape(text)
        lab = page(client, "/demo/lab")
        assert "The model is not loaded here." in lab
        assert re.search(r"data-run\s+disabled", lab)


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.__name__)
def test_templates_and_their_dataclasses_agree(view: type[Page]) -> None:
    used = names_used(view.template)
    described = {field.name for field in fields(view)}
    assert used <= described | PROVIDED, "a template uses a name that no dataclass describes"
    own = {field.name for field in fields(view)} - {field.name for field in fields(Page)}
    assert own <= used, "a field that no template uses"
    source = "".join(inspect.getsource(kind) for kind in view.mro() if issubclass(kind, Page))
    for name in own:
        assert re.search(rf'    {name}: [^\n]+\n    """', source), f"{name} is not documented"


def names_used(template: str) -> set[str]:
    """Names that a template and those it extends or includes take from their context."""
    environment = rendering.environment()
    source = (FRONTEND / "templates" / template).read_text()
    tree = environment.parse(source)
    names = meta.find_undeclared_variables(tree) - set(environment.globals) - own_macros(tree)
    for other in meta.find_referenced_templates(tree):
        if other is not None and not other.startswith(COMPONENTS):
            names |= names_used(other)
    return names


def own_macros(tree: nodes.Template) -> set[str]:
    """Names of the macros that a template defines or imports."""
    imported = {
        name if isinstance(name, str) else name[1]
        for each in tree.find_all(nodes.FromImport)
        for name in each.names
    }
    imported |= {each.target for each in tree.find_all(nodes.Import)}
    return imported | {macro.name for macro in tree.find_all(nodes.Macro)}


@pytest.mark.parametrize("name", COMPONENTS)
def test_components_see_their_parameters_alone(name: str) -> None:
    environment = rendering.environment()
    tree = environment.parse((FRONTEND / "templates" / name).read_text())
    used = meta.find_undeclared_variables(tree) - set(environment.globals)
    assert used <= own_macros(tree)


def test_every_template_is_used() -> None:
    known = {view.template for view in VIEWS}
    present = {path.name for path in (FRONTEND / "templates").glob("*.html")}
    assert {name for name in present if not name.startswith("_")} == known | {"base.html"}


# Static files


def static_addresses(client: TestClient) -> list[str]:
    return re.findall(r'(?:src|href)="(/static/[^"]+)"', page(client, "/demo/lab"))


def test_static_files_are_kept_for_a_year_and_compressed(client: TestClient) -> None:
    addresses = static_addresses(client)
    assert any(address.endswith(".css") for address in addresses)
    for address in addresses:
        plain = client.get(address, headers={"Accept-Encoding": "identity"})
        packed = client.get(address, headers={"Accept-Encoding": "gzip"})
        assert plain.status_code == packed.status_code == 200
        assert plain.headers["cache-control"] == CACHE_FOREVER
        assert plain.headers["content-type"] == CONTENT_TYPES["." + address.rsplit(".", 1)[1]]
        assert "Accept-Encoding" in plain.headers["vary"]
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content
        if packed.headers.get("content-encoding") == "gzip":
            assert int(packed.headers["content-length"]) < len(plain.content)


def test_an_old_digest_still_answers_but_is_not_kept(client: TestClient) -> None:
    address = re.sub(r"/static/[^/]+/", "/static/0000000000000000/", static_addresses(client)[0])
    response = client.get(address)
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("name", ["nothing.css", "../templates/base.html", "%2e%2e/static", ""])
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/static/0000000000000000/{name}").status_code == 404


def test_a_script_imports_only_what_is_there() -> None:
    scripts = FRONTEND / "static" / "js"
    for script in scripts.glob("*.js"):
        for imported in re.findall(r'from "([^"]+)"', script.read_text()):
            assert imported.startswith("./")
            assert (scripts / imported).is_file()


def test_the_digest_follows_the_content(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a { color: red }" * 100)
    first = Assets.load(tmp_path)
    assert Assets.load(tmp_path).digest == first.digest
    assert gzip.decompress(first.files["a.css"].compressed or b"") == first.files["a.css"].body
    (tmp_path / "a.css").write_text("b { color: red }" * 100)
    assert Assets.load(tmp_path).digest != first.digest
    (tmp_path / "a.exe").write_text("")
    with pytest.raises(ValueError, match=r"a\.exe"):
        Assets.load(tmp_path)


def test_pages_are_light() -> None:
    """All pages' scripts and styles together are within what one page may weigh (150 KB)."""
    packed = sum(len(asset.compressed or asset.body) for asset in Assets.load().files.values())
    assert packed < 110_000


# Numbers and figures


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (9.999, "10.0"),
        (123.4, "123"),
        (99_950.0, "100,000"),
        (-0.5, f"{formats.MINUS}0.500"),
        (1e-6, f"1.00e{formats.MINUS}6"),
        (None, "\N{EN DASH}"),
        (float("nan"), "\N{EN DASH}"),
    ],
)
def test_numbers_have_three_significant_digits(value: float | None, text: str) -> None:
    assert formats.number(value) == text


def test_shares_are_never_rounded_to_the_ends() -> None:
    assert formats.percent(0.00001).startswith("< 0.1")
    assert formats.percent(0.99999).startswith("> 99.9")
    assert formats.percent(1.0).startswith("100")
    assert formats.percentile(99.97) == "> 99.9"


def test_bars_fill_the_row_on_both_sides_of_zero() -> None:
    bars = word_bars([Word(word="a", weight=3.0), Word(word="b", weight=-1.0)])
    assert bars.zero == pytest.approx(25)
    assert (bars.bars[0].x, bars.bars[0].width) == (25, 75)
    assert (bars.bars[1].x, bars.bars[1].width) == (0, 25)
    assert word_bars([]).bars == []


def test_the_histogram_leaves_out_empty_ends_only() -> None:
    histogram = Histogram(edges=[0, 1, 2, 3, 4, 5], counts=[0, 2, 0, 4, 0])
    chart = histogram_chart(histogram, mean=2.5, top_values=[9.0], bottom_values=[1.0])
    assert [bar.count for bar in chart.bars] == [2, 0, 4]
    assert chart.bars[2].height == pytest.approx(2 * chart.bars[0].height)
    assert chart.left < chart.mean_x < chart.right
    assert chart.top_marks == [chart.right]
    assert chart.bottom_marks == [chart.left]


def test_figures_of_nothing_can_be_drawn() -> None:
    assert curve_chart([]).points == []
    assert (
        len(curve_chart([CosineStep(words=1, cosine=-0.3, random=0.1, shuffled=0.0)]).points) == 1
    )
    empty = histogram_chart(Histogram(edges=[0, 1], counts=[0]), 0.0, [], [])
    assert empty.bars[0].height == 0


def test_ticks_are_round_and_inside() -> None:
    assert nice_ticks(0, 1, 3) == [0, 0.5, 1]
    assert nice_ticks(-3, 12, 5) == [0, 5, 10]
    assert nice_ticks(2, 2, 5) == [2]
