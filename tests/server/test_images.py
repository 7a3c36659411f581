"""A picture's life: uploaded once, asked by its id, deleted by its owner with all that was made."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from backend.server.middleware import PICTURE_POLICY
from tests.server.conftest import picture

IMAGES = "/api/v1/models/demo/images"
SEGMENTATIONS = "/api/v1/models/demo/segmentations"
Start = Callable[..., object]


def upload(client: TestClient, image: bytes | None = None) -> dict:
    response = client.post(IMAGES, files={"image": image or picture()})
    assert response.status_code == 200, response.text
    return response.json()


def segment(client: TestClient, **body: object) -> httpx.Response:
    return client.post(SEGMENTATIONS, json=body)


def array(client: TestClient, url: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(client.get(url).content)))


@pytest.fixture(scope="module")
def uploaded(client: TestClient) -> dict:
    return upload(client)


def test_an_uploaded_picture_is_described(client: TestClient, uploaded: dict) -> None:
    assert (uploaded["width"], uploaded["height"]) == (80, 60)
    assert (uploaded["rows"], uploaded["columns"]) == (12, 16)
    assert uploaded["url"] == f"/demo/lab?image={uploaded['id']}"
    assert (uploaded["picture_doubt"] is None) == uploaded["picture_known"]
    vocabulary = client.app.state.services.catalog.open_store("demo").store.vocabulary
    assert 0 < len(uploaded["suggestions"]) <= 8
    assert set(uploaded["suggestions"]) <= set(vocabulary)
    names = [name for prompt in uploaded["first_prompts"] for name in prompt.split(", ")]
    assert names
    assert names[0] == uploaded["suggestions"][0]
    assert set(names) <= set(uploaded["suggestions"])
    told = client.get(f"{IMAGES}/{uploaded['id']}").json()
    assert told == {key: value for key, value in uploaded.items() if key != "delete_token"}


def test_it_is_shown_to_those_who_know_its_id(client: TestClient, uploaded: dict) -> None:
    shown = client.get(uploaded["image_url"])
    assert shown.headers["content-security-policy"] == PICTURE_POLICY
    assert shown.headers["cache-control"] == "private, no-store"
    assert array(client, uploaded["image_url"]).shape == (60, 80, 3)


def test_asking_by_id_is_asking_with_the_picture(client: TestClient, uploaded: dict) -> None:
    """The kept copy is lossless, and what the backbone left of it answers like a new pass."""
    by_id = segment(client, image_id=uploaded["id"], prompts=["cat", "dog"]).json()
    with_it = client.post(
        SEGMENTATIONS, files={"image": picture()}, data={"prompts": ["cat", "dog"]}
    ).json()
    assert by_id["image"] == uploaded["id"] != with_it["image"]
    assert by_id["timings"]["encoded_before"] is True
    assert with_it["timings"]["encoded_before"] is False
    for ours, theirs in zip(by_id["classes"], with_it["classes"], strict=True):
        assert ours["logits"] == theirs["logits"]
    assert np.array_equal(array(client, by_id["mask_url"]), array(client, with_it["mask_url"]))


def test_what_was_forgotten_is_encoded_again(start: Start) -> None:
    with start(max_encoded_bytes=0) as client:
        first, second = upload(client), upload(client)
        answers = [
            segment(client, image_id=image["id"], prompts="cat").json() for image in (first, second)
        ]
        assert answers[0]["timings"]["encoded_before"] is False
        logits = [answer["classes"][0]["logits"] for answer in answers]
        assert logits[0] == logits[1]


def test_methods_stand_side_by_side(client: TestClient, uploaded: dict) -> None:
    methods = ["heads", "pairs", "neurons", "maskclip", "selfself"]
    told = segment(client, image_id=uploaded["id"], prompts=["cat"], method=methods).json()
    assert [result["method"] for result in told["results"]] == methods
    assert told["method"] == "heads"
    assert told["classes"] == told["results"][0]["classes"]
    assert told["settings"]["pairs_per_class"] > 0
    for result in told["results"]:
        (kind,) = result["classes"]
        assert np.shape(kind["logits"]) == (told["rows"], told["columns"])
        mask = array(client, result["mask_url"])
        assert kind["area_share"] == pytest.approx(float((mask == 0).mean()), abs=1e-9)
        assert client.get(kind["heatmap_url"]).status_code == 200
        assert client.get(result["overlay_url"]).status_code == 200
    assert client.get(f"{told['mask_url']}?method=nothing").status_code == 404
    again = client.get(f"{SEGMENTATIONS}/{told['id']}").json()
    assert again == told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "official"}, {"mode": "official"}),
        ({"orientation": "write"}, {"orientation": "write"}),
        ({"share": 0.5}, {"share": 0.5}),
        ({"threshold": 0.5}, {"threshold": 0.5, "background": "words"}),
        ({"background": "probability"}, {"background": "probability", "threshold": 0.5}),
        ({"background": False}, {"background": "none", "threshold": None}),
        (
            {"background": "prompts", "background_prompts": ["grass", "red"]},
            {"background": "prompts", "background_prompts": ["grass", "red"]},
        ),
        (
            {"centring": "background", "background_prompts": "blue"},
            {"centring": "background", "background_prompts": ["blue"]},
        ),
        ({"centring": "classes", "prompts": ["cat", "dog", "red"]}, {"centring": "classes"}),
        ({"view": "whole", "shorter_side": 128}, {"view": "whole", "shorter_side": 128}),
    ],
)
def test_options_are_used_and_told(
    client: TestClient, uploaded: dict, options: dict, told: dict
) -> None:
    answer = segment(client, **{"image_id": uploaded["id"], "prompts": ["cat"], **options})
    assert answer.status_code == 200, answer.text
    assert told.items() <= answer.json()["settings"].items()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompts": []}, "at least one prompt"),
        ({"prompts": [f"word {place}" for place in range(200)]}, "At most 20 prompts"),
        ({"background_prompts": [f"word {place}" for place in range(30)]}, "At most 20"),
        ({"method": ["pairs", "pairs"]}, "only once"),
        ({"method": []}, "at least one method"),
        ({"method": "magic"}, "'pairs', 'heads'"),
        ({"share": 0}, "greater than 0"),
        ({"threshold": 1.5}, "less than or equal to 1"),
        ({"centring": "classes"}, "at least 3 prompts"),
        ({"background": "prompts"}, "needs background prompts"),
        ({"background": "perhaps"}, "background"),
        ({"shorter_side": 10_000}, "2048"),
        ({"view": "whole", "shorter_side": 2048}, "at most 2,500"),
        ({"metod": "heads"}, "metod"),
        ({"image_id": None}, "exactly one picture"),
        ({"sample": 1}, "exactly one picture"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(
    client: TestClient, uploaded: dict, options: dict, says: str
) -> None:
    answer = segment(client, **{"image_id": uploaded["id"], "prompts": ["cat"], **options})
    assert answer.status_code == 422, answer.text
    assert says in answer.json()["error"]["message"]


def test_work_is_bounded_before_it_begins(start: Start) -> None:
    with start(max_work=30) as client:
        image = upload(client)["id"]
        assert segment(client, image_id=image, prompts=["cat"]).status_code == 200
        refused = segment(client, image_id=image, prompts=["cat", "dog"], method=["pairs", "heads"])
        assert refused.status_code == 422
        assert "at most 30 are taken" in refused.json()["error"]["message"]


def test_bodies_that_are_neither_form_nor_json(client: TestClient) -> None:
    for sent in (
        {"content": b"x", "headers": {"Content-Type": "text/plain"}},
        {"content": b"{", "headers": {"Content-Type": "application/json"}},
        {"content": b"[1]", "headers": {"Content-Type": "application/json"}},
        {"content": b""},
        {"files": {"picture": picture()}},
        {"files": {"image": picture()}, "data": {"sample": "1"}},
        {"data": {"sample": "-1"}},
    ):
        response = client.post(IMAGES, **sent)
        assert response.status_code == 422, (sent, response.text)
        assert response.json()["error"]["message"]


def test_a_sample_of_the_data_set_is_a_picture_too(client: TestClient) -> None:
    taken = client.post(IMAGES, json={"sample": 3}).json()
    thumbnail = array(client, "/api/v1/models/demo/images/3.webp")
    assert (taken["height"], taken["width"]) == thumbnail.shape[:2]
    assert client.post(IMAGES, json={"sample": 99}).status_code == 404


def test_large_pictures_keep_their_size_and_lend_their_mask_it(client: TestClient) -> None:
    taken = upload(client, picture(3000, 1000, "JPEG"))
    assert (taken["width"], taken["height"]) == (3000, 1000)
    made = segment(client, image_id=taken["id"], prompts=["cat"]).json()
    assert array(client, made["mask_url"]).shape == (1000, 3000)
    assert max(array(client, taken["image_url"]).shape) == 2048


def test_only_the_owner_deletes_and_then_all_of_it_is_gone(client: TestClient) -> None:
    image = upload(client)
    made = segment(client, image_id=image["id"], prompts=["cat"]).json()
    share = client.post("/api/v1/shares", json={"segmentation": made["id"]}).json()
    address = f"{IMAGES}/{image['id']}"
    assert client.get(address).json()["expires"] is None, "a share keeps it"
    assert client.delete(address).status_code == 401
    assert client.delete(address, headers={"X-Delete-Token": "wrong"}).status_code == 403
    bearer = {"Authorization": f"Bearer {image['delete_token']}"}
    assert client.delete(address, headers=bearer).status_code == 204
    for gone in (
        address,
        image["image_url"],
        f"{SEGMENTATIONS}/{made['id']}",
        made["mask_url"],
        f"/api/v1/shares/{share['id']}",
        share["url"],
    ):
        assert client.get(gone).status_code == 404, gone
    assert segment(client, image_id=image["id"], prompts=["cat"]).status_code == 404
    data = client.app.state.services.settings.data
    assert not (data / "images" / image["id"]).exists()
    assert not (data / "results" / f"segmentation-{made['id']}").exists()
    assert not list((data / "scratch").iterdir())


def test_a_picture_that_came_with_a_question_has_its_token_in_a_header(client: TestClient) -> None:
    response = client.post(SEGMENTATIONS, files={"image": picture()}, data={"prompts": "cat"})
    address = f"{IMAGES}/{response.json()['image']}"
    token = response.headers["X-Delete-Token"]
    assert client.delete(address, headers={"X-Delete-Token": token}).status_code == 204
    again = segment(client, image_id=upload(client)["id"], prompts="cat")
    assert "X-Delete-Token" not in again.headers


def test_only_a_hash_of_the_token_is_kept(client: TestClient, uploaded: dict) -> None:
    folder = client.app.state.services.settings.data / "images" / uploaded["id"]
    for path in folder.iterdir():
        if path.is_file():
            assert uploaded["delete_token"].encode() not in path.read_bytes()


@pytest.mark.parametrize("ident", ["a", "a" * 22, "..%2f..%2fx", "%00", "x" * 300])
def test_there_is_no_such_picture(client: TestClient, ident: str) -> None:
    for path in (f"{IMAGES}/{ident}", f"{IMAGES}/{ident}/image.webp"):
        assert client.get(path).status_code == 404
    assert client.delete(f"{IMAGES}/{ident}").status_code == 404


def test_a_shared_lab_keeps_the_picture_and_what_it_shows(client: TestClient) -> None:
    image = upload(client)
    made = segment(client, image_id=image["id"], prompts=["cat"]).json()
    view = f"/demo/lab?image={image['id']}&segmentation={made['id']}&opacity=40"
    share = client.post("/api/v1/shares", json={"view": view}).json()
    shown = client.get(f"/api/v1/shares/{share['id']}").json()
    assert shown["view"] == view
    assert shown["image"]["id"] == image["id"]
    assert shown["segmentation"]["id"] == made["id"]
    assert shown["segmentation"]["expires"] is None
    alone = client.post("/api/v1/shares", json={"image": image["id"]}).json()
    assert client.get(f"/api/v1/shares/{alone['id']}").json()["image"]["id"] == image["id"]
    other = upload(client)
    two = f"/demo/lab?image={other['id']}&segmentation={made['id']}"
    assert client.post("/api/v1/shares", json={"view": two}).status_code == 422


def test_shares_of_an_older_server_are_taken_over(start: Start, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shares.sqlite") as connection:
        connection.executescript(
            """
            CREATE TABLE shares (id TEXT PRIMARY KEY, token_hash BLOB NOT NULL, segmentation TEXT,
                view TEXT, model TEXT, title TEXT NOT NULL, note TEXT NOT NULL,
                data_version TEXT NOT NULL, created TEXT NOT NULL) STRICT;
            CREATE INDEX shares_segmentation ON shares (segmentation);
            INSERT INTO shares VALUES ('aaaaaaaaaaaaaaaaaaaaaa',
                x'81b3f0d4a7c1e1b08b5b0c0c4a6fb7a2d7f5d3f6a0f1c2e3d4c5b6a798877665',
                NULL, '/demo', 'demo', 'kept', '', 'v', '2026-01-02T03:04:05+00:00');
            INSERT INTO shares VALUES ('bbbbbbbbbbbbbbbbbbbbbb', x'00', 'cccccccccccccccccccccc',
                NULL, 'demo', 'gone', '', 'v', '2026-01-02T03:04:05+00:00');
            """
        )
    for _ in range(2):
        with start(data=tmp_path, live=False) as client:
            assert client.get(f"/api/v1/shares/{'a' * 22}").json()["title"] == "kept"
            assert client.get(f"/api/v1/shares/{'b' * 22}").status_code == 404
            assert client.post("/api/v1/shares", json={"view": "/demo"}).status_code == 200


def _odd_pictures() -> dict[str, bytes]:
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("blue", "yellow")]
    animated, deep = io.BytesIO(), io.BytesIO()
    frames[0].save(animated, "GIF", save_all=True, append_images=frames[1:], duration=100)
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(32, 0)
    Image.fromarray(ramp).save(deep, "PNG")
    return {
        "grayscale": picture(mode="L"),
        "one bit": picture(mode="1"),
        "16 bit": deep.getvalue(),
        "CMYK": picture(format="JPEG", mode="CMYK"),
        "palette": picture(mode="P"),
        "transparent": picture(mode="RGBA"),
        "animated": animated.getvalue(),
        "turned": picture(90, 40, "JPEG", exif=turned),
        "one pixel": picture(1, 1),
        "elongated": picture(400, 40),
        "too elongated": picture(10_000, 10),
        "a wall": picture(10, 10_000),
        "cut": picture()[:100],
        "text": b"hello",
        "nothing": b"",
    }


REFUSED = {"too elongated", "a wall", "cut", "text", "nothing"}


@pytest.mark.parametrize("kind", _odd_pictures())
def test_odd_pictures_are_taken_or_refused_in_one_sentence(client: TestClient, kind: str) -> None:
    image = _odd_pictures()[kind]
    for path, fields in (
        ("images", {}),
        ("segmentations", {"prompts": "cat", "method": ["pairs", "maskclip"]}),
        ("attributions", {"text": "cat", "cell": "0,0"}),
        ("ablations", {"prompts": "cat", "off": "3.4"}),
    ):
        sent = client.post(f"/api/v1/models/demo/{path}", files={"image": image}, data=fields)
        if kind in REFUSED:
            assert sent.status_code == 422
            message = sent.json()["error"]["message"]
            assert message.endswith(".")
            assert message.count(". ") == 0
        else:
            assert sent.status_code == 200, (path, sent.text)
