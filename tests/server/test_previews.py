"""Link previews: a page's own pictures, drawn on the server, for other sites to show."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw, ImageFont

from backend.server import lettering
from backend.server.lettering import BOLD, PLAIN, Lettering
from backend.server.middleware import PICTURE_POLICY
from backend.server.previews import PAPER, SIZE, draw
from tests.server.conftest import picture

PREVIEW = "/api/v1/preview.png"
HTML = {"Accept": "text/html"}
HOSTILE = '<script>alert(1)</script> "quoted" 日本語 🦋 \u202e'


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        assert image.size == SIZE
        return np.asarray(image.convert("RGB"))


def preview(client: TestClient, view: str) -> bytes:
    answer = client.get(PREVIEW, params={"view": view})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return answer.content


@pytest.mark.parametrize(
    "view", ["/", "/docs", "/demo", "/demo/search?q=cat", "/demo/pairs/3/1", "/demo/neurons/3",
             "/demo/collection?pairs=3.1,7.2&title=T", "/demo/lab", "/demo/pairs"]
)  # fmt: skip
def test_every_page_that_can_be_shared_has_a_preview(client: TestClient, view: str) -> None:
    shown = pixels(preview(client, view))
    assert (shown[0, 0] == [0xFD, 0xFC, 0xF9]).all()
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20


def test_a_pairs_preview_shows_its_top_images_under_their_heatmaps(client: TestClient) -> None:
    one, other = (pixels(preview(client, f"/demo/pairs/3/{head}")) for head in (1, 2))
    row = slice(400, 560)
    assert (one[row] != other[row]).any()
    # The store's thumbnails are noise, so hardly two neighbouring pixels of a tile are alike.
    assert np.abs(np.diff(one[row, 60:300].astype(int), axis=1)).mean() > 2


def test_a_preview_is_drawn_once_for_each_version(client: TestClient) -> None:
    first = client.get(PREVIEW, params={"view": "/demo/pairs/3/1"})
    again = client.get(
        PREVIEW,
        params={"view": "/demo/pairs/3/1"},
        headers={"If-None-Match": first.headers["etag"]},
    )
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("view", "status"),
    [
        ("/demo/pairs/999999/0", 404),
        ("/nothing", 404),
        ("/demo/pairs/x/1", 422),
        ("//evil.net/", 422),
        ("https://evil.net/", 422),
        ("/" + "x" * 10_000, 422),
        ("/s/abc", 422),
    ],
)
def test_what_is_no_page_has_no_preview(client: TestClient, view: str, status: int) -> None:
    answer = client.get(PREVIEW, params={"view": view})
    assert answer.status_code == status
    assert set(answer.json()) == {"error"}


def test_a_shares_preview_carries_what_its_maker_wrote(client: TestClient) -> None:
    plain = preview(client, "/demo/pairs/3/1")
    made = client.post(
        "/api/v1/shares", json={"view": "/demo/pairs/3/1", "title": HOSTILE, "note": HOSTILE}
    ).json()
    answer = client.get(f"/api/v1/shares/{made['id']}/preview.png")
    assert answer.headers["x-robots-tag"] == "noindex"
    assert (pixels(answer.content)[400:] == pixels(plain)[400:]).all()
    assert (pixels(answer.content)[:300] != pixels(plain)[:300]).any()


def test_a_shared_result_is_shown_under_its_mask(client: TestClient) -> None:
    result = client.post(
        "/api/v1/models/demo/segmentations", files={"image": picture()}, data={"prompts": ["cat"]}
    ).json()
    made = client.post("/api/v1/shares", json={"segmentation": result["id"]}).json()
    answer = client.get(f"/api/v1/shares/{made['id']}/preview.png")
    assert "no-store" in answer.headers["cache-control"]
    assert len(np.unique(pixels(answer.content)[400:560, 60:300].reshape(-1, 3), axis=0)) > 20


def test_the_preview_of_a_visitors_result_is_kept_by_nobody(client: TestClient) -> None:
    result = client.post(
        "/api/v1/models/demo/segmentations", files={"image": picture()}, data={"prompts": ["cat"]}
    ).json()
    answer = client.get(PREVIEW, params={"view": result["url"]})
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["content-security-policy"] == PICTURE_POLICY
    assert "etag" not in answer.headers


@pytest.fixture(scope="module")
def public(start: Callable[..., Any]) -> Iterator[TestClient]:
    with start(
        public_url="https://example.org/lens", allowed_hosts=("localhost",), live=False
    ) as client:
        yield client


def test_the_head_names_the_preview_under_the_public_address_alone(
    client: TestClient, public: TestClient
) -> None:
    assert "og:image" not in client.get("/demo/pairs/3/1", headers=HTML).text
    text = public.get("/lens/demo/pairs/3/1", headers=HTML).text
    (address,) = re.findall(r'<meta property="og:image" content="([^"]+)">', text)
    origin, _, path = html.unescape(address).partition("/lens")
    assert origin == "https://example.org"
    assert path == f"{PREVIEW}?view={quote('/lens/demo/pairs/3/1', safe='')}"
    assert public.get("/lens" + path).status_code == 200


def ink(text: str, **options: Any) -> np.ndarray:
    canvas = Image.new("L", (900, 200), 255)
    write = Lettering(ImageDraw.Draw(canvas))
    write.block((0, 0), text, options.pop("family", PLAIN), 40, "black", width=880, lines=2)
    return np.asarray(canvas)


def test_letters_that_no_font_has_are_left_out() -> None:
    assert (ink("a\U0010fffd b") == ink("a b")).all()
    assert (ink("\U0010fffd") == 255).all()


def test_without_system_fonts_pillows_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "FURTHER", ())
    monkeypatch.setattr(
        lettering, "_has", lambda font, letter: letter != "\N{MINUS SIGN}" and letter < "\u2000"
    )
    shown = ink("\N{MINUS SIGN}cat", family=("no such font.ttf",))
    assert isinstance(ImageFont.load_default(40), ImageFont.FreeTypeFont)
    assert (shown < 128).any()
    assert (shown == ink("-cat", family=("no such font.ttf",))).all()


def test_long_words_and_texts_stay_inside() -> None:
    shown = ink("x" * 300 + " y" * 300)
    assert (shown[:, 885:] == 255).all()
    assert (shown[110:] == 255).all()


def test_a_preview_without_pictures_is_words_alone() -> None:
    shown = pixels(draw("A heading", "Some text.", "demo", []))
    assert (shown[400:] == [int(PAPER[k : k + 2], 16) for k in (1, 3, 5)]).all()
    assert BOLD != PLAIN
