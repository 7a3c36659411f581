"""What would be without some pairs: the embedding rebuilt from what is left says the same."""

from __future__ import annotations

import io
from collections.abc import Callable

import httpx
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fastapi.testclient import TestClient
from PIL import Image
from torch import Tensor

from backend.clip import load_model
from backend.clip.models import ClipResNet
from backend.server.uploads import decode_image
from tests.server.conftest import picture

IMAGES = "/api/v1/models/demo/images"
SEGMENTATIONS = "/api/v1/models/demo/segmentations"
ABLATIONS = "/api/v1/models/demo/ablations"
PROMPTS = ["cat", "dog", "red"]


@pytest.fixture(scope="module")
def uploaded(client: TestClient) -> dict:
    return client.post(IMAGES, files={"image": picture()}).json()


@pytest.fixture(scope="module")
def model(checkpoint: object) -> ClipResNet:
    return load_model("demo", checkpoint=checkpoint, device="cpu")


def ablate(client: TestClient, **body: object) -> httpx.Response:
    return client.post(ABLATIONS, json=body)


def rebuilt(model: ClipResNet, change: Callable[[Tensor], Tensor]) -> Tensor:
    """The plain reading: all contributions again, from changed coefficients [head, neuron]."""
    image = decode_image(picture(), max_pixels=10**6, max_aspect=10)
    (coefficients,) = model.decompose(model.preprocess(image)[None]).coefficients
    factors = model.factors
    values = torch.einsum("hn,hdn->hd", change(coefficients), factors.value)
    return torch.einsum("hd,hod->o", values, factors.output) + factors.constant


def at(rows: object, columns: object, value: float) -> Callable[[Tensor], Tensor]:
    def change(coefficients: Tensor) -> Tensor:
        changed = coefficients.clone()
        changed[rows, columns] *= value
        return changed

    return change


def kept(coefficients: Tensor) -> Tensor:
    changed = torch.zeros_like(coefficients)
    changed[2], changed[4, 3] = coefficients[2], coefficients[4, 3]
    return changed


@pytest.mark.parametrize(
    ("asked", "change", "pairs"),
    [
        ({"off": ["3.4"]}, at(4, 3, 0.0), 1),
        ({"off": "head:2"}, at(2, slice(None), 0.0), 1024),
        ({"scale": ["neuron:3=0.5"]}, at(slice(None), 3, 0.5), 16),
        ({"keep": ["head:2", "3.4"]}, kept, 16 * 1024 - 1025),
    ],
)
def test_the_scores_are_those_of_the_rebuilt_embedding(
    client: TestClient,
    uploaded: dict,
    model: ClipResNet,
    asked: dict,
    change: Callable[[Tensor], Tensor],
    pairs: int,
) -> None:
    told = ablate(client, image_id=uploaded["id"], prompts=PROMPTS, **asked).json()
    texts = model.embed_texts(PROMPTS, ["{}", "a photo of a {}."])
    before, after = rebuilt(model, lambda same: same), rebuilt(model, change)
    for state, embedding in (("before", before), ("after", after)):
        wanted = F.cosine_similarity(embedding[None], texts)
        scores = [prompt[state]["score"] for prompt in told["prompts"]]
        assert scores == pytest.approx(wanted.tolist(), abs=1e-4)
        ranks = [prompt[state]["rank"] for prompt in told["prompts"]]
        assert sorted(ranks) == [1, 2, 3]
        assert ranks[int(wanted.argmax())] == 1
        assert sum(prompt[state]["probability"] for prompt in told["prompts"]) == pytest.approx(1)
        assert told[f"norm_{state}"] == pytest.approx(float(embedding.norm()), rel=1e-4)
    assert told["similarity"] == pytest.approx(
        float(F.cosine_similarity(before, after, dim=0)), abs=1e-4
    )
    assert told["pairs_changed"] == pairs


def test_filled_with_the_mean_a_pair_holds_its_mean(
    client: TestClient, uploaded: dict, model: ClipResNet
) -> None:
    store = client.app.state.services.catalog.open_store("demo").store
    mean = float(store.statistics["mean"][4, 3])

    def change(coefficients: Tensor) -> Tensor:
        changed = coefficients.clone()
        changed[4, 3] = mean
        return changed

    asked = {"image_id": uploaded["id"], "prompts": PROMPTS, "off": ["3.4"], "fill": "mean"}
    told = ablate(client, **asked).json()
    assert told["norm_after"] == pytest.approx(float(rebuilt(model, change).norm()), rel=1e-5)
    assert told["fill"] == "mean"


def test_pairs_that_are_off_leave_the_masks(client: TestClient, uploaded: dict) -> None:
    told = ablate(
        client, image_id=uploaded["id"], prompts=PROMPTS, off=["head:1"], background=False
    ).json()
    shown = client.post(
        SEGMENTATIONS,
        json={"image_id": uploaded["id"], "prompts": PROMPTS, "background": False},
    ).json()
    assert [c["logits"] for c in told["before"]["classes"]] == [
        c["logits"] for c in shown["classes"]
    ]
    masks = {
        state: np.asarray(Image.open(io.BytesIO(client.get(told[state]["mask_url"]).content)))
        for state in ("before", "after")
    }
    changed = float(np.mean(masks["before"] != masks["after"]))
    assert told["changed_share"] == pytest.approx(changed, abs=1e-9)
    for state, mask in masks.items():
        for place, kind in enumerate(told[state]["classes"]):
            assert kind["area_share"] == pytest.approx(float((mask == place).mean()), abs=1e-9)
            assert client.get(kind["heatmap_url"]).status_code == 200
    gone = ablate(
        client, image_id=uploaded["id"], prompts=["cat"], scale=["head:0=0"], keep=["head:0"],
        background=False,
    ).json()  # fmt: skip
    assert not np.any(gone["after"]["classes"][0]["logits"])


def test_of_a_segmentation_with_its_prompts_and_options(client: TestClient, uploaded: dict) -> None:
    made = client.post(
        SEGMENTATIONS,
        json={
            "image_id": uploaded["id"],
            "prompts": PROMPTS,
            "method": ["neurons", "pairs"],
            "background": "prompts",
            "background_prompts": ["blue"],
        },
    ).json()
    told = ablate(client, segmentation=made["id"], off=["3.4"]).json()
    assert [prompt["prompt"] for prompt in told["prompts"]] == PROMPTS
    assert told["method"] == "neurons"
    assert told["settings"] == made["settings"]
    assert told["segmentation"] == made["id"]
    assert client.get(f"{ABLATIONS}/{told['id']}").json() == told
    share = client.post("/api/v1/shares", json={"ablation": told["id"]}).json()
    assert client.get(f"/api/v1/shares/{share['id']}").json()["ablation"]["id"] == told["id"]
    assert client.get(f"{ABLATIONS}/{told['id']}/during/mask.png").status_code == 422
    assert client.get(f"{ABLATIONS}/{told['id']}/after/heatmaps/9.png").status_code == 404


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "1 to 1,000 parts"),
        ({"off": ["3.4"] * 1001}, "not 1001"),
        ({"off": ["3"]}, "no part of a model"),
        ({"off": ["3.99"]}, "heads are 0 to 15"),
        ({"off": ["neuron:5000"]}, "neurons are 0 to 1023"),
        ({"scale": ["3.4"]}, "PART=FACTOR"),
        ({"scale": ["3.4=nan"]}, "0 to 10"),
        ({"scale": ["3.4=-1"]}, "0 to 10"),
        ({"off": ["3.4"], "fill": "noise"}, "'zero' or 'mean'"),
        ({"off": ["3.4"], "method": "maskclip"}, "chooses no pairs"),
        ({"off": ["3.4"], "prompts": []}, "at least one prompt"),
    ],
)
def test_what_cannot_be_asked(client: TestClient, uploaded: dict, body: dict, says: str) -> None:
    response = ablate(client, **{"image_id": uploaded["id"], "prompts": ["cat"], **body})
    assert response.status_code == 422, response.text
    assert says in response.json()["error"]["message"]
