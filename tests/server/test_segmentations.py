"""Upload, segment, look, expire: the life of a result."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from backend.server import kept as module
from backend.server.files import write_folder
from backend.server.middleware import PICTURE_POLICY
from tests.server.conftest import picture

MODEL = "/api/v1/models/demo"
ADDRESS = f"{MODEL}/segmentations"
Start = Callable[..., object]


def segment(
    client: TestClient, prompts: list[str], image: bytes | None = None, **fields: str
) -> httpx.Response:
    return client.post(
        ADDRESS, files={"image": image or picture()}, data={"prompts": prompts, **fields}
    )


@pytest.fixture(scope="module")
def made(client: TestClient) -> dict:
    response = segment(client, ["cat", "green  grass"])
    assert response.status_code == 200, response.text
    return response.json()


def array(client: TestClient, url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(client.get(url).content)))


def test_area_shares_are_those_of_the_mask(client: TestClient, made: dict) -> None:
    mask = array(client, made["mask_url"])
    assert mask.dtype == np.uint8
    assert mask.shape == (made["height"], made["width"]) == (60, 80)
    assert set(np.unique(mask)) <= {0, 1, 255}
    assert [kind["prompt"] for kind in made["classes"]] == ["cat", "green grass"]
    for place, kind in enumerate(made["classes"]):
        assert kind["area_share"] == pytest.approx(float((mask == place).mean()), abs=1e-9)
    assert made["background_share"] == pytest.approx(float((mask == 255).mean()), abs=1e-9)


def test_pictures_of_a_result(client: TestClient, made: dict) -> None:
    for kind in made["classes"]:
        heatmap = array(client, kind["heatmap_url"])
        assert heatmap.shape == (60, 80, 4)
    overlay = array(client, made["overlay_url"])
    mask = array(client, made["mask_url"])
    assert np.array_equal(overlay[..., 3] == 0, mask == 255)
    shown = array(client, made["image_url"])
    assert shown.shape == (60, 80, 3)
    for url in (made["image_url"], made["mask_url"], made["classes"][0]["heatmap_url"]):
        headers = client.get(url).headers
        assert headers["content-security-policy"] == PICTURE_POLICY
        assert headers["cache-control"] == "private, no-store"
        assert headers["content-type"] in {"image/webp", "image/png"}
        assert headers["x-content-type-options"] == "nosniff"


def test_what_the_model_may_not_know_is_told_with_the_reason(client: TestClient) -> None:
    """The pictures that the tiny store was measured on are coarse noise of two colours a cell."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((256, 256), 0)
    verdicts = {}
    for name, image in (("coarse", coarse), ("plain", Image.new("RGB", (256, 256)))):
        data = io.BytesIO()
        image.save(data, "PNG")
        found = segment(client, ["cat", "xyzzy"], data.getvalue()).json()
        verdicts[name] = found["picture_known"]
        assert (found["picture_doubt"] is None) == found["picture_known"]
        for kind in found["classes"]:
            assert (kind["doubt"] is None) == kind["known"]
        text = client.get(found["url"], headers={"Accept": "text/html"}).text
        assert ("may not know what is in it" in text) == (not found["picture_known"])
        doubts = [kind["doubt"] for kind in found["classes"] if not kind["known"]]
        assert text.count("The model may not know this text.") == len(doubts)
        assert all(doubt in text for doubt in doubts)
    assert verdicts["plain"] is False


def test_a_result_can_be_read_again(client: TestClient, made: dict) -> None:
    assert client.get(f"{ADDRESS}/{made['id']}").json() == made
    assert made["url"] == f"/demo/lab?segmentation={made['id']}"
    assert client.get(made["url"]).status_code == 200
    expires = datetime.fromisoformat(made["expires"])
    assert timedelta(hours=23) < expires - datetime.now(UTC) <= timedelta(days=1)


def test_without_background_every_pixel_has_a_prompt(client: TestClient) -> None:
    made = segment(client, ["cat", "dog"], background="false").json()
    assert made["background"] is False
    assert made["background_share"] == 0
    assert sum(kind["area_share"] for kind in made["classes"]) == pytest.approx(1)


def test_the_mask_has_the_size_of_the_upright_picture(client: TestClient) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = segment(client, ["cat"], picture(90, 40, "JPEG", exif=exif)).json()
    assert (made["width"], made["height"]) == (40, 90)
    assert array(client, made["mask_url"]).shape == (90, 40)


def test_metadata_is_not_kept(client: TestClient, start: Start) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    made = segment(client, ["cat"], picture(format="JPEG", exif=exif)).json()
    data = client.app.state.services.settings.data
    folders = data / "images" / made["image"], data / "results" / f"segmentation-{made['id']}"
    files = [path for folder in folders for path in folder.iterdir() if path.is_file()]
    kept = {path.name: path.read_bytes() for path in files}
    results = {"pairs-mask.png", "pairs-logits.npy"}
    assert results | {"image.webp", "source.webp"} < set(kept)
    assert not any(b"Secret" in content for content in kept.values())
    assert not Image.open(io.BytesIO(kept["image.webp"])).getexif()


@pytest.mark.parametrize("size", [(1, 1), (500, 50), (4, 40), (257, 33)])
def test_extremes_of_shape(client: TestClient, size: tuple[int, int]) -> None:
    response = segment(client, ["cat"], picture(*size))
    assert response.status_code == 200
    assert array(client, response.json()["mask_url"]).shape == size[::-1]


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ([], "at least one"),
        ([" "], "blank"),
        (["cat", ""], "blank"),
        (["cat", "CAT "], "once"),
        ([f"word {place}" for place in range(21)], "20"),
        ([f"word {place}" for place in range(200)], "20"),
        (["a" * 201], "200"),
        (["cat\0"], "control"),
    ],
)
def test_prompts_that_cannot_be_used(client: TestClient, prompts: list[str], says: str) -> None:
    response = segment(client, prompts)
    assert response.status_code == 422
    assert says in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "prompt", ["<script>alert(1)</script>", "日本語", "🦋", "{} {}", "a" * 200]
)
def test_any_writing_is_a_prompt(client: TestClient, prompt: str) -> None:
    assert segment(client, [prompt]).json()["classes"][0]["prompt"] == prompt


def test_pictures_that_cannot_be_used(client: TestClient) -> None:
    for image, says in [
        (b"not an image", "not an image"),
        (picture()[:100], "damaged"),
        (picture(10_000, 10), "times its shorter side"),
    ]:
        response = segment(client, ["cat"], image)
        assert response.status_code == 422
        assert says in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "sent",
    [
        {"data": {"prompts": "cat"}},
        {"files": {"other": b"x"}, "data": {"prompts": "cat"}},
        {"files": {"image": b""}, "data": {"prompts": "cat"}},
        {"data": {"image": "a string", "prompts": "cat"}, "files": {"other": b"x"}},
        {"files": {"image": picture()}, "data": {"prompts": "cat", "background": "perhaps"}},
        {"json": {"prompts": ["cat"]}},
    ],
)
def test_forms_that_cannot_be_used(client: TestClient, sent: dict) -> None:
    response = client.post(ADDRESS, **sent)
    assert response.status_code == 422, response.text
    assert response.json()["error"]["message"]


def test_there_is_no_such_result(client: TestClient, made: dict) -> None:
    for path in (
        "/api/v1/models/nope/segmentations/" + made["id"],
        f"{ADDRESS}/aaaaaaaaaaaaaaaaaaaaaa",
        f"{ADDRESS}/..%2f..%2fshares.sqlite",
        f"{ADDRESS}/{made['id']}/heatmaps/2.png",
        f"{ADDRESS}/{made['id']}/heatmaps/-1.png",
    ):
        response = client.get(path)
        assert response.status_code == 404, path
        assert response.json()["error"]["status"] == 404
    unknown = client.post(
        "/api/v1/models/nope/segmentations",
        files={"image": picture()},
        data={"prompts": "cat"},
    )
    assert unknown.status_code == 404


def test_a_result_expires_unless_it_is_shared(start: Start) -> None:
    with start(upload_lifetime=timedelta(seconds=-1)) as client:
        services = client.app.state.services
        lost = segment(client, ["cat"]).json()
        assert client.get(f"{ADDRESS}/{lost['id']}").status_code == 404
        assert client.get(lost["mask_url"]).status_code == 404
        assert services.kept.purge() == 0, "there is some grace before deletion"


def test_purge_deletes_what_has_expired(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PURGE_GRACE", timedelta(0))
    with start(upload_lifetime=timedelta(hours=1)) as client:
        services = client.app.state.services
        lost, kept = (segment(client, ["cat"]).json() for _ in range(2))
        client.post("/api/v1/shares", json={"segmentation": kept["id"]})
        folder, results = (services.settings.data / name for name in ("images", "results"))
        for each in (lost, kept):
            record = folder / each["image"] / module.RECORD
            text = record.read_text()
            year = str(datetime.now(UTC).year)
            record.write_text(text.replace(f'"created":"{year}', '"created":"2001'))
        (folder / "half-written").mkdir()
        (results / "half-written").mkdir()
        assert services.kept.purge() == 2
        assert [path.name for path in folder.iterdir()] == [kept["image"]]
        assert [path.name for path in results.iterdir()] == [f"segmentation-{kept['id']}"]
        assert client.get(f"{ADDRESS}/{kept['id']}").json()["expires"] is None


def test_the_quota_is_kept(start: Start) -> None:
    with start(max_stored_bytes=1) as client:
        assert segment(client, ["cat"]).status_code == 200
        response = segment(client, ["cat"])
        assert response.status_code == 507
        assert response.json()["error"]["code"] == "storage_full"
        files, asked = {"image": picture()}, {"prompts": "cat"}
        page = client.post("/demo/lab", files=files, data=asked, headers={"Accept": "text/html"})
        assert page.status_code == 507
        assert "No room for more" in page.text


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("segmentations", {"prompts": ["cat"]}),
        ("attributions", {"text": "cat"}),
        ("ablations", {"prompts": ["cat"], "off": ["3.4"]}),
    ],
)
def test_the_quota_is_kept_by_results_of_a_picture_that_is_there(
    start: Start, path: str, asked: dict
) -> None:
    with start(max_stored_bytes=1) as client:
        image = client.post(f"{MODEL}/images", files={"image": picture()}).json()["id"]
        response = client.post(f"{MODEL}/{path}", json={"image_id": image, **asked})
        assert response.status_code == 507
        assert response.json()["error"]["code"] == "storage_full"
        kept = client.app.state.services.settings.data / "results"
        assert not list(kept.iterdir())
        # Nothing of this answer is kept.
        assert client.get(f"{MODEL}/images/{image}/pairs").status_code == 200


def test_beyond_the_bound_requests_are_refused_and_served_again(start: Start) -> None:
    with start(queue_bound=1) as client:
        engine = client.app.state.services.engine
        key = client.app.state.services.catalog.open_store("demo").model_key
        begun, let_go = threading.Event(), threading.Event()

        def block(model: object) -> None:
            begun.set()
            assert let_go.wait(20)

        running = engine.submit(key, block)
        assert begun.wait(10)
        engine.submit(key, lambda model: None)
        response = segment(client, ["cat"])
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.json()["error"]["code"] == "busy"
        let_go.set()
        running.result(10)
        assert segment(client, ["cat"]).status_code == 200


def test_a_client_that_goes_away_frees_its_place(start: Start) -> None:
    with start() as client:
        services = client.app.state.services
        key = services.catalog.open_store("demo").model_key
        begun, let_go = threading.Event(), threading.Event()

        def block(model: object) -> None:
            begun.set()
            assert let_go.wait(20)

        services.engine.submit(key, block)
        assert begun.wait(10)
        client.portal.call(_abandon, client.app, services.engine)
        assert services.engine.waiting == 0
        let_go.set()


async def _abandon(app: object, engine: object) -> None:
    """Send a whole request over the protocol, then hang up while it waits."""
    form = httpx.Request(
        "POST", "http://localhost/", files={"image": picture()}, data={"prompts": "cat"}
    )
    messages = [{"type": "http.request", "body": form.read(), "more_body": False}]
    hang_up = asyncio.Event()

    async def receive() -> dict:
        if messages:
            return messages.pop()
        await hang_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        pass

    scope = {
        "type": "http",
        "method": "POST",
        "path": ADDRESS,
        "query_string": b"",
        "headers": [
            (b"host", b"localhost"),
            (b"content-type", form.headers["content-type"].encode()),
        ],
    }
    request = asyncio.create_task(app(scope, receive, send))
    while engine.waiting == 0:
        await asyncio.sleep(0.01)
    hang_up.set()
    await asyncio.wait_for(request, 5)


def test_a_result_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    scratch, folder = tmp_path / "scratch", tmp_path / "results"
    scratch.mkdir()
    folder.mkdir()

    with pytest.raises(TypeError):
        write_folder(folder / "a", {"x": b"1", "y": None}, scratch=scratch)
    assert not list(folder.iterdir())
    assert not list(scratch.iterdir())
