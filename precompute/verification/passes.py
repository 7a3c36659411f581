"""Checks on real forward passes: the sum over pairs, and that each pair writes along one line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from open_clip import CLIP
from torch import Tensor

from backend.clip import ClipResNet
from backend.store import Store
from precompute.verification.reference import contributions, pooled_passes
from precompute.verification.report import Check

SUM_BOUND = 1e-5
"""Of an embedding's length: float32 forward passes of the same weights differ by about 1e-6."""

LINE_BOUND = 1e-9
"""In float64; a pair whose contributions hardly vary loses digits when they are centred."""

LEAST_VARIATION = 1e-6
"""Of a pair's mean contribution: one that varies less is constant but for rounding."""


@dataclass(frozen=True)
class Passes:
    """Some images, the application's engine and open_clip's own model for the same weights."""

    pixels: Float[Tensor, "image 3 row column"]
    model: ClipResNet
    reference: CLIP

    @property
    def over(self) -> str:
        return f"{len(self.pixels)} images"


def factor_check(store: Store, model: ClipResNet) -> Check:
    """The store's factors against the model's weights."""
    factors = model.factors.to("cpu")
    pairs = {
        "value": factors.value,
        "output": factors.output,
        "value_bias": factors.value_bias,
        "output_bias": factors.output_bias,
    }
    worst = max(
        float((torch.from_numpy(np.array(store.factors[name])) - tensor).abs().max())
        for name, tensor in pairs.items()
    )
    return Check("stored factors - the model's weights", worst, 0.0, "all factors")


@torch.inference_mode()
def sum_checks(store: Store, passes: Passes) -> list[Check]:
    """The sum over pairs of s * D, plus the constant, against open_clip's ``encode_image``.

    D and the constant are the store's, the sum is taken in float64.
    """
    expected = passes.reference.encode_image(passes.pixels.to(passes.model.device)).cpu().double()
    coefficients = passes.model.decompose(passes.pixels).coefficients.cpu().double()
    value, output, constant = (
        torch.from_numpy(np.array(store.factors[name], dtype=np.float64))
        for name in ("value", "output", "constant")
    )
    by_head = torch.einsum("hdn,bhn->bhd", value, coefficients)
    rebuilt = torch.einsum("hod,bhd->bo", output, by_head) + constant
    error, scale = rebuilt - expected, expected.norm(dim=1)
    relative = float((error.norm(dim=1) / scale).max())
    largest = float(error.abs().max())
    name = "sum over pairs + constant - encode_image"
    return [
        Check(f"{name}, of its length", relative, SUM_BOUND, passes.over),
        Check(f"{name}, largest entry", largest, SUM_BOUND * float(scale.max()), passes.over),
    ]


def line_checks(store: Store, passes: Passes, *, samples: int, seed: int = 0) -> list[Check]:
    """PCA of sampled pairs' contributions against the closed form.

    Contributions are made token by token from open_clip's weights and torch's attention, in
    float64, so nothing that is to be shown goes in.  Pairs that do not vary on these images have
    no principal component and are passed over.
    """
    run = pooled_passes(passes.reference, passes.pixels)
    order = np.random.default_rng(seed).permutation(store.n_heads * store.n_neurons)
    ratios: list[float] = []
    angles: list[float] = []
    for place in order:
        if len(ratios) == samples:
            break
        head, neuron = divmod(int(place), store.n_neurons)
        found = contributions(run, head=head, neuron=neuron).cpu().numpy()
        mean = found.mean(axis=0)
        _, singular, components = np.linalg.svd(found - mean, full_matrices=False)
        if singular[0] <= LEAST_VARIATION * np.linalg.norm(mean) or singular[0] == 0:
            continue
        write = np.float64(store.factors["output"][head]) @ store.factors["value"][head, :, neuron]
        ratios.append(float(singular[1] / singular[0]))
        cosine = abs(float(components[0] @ write)) / float(np.linalg.norm(write))
        angles.append(abs(1 - cosine))
    over = f"{len(ratios)} pairs, {passes.over}"
    worst, widest = (max(values, default=float("nan")) for values in (ratios, angles))
    return [
        Check("second singular value / first of a pair's contributions", worst, LINE_BOUND, over),
        Check("1 - |cos(first principal component, D)|", widest, LINE_BOUND, over),
    ]
