"""Why a score and a cell's class are what they are: the device's answer, as it is kept on disk.

Runs on the device's thread; what comes back is plain numbers and the arrays of heatmaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from backend.pairs.ablation import scores
from backend.pairs.attribution import (
    LargestParts,
    attribute_places,
    attribute_score,
    attribute_token,
    check_cell,
    largest_parts,
)
from backend.pairs.coefficients import activation_maps, resize_positions
from backend.server import schemas
from backend.server.asking import sentence, unusable
from backend.server.errors import invalid
from backend.server.lab import AtHand
from backend.server.method_results import rounded
from backend.server.open_store import OpenStore

if TYPE_CHECKING:
    from backend.clip.encoded import WholePass
    from backend.clip.options import SegmentationSettings
    from backend.pairs.decisions import Decision
    from backend.pairs.factors import Factors

CELL_DIGITS = 6
"""Significant digits of a cell's part: the cells still sum to the score within 1e-6."""


@dataclass(frozen=True)
class CellQuestion:
    """A cell of the grid that the picture is segmented on, and what it is decided among."""

    row: int
    column: int
    prompts: Sequence[str]
    settings: SegmentationSettings


@dataclass(frozen=True)
class ScoreQuestion:
    """What to explain; ``text`` may be left to the cell.

    Attributes:
        top: pairs and neurons to name.
        maps: (neuron, head) of pairs whose own maps are wanted.
        token: (row, column) of the token whose part of the score is wanted by pairs.
    """

    text: str | None
    against: str | None
    top: int
    maps: Sequence[tuple[int, int]]
    cell: CellQuestion | None
    token: tuple[int, int] | None = None


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredPart(_Stored):
    neuron: int
    head: int
    contribution: float
    value: float


class StoredCell(_Stored):
    row: int
    column: int
    rows: int
    columns: int
    method: schemas.Method
    text: str
    against: str | None
    logit: float
    against_logit: float | None
    background_logit: float | None
    difference: float
    constant: float
    pairs: list[StoredPart]
    remainder: schemas.Remainder


class StoredMap(_Stored):
    neuron: int
    head: int
    value: float
    percentile: float | None
    position: float
    cells: list[list[float]]
    scale: float


class StoredTokens(_Stored):
    rows: int
    columns: int
    cells: list[list[float]]
    position: float
    constant: float
    scale: float
    region: schemas.Region


class StoredToken(_Stored):
    row: int
    column: int
    contribution: float
    pairs: list[StoredPart]
    remainder: schemas.Remainder


class Explanation(_Stored):
    """All figures of an attribution, without words, images and addresses."""

    text: str
    against: str | None
    known: bool
    doubt: str | None
    score: float
    text_score: float
    against_score: float | None
    norm: float
    constant: float
    positive: float
    negative: float
    pairs: list[StoredPart]
    remainder: schemas.Remainder
    heads: list[schemas.HeadPart]
    neurons: list[tuple[int, float]]
    tokens: StoredTokens
    token: StoredToken | None = None
    cell: StoredCell | None
    maps: list[StoredMap]


@torch.inference_mode()
def explain(at_hand: AtHand, question: ScoreQuestion) -> Explanation:
    """Answers a question about an encoded picture."""
    whole = at_hand.encoded.whole
    assert whole is not None
    model, opened = at_hand.segmenter.model, at_hand.opened
    cell = None if question.cell is None else _decide(at_hand, question, question.cell)
    text, against = question.text, question.against
    if text is None:
        assert cell is not None
        text, against = cell.text, cell.against
    read = at_hand.read([text] if against is None else [text, against])
    texts = read.embeddings.to(model.device)
    each = scores(whole.embedding, texts).tolist()
    contrast = texts[0] if against is None else texts[0] - texts[1]
    found = attribute_score(whole.coefficients, whole.embedding, contrast, model.factors)
    parts = _Parts(opened, whole)
    neurons = largest_parts(found.neurons, question.top)
    token = None
    if question.token is not None:
        token = _token(model.factors, parts, contrast, question.token, question.top)
    verdict = opened.familiarity.read(read)
    return Explanation(
        text=text,
        against=against,
        known=verdict.known,
        doubt=verdict.doubt,
        score=float(found.score),
        text_score=each[0],
        against_score=None if against is None else each[1],
        norm=float(whole.embedding.norm()),
        constant=float(found.constant),
        positive=float(found.pairs.clamp_min(0).sum()),
        negative=float(found.pairs.clamp_max(0).sum()),
        **parts.named(found.pairs, question.top),
        heads=[
            schemas.HeadPart(head=head, contribution=value)
            for head, value in enumerate(found.heads.tolist())
        ],
        neurons=list(zip(neurons.places.tolist(), neurons.values.tolist(), strict=True)),
        tokens=_tokens(at_hand, whole, contrast),
        token=token,
        cell=cell,
        maps=[parts.map(neuron, head) for neuron, head in question.maps],
    )


class _Parts:
    """Looks pairs of one picture up."""

    def __init__(self, opened: OpenStore, whole: WholePass) -> None:
        self._opened = opened
        self.whole = whole
        self._values = opened.sign * whole.coefficients.float().cpu()

    def named(self, parts: Float[Tensor, "head neuron"], top: int) -> dict[str, Any]:
        """The largest parts with their pairs, and the remainder."""
        largest: LargestParts = largest_parts(parts.cpu(), top)
        pairs = []
        for place, contribution in zip(
            largest.places.tolist(), largest.values.tolist(), strict=True
        ):
            head, neuron = divmod(place, self._opened.n_neurons)
            value = float(self._values[head, neuron])
            pairs.append(
                StoredPart(neuron=neuron, head=head, contribution=contribution, value=value)
            )
        rest = schemas.Remainder(
            contribution=float(largest.remainder), pairs=parts.numel() - len(pairs)
        )
        return {"pairs": pairs, "remainder": rest}

    def map(self, neuron: int, head: int) -> StoredMap:
        """Where a pair's value comes from."""
        sign = float(self._opened.sign[head, neuron])
        cells = (
            sign
            * activation_maps(
                self.whole.feature_map[None],
                self.whole.attention[None],
                image=torch.tensor([0]),
                head=torch.tensor([head]),
                neuron=torch.tensor([neuron]),
            )[0]
            .double()
            .cpu()
        )
        value = float(self._values[head, neuron])
        return StoredMap(
            neuron=neuron,
            head=head,
            value=value,
            percentile=value_percentile(self._opened, neuron, head, sign * value),
            position=value - float(cells.sum()),
            cells=rounded(cells.numpy(), CELL_DIGITS),
            scale=float(cells.abs().max()),
        )


def _tokens(at_hand: AtHand, whole: WholePass, text: Float[Tensor, " d_out"]) -> StoredTokens:
    model = at_hand.segmenter.model
    rows, columns = whole.feature_map.shape[1:]
    placed = attribute_places(
        whole.feature_map,
        whole.attention,
        resize_positions(model.positions, rows=rows, columns=columns),
        whole.embedding,
        text,
        model.factors,
    )
    return StoredTokens(
        rows=rows,
        columns=columns,
        cells=rounded(placed.cells.cpu().numpy(), CELL_DIGITS),
        position=float(placed.position),
        constant=float(placed.constant),
        scale=float(placed.cells.abs().max()),
        region=_region(at_hand.encoded.size, model.preprocessing.resize_mode),
    )


def _token(
    factors: Factors,
    parts: _Parts,
    text: Float[Tensor, " d_out"],
    place: tuple[int, int],
    top: int,
) -> StoredToken:
    """What every pair adds to the score at one token."""
    whole, (row, column) = parts.whole, place
    rows, columns = whole.feature_map.shape[1:]
    _check_place("token", row, column, rows=rows, columns=columns)
    found = attribute_token(
        whole.feature_map,
        whole.attention,
        whole.embedding,
        text,
        factors,
        row=row,
        column=column,
    )
    return StoredToken(
        row=row, column=column, contribution=float(found.sum()), **parts.named(found, top)
    )


def _check_place(what: str, row: int, column: int, *, rows: int, columns: int) -> None:
    try:
        check_cell(row, column, rows=rows, columns=columns)
    except ValueError as exc:
        raise invalid(what, sentence(exc)) from None


def _region(size: tuple[int, int], resize_mode: str) -> schemas.Region:
    """What of a picture of ``size`` (width, height) the model's own preprocessing shows it."""
    if resize_mode == "squash":
        return schemas.Region(left=0, top=0, width=1, height=1)
    side = max(size) if resize_mode == "longest" else min(size)
    width, height = side / size[0], side / size[1]
    return schemas.Region(left=(1 - width) / 2, top=(1 - height) / 2, width=width, height=height)


def value_percentile(opened: OpenStore, neuron: int, head: int, coefficient: float) -> float | None:
    """Share of the data set's images with a lower oriented value, in percent, by the histogram."""
    statistics = opened.store.statistics
    counts = np.array(statistics["histogram"][head, neuron], np.float64)
    edges = np.array(statistics["edges"][head, neuron], np.float64)
    if counts.sum() == 0:
        return None
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    share = float(np.interp(coefficient, edges, below))
    return 100 * (share if opened.sign[head, neuron] > 0 else 1 - share)


def _decide(at_hand: AtHand, question: ScoreQuestion, cell: CellQuestion) -> StoredCell:
    """Why the text, or else the strongest prompt, has its logit at a cell, and against what."""
    segmenter, encoded, settings = at_hand.segmenter, at_hand.encoded, cell.settings
    covered = encoded.layout
    _check_place("cell", cell.row, cell.column, rows=covered.rows, columns=covered.columns)
    prompts = list(cell.prompts)
    read = at_hand.read(prompts)
    behind = at_hand.read_behind(settings)
    try:
        maps = segmenter.answer(encoded, read, settings, behind=behind)
    except ValueError as exc:
        raise unusable(exc) from None
    order = np.argsort(-maps.logits[:, cell.row, cell.column], kind="stable").tolist()
    winner = order[0] if question.text is None else prompts.index(question.text)
    rival = None if question.against is None else prompts.index(question.against)
    if question.text is None and rival is None and len(order) > 1:
        rival = order[1]
    if rival == winner:
        rival = order[0] if len(order) > 1 and order[0] != winner else None

    def decide(place: int) -> Decision:
        return segmenter.decide(
            encoded,
            read,
            settings,
            place=place,
            row=cell.row,
            column=cell.column,
            behind=behind,
        )

    decision = decide(winner)
    contrast = decision if rival is None else decision.against(decide(rival))
    whole = encoded.whole
    assert whole is not None
    return StoredCell(
        row=cell.row,
        column=cell.column,
        rows=covered.rows,
        columns=covered.columns,
        method=settings.method,
        text=prompts[winner],
        against=None if rival is None else prompts[rival],
        logit=float(decision.logit),
        against_logit=None if rival is None else float(decision.logit - contrast.logit),
        background_logit=(
            None if maps.background is None else float(maps.background[cell.row, cell.column])
        ),
        difference=float(contrast.logit),
        constant=float(contrast.constant),
        **_Parts(at_hand.opened, whole).named(contrast.pairs, question.top),
    )
