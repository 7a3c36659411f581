"""Why visitors' pictures have their scores and their classes: asked, kept, told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np

from backend.pairs.ablation import Part
from backend.server import heatmaps, schemas
from backend.server.asking import check_prompts, settings_of, view_of
from backend.server.basis import Basis, basis_of
from backend.server.cards import pair_fields
from backend.server.errors import invalid, not_found
from backend.server.explained import (
    CellQuestion,
    Explanation,
    ScoreQuestion,
    StoredMap,
    StoredPart,
    StoredTokens,
    explain,
)
from backend.server.images import OpenImage, Picture
from backend.server.kept import ImageRecord, Kind, ResultRecord
from backend.server.lab import Answer
from backend.server.open_store import OpenStore
from backend.server.results import Results
from backend.server.text import check_text

HEATMAP = "heatmap.png"


class AttributionRecord(ResultRecord):
    """An attribution as kept on disk."""

    segmentation: str | None
    explanation: Explanation


ATTRIBUTION = Kind("attribution", AttributionRecord)


class Attributions(Results[AttributionRecord, schemas.Attribution]):
    """Makes, keeps and finds attributions."""

    kind = ATTRIBUTION

    async def create(
        self, model: str, asked: schemas.AttributionRequest, upload: bytes | None = None
    ) -> tuple[schemas.Attribution, str | None]:
        """Explain a score, or a cell; a new picture's delete token beside it.

        Raises 404 for an unknown model, picture, segmentation or pair, 422 for what cannot be used,
        503 when the model cannot answer now, 507 when the server's quota is full.
        """
        opened = self._catalog.open_store(model)
        basis = basis_of(self._kept, model, asked, upload)
        maps = [self._pair(model, pair) for pair in _bounded(asked.pairs)]
        async with self._lab.place(opened):
            cell = _cell(asked, basis)
            question = ScoreQuestion(
                text=_text("text", asked.text),
                against=_text("against", asked.against),
                top=asked.top,
                maps=maps,
                cell=cell,
                token=asked.token,
            )
            _check_texts(question)
            texts = 2 if cell is None else 2 + len(cell.prompts)
            image, answer = await self._lab.ask(
                opened,
                basis.given,
                view_of(basis.options),
                partial(explain, question=question),
                texts=texts,
                methods=1,
            )
            stored = await asyncio.to_thread(self._keep, opened, image, basis.segmentation, answer)
        return self._wire(*stored), image.token

    def heatmap(self, attribution: str, place: int | None = None) -> Picture:
        """Where the score comes from, or the value of the pair whose map is at ``place``.

        Raises 404 for a place past the last map.
        """
        maps = len(self._record(attribution).explanation.maps)
        if place is not None and not 0 <= place < maps:
            raise not_found("map", f"This attribution has {maps} maps, from place 0.")
        name = HEATMAP if place is None else _map_name(place)
        return Picture(self._file(attribution, name), "image/png")

    def _pair(self, model: str, pair: str) -> tuple[int, int]:
        try:
            part = Part.parse(pair)
        except ValueError:
            part = Part(None, None)
        if part.neuron is None or part.head is None:
            raise invalid("pairs", "A pair is NEURON.HEAD, for example 3.4.")
        self._catalog.check_pair(model, part.neuron, part.head)
        return part.neuron, part.head

    def _keep(
        self,
        opened: OpenStore,
        image: OpenImage,
        segmentation: str | None,
        answer: Answer[Explanation],
    ) -> tuple[AttributionRecord, ImageRecord]:
        kept = self._images.keep(opened, image, answer.seen)
        told = answer.result
        record = AttributionRecord(
            **self._new_fields(opened, kept, answer),
            segmentation=segmentation,
            explanation=told,
        )
        maps: dict[str, StoredTokens | StoredMap] = {HEATMAP: told.tokens}
        maps |= {_map_name(place): found for place, found in enumerate(told.maps)}
        files = {
            name: heatmaps.region_png(
                np.array(drawn.cells),
                scale=drawn.scale,
                size=image.size,
                region=told.tokens.region,
            )
            for name, drawn in maps.items()
        }
        self._kept.keep_result(self.kind, record, files)
        return record, kept

    def _wire(self, record: AttributionRecord, image: ImageRecord) -> schemas.Attribution:
        model, ident, urls, told = record.model, record.id, self._urls, record.explanation
        plain = told.model_dump(exclude={"pairs", "neurons", "tokens", "token", "cell", "maps"})
        token = None
        if told.token is not None:
            figures = told.token.model_dump(exclude={"pairs"})
            token = schemas.TokenPart(**figures, pairs=self._pairs(model, told.token.pairs))
        cell = None
        if told.cell is not None:
            figures = told.cell.model_dump(exclude={"pairs"})
            cell = schemas.CellDecision(**figures, pairs=self._pairs(model, told.cell.pairs))
        return schemas.Attribution(
            **self._told_fields(record, image),
            segmentation=record.segmentation,
            **plain,
            pairs=self._pairs(model, told.pairs),
            neurons=[
                schemas.NeuronPart(
                    neuron=neuron, url=urls.neuron(model, neuron), contribution=contribution
                )
                for neuron, contribution in told.neurons
            ],
            tokens=schemas.TokenParts(
                **told.tokens.model_dump(), heatmap_url=urls.attribution_heatmap(model, ident)
            ),
            token=token,
            cell=cell,
            maps=[
                schemas.PairHeatmap(
                    **each.model_dump(),
                    url=urls.pair(model, each.neuron, each.head),
                    heatmap_url=urls.attribution_map(model, ident, place),
                )
                for place, each in enumerate(told.maps)
            ],
        )

    def _pairs(self, model: str, parts: Sequence[StoredPart]) -> list[schemas.PairPart]:
        return [
            schemas.PairPart(
                **pair_fields(
                    self._catalog.check_pair(model, part.neuron, part.head),
                    self._urls,
                    part.neuron,
                    part.head,
                ),
                contribution=part.contribution,
                value=part.value,
            )
            for part in parts
        ]


def _cell(asked: schemas.AttributionRequest, basis: Basis) -> CellQuestion | None:
    if asked.cell is None:
        return None
    named = [text for text in (asked.text, asked.against) if text is not None]
    prompts = basis.prompts or check_prompts(asked.prompts or named)
    (settings,) = settings_of(basis.options, [basis.method or asked.method])
    row, column = asked.cell
    return CellQuestion(row=row, column=column, prompts=prompts, settings=settings)


def _check_texts(question: ScoreQuestion) -> None:
    texts = [text for text in (question.text, question.against) if text is not None]
    if question.cell is None:
        if question.text is None:
            raise invalid("text", "Give a text, or a cell.")
    elif not set(texts) <= set(question.cell.prompts):
        raise invalid("text", "A cell is decided among the prompts; the texts must be of them.")


def _text(what: str, text: str | None) -> str | None:
    if text is None:
        return None
    return check_text(what, "A text", text, schemas.MAX_PROMPT_CHARACTERS)


def _bounded(pairs: Sequence[str]) -> Sequence[str]:
    if len(pairs) > schemas.MAX_MAPS:
        raise invalid("pairs", f"At most {schemas.MAX_MAPS} pairs are taken, not {len(pairs)}.")
    return pairs


def _map_name(place: int) -> str:
    return f"map-{place}.png"
