"""Why a picture has its score and a cell its class: every number adds up."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image

from backend.clip import load_model
from backend.clip.models import ClipResNet
from backend.server.uploads import decode_image
from tests.server.conftest import picture

IMAGES = "/api/v1/models/demo/images"
SEGMENTATIONS = "/api/v1/models/demo/segmentations"
ATTRIBUTIONS = "/api/v1/models/demo/attributions"


@pytest.fixture(scope="module")
def uploaded(client: TestClient) -> dict:
    return client.post(IMAGES, files={"image": picture()}).json()


@pytest.fixture(scope="module")
def segmented(client: TestClient, uploaded: dict) -> dict:
    body = {"image_id": uploaded["id"], "prompts": ["cat", "dog", "red"], "mode": "official"}
    return client.post(SEGMENTATIONS, json=body).json()


@pytest.fixture(scope="module")
def model(checkpoint: object) -> ClipResNet:
    return load_model("demo", checkpoint=checkpoint, device="cpu")


def explain(client: TestClient, **body: object) -> httpx.Response:
    return client.post(ATTRIBUTIONS, json=body)


def total(parts: dict) -> float:
    named = sum(pair["contribution"] for pair in parts["pairs"])
    return named + parts["remainder"]["contribution"] + parts["constant"]


def cosine(model: ClipResNet, text: str) -> float:
    """The plain reading: encode both and compare."""
    image = decode_image(picture(), max_pixels=10**6, max_aspect=10)
    ours = model.encode_images(model.preprocess(image)[None])
    theirs = model.embed_texts([text], ["{}", "a photo of a {}."])
    return float(torch.nn.functional.cosine_similarity(ours, theirs))


def test_the_score_is_the_cosine_and_the_parts_add_up(
    client: TestClient, uploaded: dict, model: ClipResNet
) -> None:
    told = explain(client, image_id=uploaded["id"], text="cat", top=5).json()
    assert told["score"] == pytest.approx(cosine(model, "cat"), abs=1e-5)
    assert told["text_score"] == pytest.approx(told["score"], abs=1e-6)
    assert told["against"] is told["against_score"] is told["cell"] is None
    assert len(told["pairs"]) == len(told["neurons"]) == 5
    assert told["remainder"]["pairs"] == model.factors.n_pairs - 5
    assert total(told) == pytest.approx(told["score"], abs=1e-9)
    by_sign = told["positive"] + told["negative"] + told["constant"]
    assert by_sign == pytest.approx(told["score"], abs=1e-9)
    by_head = sum(head["contribution"] for head in told["heads"]) + told["constant"]
    assert by_head == pytest.approx(told["score"], abs=1e-9)
    sizes = [abs(pair["contribution"]) for pair in told["pairs"]]
    assert sizes == sorted(sizes, reverse=True)


def test_places_add_up_and_are_drawn(client: TestClient, uploaded: dict) -> None:
    told = explain(client, image_id=uploaded["id"], text="cat").json()
    tokens = told["tokens"]
    cells = np.array(tokens["cells"])
    assert cells.shape == (tokens["rows"], tokens["columns"])
    assert cells.sum() + tokens["position"] + tokens["constant"] == pytest.approx(
        told["score"], abs=1e-6
    )
    assert tokens["scale"] == pytest.approx(np.abs(cells).max(), rel=1e-5)
    # 80 x 60 pixels: the model sees the square in the middle.
    assert tokens["region"] == pytest.approx(
        {"left": 0.125, "top": 0.0, "width": 0.75, "height": 1.0}
    )
    drawn = np.asarray(Image.open(io.BytesIO(client.get(tokens["heatmap_url"]).content)))
    assert drawn.shape == (60, 80, 4)
    assert not drawn[:, :9, 3].any()
    assert drawn[:, 10:70, 3].any()


def test_a_places_part_is_told_by_pairs(client: TestClient, uploaded: dict) -> None:
    body = {"image_id": uploaded["id"], "text": "cat", "against": "dog", "top": 5}
    told = explain(client, **body, token=[1, 2]).json()
    token = told["token"]
    assert (token["row"], token["column"], len(token["pairs"])) == (1, 2, 5)
    assert token["contribution"] == pytest.approx(told["tokens"]["cells"][1][2], abs=1e-6)
    named = sum(pair["contribution"] for pair in token["pairs"])
    rest = token["remainder"]["contribution"]
    assert named + rest == pytest.approx(token["contribution"], abs=1e-9)
    # The sum over pairs of the whole picture is told beside it.
    assert total(told) == pytest.approx(told["score"], abs=1e-9)
    assert client.get(f"{ATTRIBUTIONS}/{told['id']}").json() == told
    assert explain(client, **body).json()["token"] is None
    refused = explain(client, **body, token=[0, 99])
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "invalid_token"
    assert "There is no cell in row 0, column 99" in refused.json()["error"]["message"]


def test_two_texts_are_contrasted(client: TestClient, uploaded: dict, model: ClipResNet) -> None:
    told = explain(client, image_id=uploaded["id"], text="cat", against="dog").json()
    assert told["score"] == pytest.approx(told["text_score"] - told["against_score"], abs=1e-6)
    assert told["against_score"] == pytest.approx(cosine(model, "dog"), abs=1e-5)
    assert total(told) == pytest.approx(told["score"], abs=1e-9)


def test_a_cell_is_decided_between_its_two_strongest_prompts(
    client: TestClient, segmented: dict
) -> None:
    row, column = 3, 5
    logits = {kind["prompt"]: kind["logits"][row][column] for kind in segmented["classes"]}
    first, second, _ = sorted(logits, key=lambda prompt: -logits[prompt])
    told = explain(client, segmentation=segmented["id"], cell=[row, column]).json()
    assert told["segmentation"] == segmented["id"]
    assert told["image"] == segmented["image"]
    cell = told["cell"]
    assert (told["text"], told["against"]) == (cell["text"], cell["against"]) == (first, second)
    assert (cell["rows"], cell["columns"]) == (segmented["rows"], segmented["columns"])
    assert cell["difference"] == pytest.approx(logits[first] - logits[second], abs=1e-4)
    assert cell["logit"] - cell["background_logit"] == pytest.approx(logits[first], rel=1e-2)
    assert cell["logit"] - cell["against_logit"] == pytest.approx(cell["difference"], abs=1e-9)
    assert total(cell) == pytest.approx(cell["difference"], abs=1e-9)


@pytest.mark.parametrize("method", ["pairs", "heads", "neurons", "maskclip", "selfself"])
def test_every_methods_cells_add_up(client: TestClient, uploaded: dict, method: str) -> None:
    body = {"image_id": uploaded["id"], "prompts": ["cat", "dog"], "method": method}
    shown = client.post(SEGMENTATIONS, json={**body, "background": False}).json()
    cell = explain(client, **body, cell="2,1", text="dog").json()["cell"]
    assert cell["against"] is None
    assert cell["method"] == method
    assert total(cell) == pytest.approx(cell["difference"], abs=1e-9)
    logit = shown["classes"][1]["logits"][2][1]
    assert cell["logit"] == pytest.approx(logit, abs=1e-3 * shown["heatmap_scale"])


def test_a_pairs_own_map_adds_up_to_its_value(client: TestClient, uploaded: dict) -> None:
    told = explain(client, image_id=uploaded["id"], text="cat", pairs=["3.4", "7.3"]).json()
    assert [(each["neuron"], each["head"]) for each in told["maps"]] == [(3, 4), (7, 3)]
    for each in told["maps"]:
        assert np.sum(each["cells"]) + each["position"] == pytest.approx(each["value"], abs=1e-4)
        assert 0 <= each["percentile"] <= 100
        assert client.get(each["heatmap_url"]).headers["content-type"] == "image/png"
    assert client.get(f"{ATTRIBUTIONS}/{told['id']}/maps/2.png").status_code == 404


def test_it_can_be_read_again_and_shared(client: TestClient, uploaded: dict) -> None:
    told = explain(client, image_id=uploaded["id"], text="cat").json()
    address = f"{ATTRIBUTIONS}/{told['id']}"
    assert client.get(address).json() == told
    share = client.post("/api/v1/shares", json={"attribution": told["id"]}).json()
    shown = client.get(f"/api/v1/shares/{share['id']}").json()
    assert shown["attribution"]["id"] == told["id"]
    assert shown["attribution"]["expires"] is None
    assert client.get(f"/api/v1/models/demo/attributions/{'a' * 22}").status_code == 404


def test_a_form_with_the_picture_does_as_well(client: TestClient, uploaded: dict) -> None:
    sent = client.post(
        ATTRIBUTIONS,
        files={"image": picture()},
        data={"text": "cat", "cell": "1,2", "prompts": ["cat", "dog"], "pairs": "3.4"},
    )
    assert sent.status_code == 200, sent.text
    told = explain(
        client, image_id=uploaded["id"], text="cat", cell=[1, 2], prompts=["cat", "dog"]
    ).json()
    assert sent.json()["score"] == told["score"]
    assert sent.json()["cell"]["pairs"] == told["cell"]["pairs"]
    owner = {"X-Delete-Token": sent.headers["X-Delete-Token"]}
    assert client.delete(f"{IMAGES}/{sent.json()['image']}", headers=owner).status_code == 204
    assert client.get(f"{ATTRIBUTIONS}/{sent.json()['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "a text, or a cell"),
        ({"text": " "}, 422, "blank"),
        ({"text": "a" * 201}, 422, "200"),
        ({"text": "cat", "top": 0}, 422, "top"),
        ({"text": "cat", "top": 101}, 422, "100"),
        ({"text": "cat", "pairs": ["3"]}, 422, "NEURON.HEAD"),
        ({"text": "cat", "pairs": ["head:3"]}, 422, "NEURON.HEAD"),
        ({"text": "cat", "pairs": ["3.99"]}, 404, "0 to 15"),
        ({"text": "cat", "pairs": ["3.4"] * 13}, 422, "At most 12 pairs"),
        ({"text": "cat", "cell": [99, 0]}, 422, "rows are 0 to 11"),
        ({"text": "cat", "cell": [0, -1]}, 422, "columns 0 to 15"),
        ({"text": "cat", "cell": "x"}, 422, "cell"),
        ({"cell": [0, 0]}, 422, "at least one prompt"),
        ({"cell": [0, 0], "text": "cat", "prompts": ["dog"]}, 422, "among the prompts"),
        ({"segmentation": "a" * 22}, 422, "give no other"),
        ({"image_id": None, "segmentation": "a" * 22, "text": "cat"}, 404, "no such segmentation"),
    ],
)
def test_what_cannot_be_asked(
    client: TestClient, uploaded: dict, body: dict, status: int, says: str
) -> None:
    response = explain(client, **{"image_id": uploaded["id"], **body})
    assert response.status_code == status, response.text
    assert says in response.json()["error"]["message"]
