"""Matching pursuit against scikit-learn's, a batched package's, and the bare products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.linear_model import orthogonal_mp, orthogonal_mp_gram
from torch import Tensor

from backend.pairs.factors import head_directions
from backend.pairs.sparse_coding import centred_dictionary, matching_pursuit, true_float32
from precompute.bench.clock import Times, in_turns
from precompute.bench.models import random_pool
from precompute.bench.rows import Row, own_row, time_row
from precompute.verification.pursuit import TIE, largest_lead

SCIKIT_REACH = 30.0
PACKAGE_REACH = 1.5
MATMUL_REACH = 0.70
SAME_REACH = 1.0
WHOLE_REACH = 30.0
"""Seconds for every pair of RN50x16 on one H100."""

PACKAGE = "orthogonal-matching-pursuit-gpu"

GRAM_BYTES = 12 << 30
"""A Gram matrix and the copy that scikit-learn makes of it for every pair must fit in this."""


@dataclass(frozen=True)
class Sizes:
    """How much a run measures.

    Attributes:
        signals: directions in one call of ours, as the explain stage cuts them.
        gram_signals: in one call of the package's way with a Gram matrix, which holds a row of it
            for every signal and atom.
        compared: pairs whose words are compared with scikit-learn's.
    """

    words: int
    atoms: int
    signals: int
    gram_signals: int
    compared: int


@dataclass(frozen=True)
class Problem:
    """Unit directions of a random model's first head, and a random centred dictionary."""

    signals: Float[Tensor, "signal d_out"]
    dictionary: Float[Tensor, "word d_out"]
    sizes: Sizes


def problem(model: str, sizes: Sizes, device: torch.device) -> Problem:
    """Seeded; directions lie in the span of a head's 64 output vectors as real ones do."""
    factors = random_pool(model, device).factors
    signals = head_directions(factors, head=0)[: sizes.signals]
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(sizes.words, factors.d_out, generator=generator).to(device)
    return Problem(signals, centred_dictionary(F.normalize(words, dim=1))[0], sizes)


def pursuit_rows(model: str, sizes: Sizes, device: torch.device, *, rounds: int) -> list[Row]:
    """All comparisons in one process, in turns; times are per pair."""
    given = problem(model, sizes, device)
    per_call = {"ours": sizes.signals, "products": sizes.signals}
    work: dict[str, Callable[[], object]] = {
        "ours": lambda: matching_pursuit(given.signals, given.dictionary, atoms=sizes.atoms),
        "products": _bare_products(given),
        "scikit, no Gram": _scikit(given, place=0),
    }
    per_call["scikit, no Gram"] = 1
    gram = _scikit_gram(given)
    if gram is not None:
        work["scikit"], per_call["scikit"] = gram, 1
    package = _package(given)
    work |= {name: run for name, (run, _) in package.items()}
    per_call |= {name: signals for name, (_, signals) in package.items()}
    times = in_turns(work, rounds=rounds, device=device, warm=False, counts=per_call)
    return [*_rows(given, times, per_call, device, rounds), _same_words(given, model)]


def _bare_products(given: Problem) -> Callable[[], object]:
    """Nothing but the products of residuals and dictionary that every such pursuit needs."""
    scores = given.signals.new_empty(len(given.signals), len(given.dictionary))

    def run() -> None:
        with true_float32():
            for _ in range(given.sizes.atoms):
                torch.mm(given.signals, given.dictionary.T, out=scores)

    return run


def _scikit(given: Problem, *, place: int) -> Callable[[], np.ndarray]:
    """The reference, in float64 and without a Gram matrix, on one signal."""
    dictionary = given.dictionary.cpu().double().numpy()
    signal = given.signals[place].cpu().double().numpy()

    def run() -> np.ndarray:
        found: np.ndarray = orthogonal_mp(dictionary.T, signal, n_nonzero_coefs=given.sizes.atoms)
        return found

    return run


def _scikit_gram(given: Problem) -> Callable[[], object] | None:
    """scikit-learn on one signal with a ready Gram matrix; None where that would not fit."""
    if 2 * 4 * given.sizes.words**2 > GRAM_BYTES:
        return None
    dictionary = given.dictionary.cpu()
    gram = (dictionary @ dictionary.T).numpy()
    products = (dictionary @ given.signals[0].cpu()).numpy()

    def run() -> object:
        return orthogonal_mp_gram(gram, products, n_nonzero_coefs=given.sizes.atoms)

    return run


def _package(given: Problem) -> dict[str, tuple[Callable[[], object], int]]:
    """The package's two algorithms, each with its signals per call; none if not installed."""
    try:
        from orthogonal_matching_pursuit_gpu import omp
    except ImportError:
        return {}
    dictionary, atoms = given.dictionary.T.contiguous(), given.sizes.atoms

    def naive() -> Any:
        return omp.omp_naive(dictionary, given.signals, n_nonzero_coefs=atoms)

    found: dict[str, tuple[Callable[[], object], int]] = {
        "package, naive": (naive, given.sizes.signals)
    }
    if 4 * given.sizes.words**2 < GRAM_BYTES:
        gram = given.dictionary @ given.dictionary.T
        few = given.signals[: given.sizes.gram_signals]

        def with_gram() -> Any:
            return omp.omp_v0(dictionary, few, gram, n_nonzero_coefs=atoms)

        found["package, Gram"] = with_gram, len(few)
    return found


def _rows(
    given: Problem, times: Times, per_call: dict[str, int], device: torch.device, rounds: int
) -> list[Row]:
    sizes = given.sizes
    d_out = given.dictionary.shape[1]
    work = f"OMP of a direction, {sizes.words:,} words, {sizes.atoms} atoms, {d_out} wide"
    how = f"{sizes.signals} directions at once, {rounds} rounds"

    def row(name: str, beside: str, reach: float | None, note: str, meaning: str = "") -> Row:
        return time_row(
            work,
            times,
            "ours",
            name,
            beside=beside,
            reach=reach,
            bound="at least",
            how=f"{how}; {note}",
            meaning=meaning,
        )

    packages = [name for name in per_call if name.startswith("package")]
    fastest = min(packages, key=times.median, default="package")
    note = (
        f"its faster way ({fastest.split(', ')[-1]}) with {per_call[fastest]:,} at once"
        if packages
        else f"not at hand: pip install {PACKAGE}"
    )
    where = "" if device.type == "cpu" else "; scikit-learn on the CPU beside it"
    fits = "the Gram matrix not counted, its copy for each pair is"
    scikit = fits if "scikit" in per_call else f"{2 * 4 * sizes.words**2 / 1e9:.0f} GB: too much"
    return [
        row("scikit", "scikit-learn orthogonal_mp_gram", SCIKIT_REACH, scikit + where),
        row("scikit, no Gram", "scikit-learn orthogonal_mp", None, "float64" + where),
        row(fastest, PACKAGE, PACKAGE_REACH, note),
        row(
            "products",
            "the same products alone",
            MATMUL_REACH,
            "true float32",
            meaning="bare products / ours",
        ),
    ]


def _same_words(given: Problem, model: str) -> Row:
    """Supports against scikit-learn's in float64, pairs on ties counting where as good."""
    sizes = given.sizes
    signals = given.signals[: sizes.compared]
    code = matching_pursuit(signals, given.dictionary, atoms=sizes.atoms)
    dictionary = given.dictionary.cpu().double().numpy()
    same, ties = 0, 0
    for place, ids in enumerate(code.word_ids.cpu().numpy()):
        reference = _scikit(given, place=place)()
        if set(ids.tolist()) == set(np.flatnonzero(reference).tolist()):
            same += 1
        else:
            signal = signals[place].cpu().double().numpy()
            ties += largest_lead(dictionary, signal, ids) < TIE
    return Row(
        work=f"OMP: the same {sizes.atoms} words, directions of {model}",
        unit="pairs",
        ours=same + ties,
        beside="scikit-learn orthogonal_mp, float64",
        theirs=len(signals),
        meaning="share with the same words",
        figure=(same + ties) / len(signals),
        reach=SAME_REACH,
        bound="at least",
        how=f"{ties} of them on ties",
    )


def whole_model_row(model: str, sizes: Sizes, device: torch.device) -> Row:
    """Every pair of a model, as the explain stage does it, once."""
    factors = random_pool(model, device).factors
    dictionary = problem(model, sizes, device).dictionary

    def run() -> None:
        for head in range(factors.n_heads):
            directions = head_directions(factors, head=head)
            for start in range(0, len(directions), sizes.signals):
                part = directions[start : start + sizes.signals]
                matching_pursuit(part, dictionary, atoms=sizes.atoms).word_ids.cpu()

    seconds = in_turns({"ours": run}, rounds=1, device=device, warm=True).median("ours")
    return own_row(
        f"OMP of all {factors.n_pairs:,} pairs of {model}",
        "s",
        seconds,
        meaning="seconds",
        reach=WHOLE_REACH,
        how="the reach is for one H100",
    )
