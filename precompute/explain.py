"""``pairscope explain``: any direction of a store's space in words, held against chance."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor

from backend.options import AsJson
from backend.pairs.ablation import Part
from backend.pairs.sparse_coding import centred_dictionary
from backend.store import Store, open_store
from precompute.errors import InputError
from precompute.stages.explain import cosine_steps, explain_directions

MOST_DIRECTIONS = 10_000
"""Of one file: some minutes at 30,000 words and 64 atoms."""

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Reached:
    """Cosine with so many words; ``random`` and ``shuffled`` are the nulls' mean, where stored."""

    words: int
    cosine: float
    random: float | None
    shuffled: float | None


@dataclass(frozen=True)
class Explained:
    """One direction in words, in the order of choice."""

    name: str
    words: list[tuple[str, float]]
    reached: list[Reached]


def explain(
    store: Annotated[Path, typer.Argument(help="Folder of a store.")],
    pair: Annotated[
        str | None, typer.Option("--pair", help="NEURON.HEAD, for example 3.4.")
    ] = None,
    neuron: Annotated[
        int | None, typer.Option("--neuron", help="A neuron's first principal direction.")
    ] = None,
    head: Annotated[
        int | None, typer.Option("--head", help="A head's first principal direction.")
    ] = None,
    directions: Annotated[
        Path | None,
        typer.Option(
            "--directions", help=".npy or .safetensors of one direction or a row for each."
        ),
    ] = None,
    atoms: Annotated[
        int | None, typer.Option("--atoms", help="Words; as many as the store's by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a pair, a neuron, a head or directions of your own into words; needs no model."""
    opened = open_store(store)
    wanted = _wanted(opened, pair=pair, neuron=neuron, head=head, file=directions)
    found = explained(opened, wanted, atoms=atoms or _stored_atoms(opened))
    if as_json:
        typer.echo(json.dumps([_plain(one) for one in found], indent=2, ensure_ascii=False))
    else:
        typer.echo("\n\n".join(_text(one) for one in found))


def explained(store: Store, directions: dict[str, Tensor], *, atoms: int) -> list[Explained]:
    """Words of unit directions by name, in the order given.

    Raises:
        InputError: more atoms than the vocabulary or the space allows.
    """
    dictionary, _ = centred_dictionary(torch.from_numpy(np.array(store.vocabulary_embeddings)))
    limit = min(dictionary.shape)
    if not 1 <= atoms <= limit:
        raise InputError(f"--atoms must be between 1 and {limit} for this store, got {atoms}")
    code = explain_directions(torch.stack(list(directions.values())), dictionary, atoms=atoms)
    found = []
    for place, name in enumerate(directions):
        ids, weights = code.word_ids[place].tolist(), code.weights[place].tolist()
        words = [
            (store.vocabulary[word], weight)
            for word, weight in zip(ids, weights, strict=True)
            if word >= 0
        ]
        found.append(Explained(name, words, _reached(store, atoms, code.cosine[place].tolist())))
    return found


def _reached(store: Store, atoms: int, cosines: list[float]) -> list[Reached]:
    stored: list[int] = store.manifest.parameters["cosine_steps"]
    nulls = {
        name: dict(zip(stored, store.nulls[f"{name}_cosine"].mean(axis=0).tolist(), strict=True))
        for name in ("random", "shuffled")
    }
    return [
        Reached(words, cosine, nulls["random"].get(words), nulls["shuffled"].get(words))
        for words, cosine in zip(cosine_steps(atoms), cosines, strict=True)
    ]


def _stored_atoms(store: Store) -> int:
    return int(store.explanations["word_ids"].shape[-1])


def _wanted(
    store: Store, *, pair: str | None, neuron: int | None, head: int | None, file: Path | None
) -> dict[str, Tensor]:
    """Unit directions by name.

    Raises:
        InputError: not exactly one thing was asked for, or it does not exist.
    """
    if sum(given is not None for given in (pair, neuron, head, file)) != 1:
        raise InputError("give one of --pair NEURON.HEAD, --neuron, --head and --directions FILE")
    if file is not None:
        return read_directions(file, width=int(store.vocabulary_embeddings.shape[1]))
    if pair is not None:
        return {f"pair {pair}": _pair_direction(store, pair)}
    if neuron is not None:
        number = _within(neuron, store.n_neurons, "neuron")
        return {f"neuron {number}": torch.from_numpy(np.array(store.neurons["direction"][number]))}
    number = _within(head or 0, store.n_heads, "head")
    return {f"head {number}": torch.from_numpy(np.array(store.heads["direction"][number]))}


def _pair_direction(store: Store, pair: str) -> Float[Tensor, " d_out"]:
    try:
        part = Part.parse(pair)
    except ValueError:
        part = Part(None, None)
    if part.neuron is None or part.head is None:
        raise InputError(f"--pair is NEURON.HEAD, as in 3.4, not {pair!r}")
    n = _within(part.neuron, store.n_neurons, "neuron")
    h = _within(part.head, store.n_heads, "head")
    vector = store.factors["output"][h] @ store.factors["value"][h, :, n]
    return F.normalize(torch.from_numpy(vector * store.statistics["sign"][h, n]), dim=0)


def _within(number: int, count: int, what: str) -> int:
    if not 0 <= number < count:
        raise InputError(f"the store has no {what} {number}; {what}s are 0 to {count - 1}")
    return number


def read_directions(file: Path, *, width: int) -> dict[str, Tensor]:
    """Unit directions of a .npy or .safetensors file, named by file or key, and row.

    Raises:
        InputError: the file cannot be read, or holds anything but finite directions of this width.
    """
    found: dict[str, Tensor] = {}
    for name, array in _arrays(file):
        if array.ndim not in (1, 2) or array.shape[-1] != width or array.dtype.kind not in "fiu":
            raise InputError(
                f"{file}: {name} has shape {list(array.shape)} and type {array.dtype}; numbers of "
                f"shape [{width}] or [direction, {width}] are needed"
            )
        rows = np.atleast_2d(array).astype(np.float32)
        for place, row in enumerate(rows):
            label = name if array.ndim == 1 else f"{name}[{place}]"
            if not np.isfinite(row).all() or not row.any():
                raise InputError(f"{file}: {label} is zero or not finite, so it has no direction")
            found[label] = F.normalize(torch.from_numpy(row), dim=0)
    if not 1 <= len(found) <= MOST_DIRECTIONS:
        raise InputError(f"{file} holds {len(found)} directions; 1 to {MOST_DIRECTIONS:,} can be")
    return found


def _arrays(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    try:
        if file.suffix == ".npy":
            yield file.stem, np.load(file, allow_pickle=False)
        elif file.suffix == ".safetensors":
            yield from sorted(load_file(file).items())
        else:
            raise InputError(f"{file} is neither .npy nor .safetensors")
    except FileNotFoundError:
        raise InputError(f"{file} does not exist") from None
    except InputError:
        raise
    except (OSError, ValueError, EOFError, SafetensorError, TypeError) as error:
        raise InputError(f"{file} cannot be read as directions") from error


def _plain(one: Explained) -> dict[str, object]:
    words = [{"word": word, "weight": weight} for word, weight in one.words]
    return {"name": one.name, "words": words, "reached": [asdict(r) for r in one.reached]}


def _text(one: Explained) -> str:
    width = max((len(word) for word, _ in one.words), default=0)
    lines = [one.name]
    lines += [f"  {word:<{width}}  {_signed(weight)}" for word, weight in one.words]
    lines += ["", "  words  cosine  random directions  shuffled words"]
    lines += [
        f"  {step.words:>5}  {step.cosine:6.3f}  {_figure(step.random):>17}  "
        f"{_figure(step.shuffled):>14}"
        for step in one.reached
    ]
    return "\n".join(lines)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", MINUS)


def _figure(value: float | None) -> str:
    return "not stored" if value is None else f"{value:.3f}"
