"""A store and its model together, on the exact embedding that open_clip gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backend.clip import ModelError
from backend.clip.encoder import EncodingSettings
from backend.lab import Lab
from backend.store import StoreError
from tests.lab.conftest import Place, picture

PROMPTS = ["cat", "dog", "green tree"]


def unit_texts(lab: Lab, texts: list[str]) -> torch.Tensor:
    return lab.model.embed_texts(texts, lab.store.manifest.templates)


@torch.no_grad()
def open_clips(lab: Lab, seed: int) -> torch.Tensor:
    """The tower's own embedding of the picture."""
    pixels = lab.model.preprocess(picture(300, 200, seed))[None]
    return lab.model.model.encode_image(pixels)[0]


def test_parts_sum_to_the_cosine_of_open_clips_own_embedding(lab: Lab) -> None:
    seen = lab.encode(picture(300, 200))
    texts = unit_texts(lab, ["cat", "dog"])
    cosines = F.normalize(open_clips(lab, 0), dim=0) @ texts.T
    for baseline in ("zero", "mean"):
        found = lab.attribute(seen, "cat", baseline=baseline)
        assert float(found.pairs.sum() + found.constant - cosines[0]) == pytest.approx(0, abs=1e-6)
    lead = lab.attribute(seen, "cat", against="dog")
    assert float(lead.score - (cosines[0] - cosines[1])) == pytest.approx(0, abs=1e-6)
    placed = lab.attribute_places(lab.take_apart(picture(300, 200)), "cat")
    total = placed.cells.sum() + placed.position + placed.constant
    assert float(total - cosines[0]) == pytest.approx(0, abs=1e-6)
    of_pairs = lab.attribute_token(seen, "cat", row=1, column=2).sum()
    assert float(of_pairs - placed.cells[1, 2]) == pytest.approx(0, abs=1e-9)


def test_an_ablated_embedding_is_rebuilt_from_what_remains(lab: Lab) -> None:
    seen = lab.encode(picture(300, 200))
    assert seen.whole is not None
    found = lab.ablate(
        seen, PROMPTS, off=["3.1", "head:2"], scale={"neuron:7": 2.0}, baseline="mean"
    )
    kept = torch.ones_like(seen.whole.coefficients)
    kept[1, 3], kept[2] = 0, 0
    kept[:, 7] *= 2
    coefficients = lab.mean + kept * (seen.whole.coefficients - lab.mean)
    factors = lab.model.factors
    rebuilt = torch.einsum("hn,hdn,hod->o", coefficients, factors.value, factors.output)
    rebuilt = rebuilt + factors.constant
    assert (found.embedding - rebuilt).norm() <= 1e-4 * rebuilt.norm()
    texts = unit_texts(lab, PROMPTS)
    torch.testing.assert_close(
        found.scores.float(), texts @ F.normalize(rebuilt, dim=0), atol=1e-4, rtol=0
    )
    before = texts @ F.normalize(open_clips(lab, 0), dim=0)
    torch.testing.assert_close(found.scores_before.float(), before, atol=1e-5, rtol=0)
    assert found.norm == pytest.approx(float(rebuilt.norm()), rel=1e-4)
    assert float(found.probabilities.sum()) == pytest.approx(1)


def test_keeping_everything_changes_nothing(lab: Lab) -> None:
    seen = lab.encode(picture(64, 64))
    heads = [f"head:{head}" for head in range(lab.model.factors.n_heads)]
    found = lab.ablate(seen, PROMPTS, keep=heads)
    assert (found.gain == 1).all()
    torch.testing.assert_close(found.scores, found.scores_before)
    nothing = lab.ablate(seen, PROMPTS, off=heads)
    np.testing.assert_allclose(nothing.embedding.numpy(), lab.model.factors.constant.numpy(),
                               rtol=1e-3, atol=1e-4)  # fmt: skip


def test_ablated_pairs_leave_the_masks(lab: Lab) -> None:
    seen = lab.encode(picture(300, 200))
    found = lab.ablate(seen, PROMPTS, off=["head:0"])
    plain, ablated = lab.segment(seen, PROMPTS), lab.segment(seen, PROMPTS, gain=found.gain)
    assert plain.mask.shape == ablated.mask.shape == (200, 300)
    assert not np.array_equal(plain.logits, ablated.logits)


def test_what_cannot_be_had_is_said(lab: Lab, place: Place, tmp_path: Path) -> None:
    without = lab.encode(picture(64, 64), EncodingSettings(whole_pass=False))
    with pytest.raises(ValueError, match="without its whole pass"):
        lab.attribute(without, "cat")
    with pytest.raises(ValueError, match="no head 9999"):
        lab.ablate(lab.take_apart(picture(64, 64)), PROMPTS, off=["head:9999"])
    with pytest.raises(StoreError, match="no finished store"):
        Lab.open(tmp_path)
    with pytest.raises(ModelError, match="not those that the store was made with"):
        Lab.open(place.store, device="cpu")
