"""Segmentation: every method against a slow plain reading of its formula, labels and overlaps."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from backend.pairs.factors import Factors
from precompute.evaluation.segmentation import METHODS, Overlap, Scene, label

CELLS, NEURONS, HEADS, OUT, TEXTS = 9, 8, 2, 5, 3


@pytest.fixture
def pool() -> SimpleNamespace:
    torch.manual_seed(0)
    layers = {name: nn.Linear(NEURONS, NEURONS) for name in ("q_proj", "k_proj", "v_proj")}
    return SimpleNamespace(num_heads=HEADS, c_proj=nn.Linear(NEURONS, OUT), **layers)


@pytest.fixture
def model(pool: SimpleNamespace) -> SimpleNamespace:
    d_head = NEURONS // HEADS
    factors = Factors(
        value=pool.v_proj.weight.detach().reshape(HEADS, d_head, NEURONS),
        output=pool.c_proj.weight.detach().reshape(OUT, HEADS, d_head).transpose(0, 1),
        value_bias=pool.v_proj.bias.detach().reshape(HEADS, d_head),
        output_bias=pool.c_proj.bias.detach(),
    )
    visual = SimpleNamespace(attnpool=pool)
    return SimpleNamespace(factors=factors, model=SimpleNamespace(visual=visual))


@pytest.fixture
def scene() -> Scene:
    generator = torch.Generator().manual_seed(1)
    activations = torch.rand(CELLS, NEURONS, generator=generator)
    mask = torch.zeros(TEXTS, HEADS * NEURONS, dtype=torch.bool)
    for row in mask:
        row[torch.randperm(HEADS * NEURONS, generator=generator)[:4]] = True
    texts = torch.nn.functional.normalize(torch.randn(TEXTS, OUT, generator=generator), dim=1)
    tokens = activations + 0.1 * torch.randn(CELLS, NEURONS, generator=generator)
    return Scene(activations, tokens, texts, mask.reshape(TEXTS, HEADS, NEURONS))


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()))


def slowly(method: str, model: SimpleNamespace, scene: Scene, i: int, j: int) -> float:
    """A logit by the letter of its definition."""
    own, pool = model.factors, model.model.visual.attnpool
    if method == "maskclip":
        return cosine(pool.c_proj(pool.v_proj(scene.tokens[i])), scene.texts[j])
    if method == "selfself":
        parts = []
        for h in range(HEADS):
            rows = slice(h * NEURONS // HEADS, (h + 1) * NEURONS // HEADS)
            value = pool.v_proj(scene.tokens)[:, rows]
            mixed = torch.zeros(NEURONS // HEADS)
            for projection in (pool.q_proj, pool.k_proj):
                x = projection(scene.tokens)[:, rows]
                weights = (x @ x[i] / (NEURONS // HEADS) ** 0.5).softmax(dim=0)
                mixed = mixed + weights @ value
            parts.append(mixed)
        return cosine(pool.c_proj(torch.cat(parts)), scene.texts[j])
    total, count = 0.0, 0
    for h in range(HEADS):
        for n in range(NEURONS):
            if scene.mask[j, h, n]:
                r = own.output[h] @ (own.value[h] @ scene.tokens[i] + own.value_bias[h])
                heat, activation = cosine(r, scene.texts[j]), float(scene.activations[i, n])
                parts_of = {"pairs": heat * activation, "heads": heat, "neurons": activation}
                total, count = total + parts_of[method], count + 1
    return total / count


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_methods_follow_their_formulas(method: str, model: SimpleNamespace, scene: Scene) -> None:
    found = METHODS[method](model, scene)  # type: ignore[arg-type]
    expected = [[slowly(method, model, scene, i, j) for j in range(TEXTS)] for i in range(CELLS)]
    assert torch.allclose(found, torch.tensor(expected), atol=1e-5)


def test_a_pixel_is_background_where_no_class_beats_the_random_words() -> None:
    logits = torch.zeros(4, 2 + 20)  # 2 x 2 cells, two classes, twenty random words
    logits[0, 0] = 1.0
    logits[3, 1] = 1.0
    logits[:, 2:] = 0.3
    labels = label(logits, 2, size=8)
    assert labels[0, 0] == 0
    assert labels[7, 7] == 1
    assert labels[0, 7] == labels[7, 0] == 255


def test_overlaps_are_summed_before_the_mean() -> None:
    overlap = Overlap(5)
    shown = torch.tensor([3])
    truth = torch.tensor([[0, 0], [255, 255]])
    overlap.add(truth, truth, shown)
    assert overlap.miou() == 1.0
    overlap.add(torch.tensor([[0, 255], [255, 255]]), truth, shown)
    # Class 3: 3 of 4; background: 4 of 5; the other classes never occur.
    assert overlap.miou() == pytest.approx((3 / 4 + 4 / 5) / 2)
