"""What would be of visitors' pictures without some pairs: asked, kept with the picture, told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backend.pairs.ablation import Part, ablated_embedding, gains, scores
from backend.server import heatmaps, schemas
from backend.server.asking import check_prompts, settings_of, unusable, view_of
from backend.server.basis import basis_of
from backend.server.errors import invalid
from backend.server.familiarity import Verdict
from backend.server.images import OpenImage
from backend.server.kept import ImageRecord, Kind, ResultRecord
from backend.server.lab import Answer, AtHand
from backend.server.method_results import (
    MASK,
    OVERLAY,
    StoredMethod,
    described,
    method_files,
    method_result,
    stored_method,
)
from backend.server.open_store import OpenStore
from backend.server.results import MaskedResults

if TYPE_CHECKING:
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import SegmentationMaps

State = Literal["before", "after"]
STATES: tuple[State, State] = ("before", "after")


class AblationRecord(ResultRecord):
    """An ablation as kept on disk."""

    segmentation: str | None
    off: list[str]
    keep: list[str]
    scale: list[str]
    fill: schemas.Fill
    pairs_changed: int
    prompts: list[schemas.RankedPrompt]
    norm_before: float
    norm_after: float
    similarity: float
    settings: schemas.SegmentationSettings
    rows: int
    columns: int
    before: StoredMethod
    after: StoredMethod
    changed_share: float


ABLATION = Kind("ablation", AblationRecord)


@dataclass(frozen=True)
class AblationQuestion:
    """What of a model is changed, and what is then looked at.

    Attributes:
        asked: parts as the visitor named them.
        gain: what they mean.
        told: the settings as the answer says them back.
        segmentation: id of that which the request took picture and prompts from.
    """

    asked: schemas.AblationRequest
    gain: Float[Tensor, "head neuron"]
    prompts: list[str]
    settings: SegmentationSettings
    told: schemas.SegmentationSettings
    segmentation: str | None


@dataclass(frozen=True)
class Changed:
    """What the device gives; of each state the embedding's length, the scores and the maps."""

    verdicts: list[Verdict]
    norms: dict[State, float]
    scores: dict[State, Float[Tensor, " text"]]
    probabilities: dict[State, Float[Tensor, " text"]]
    similarity: float
    maps: dict[State, SegmentationMaps]


class Ablations(MaskedResults[AblationRecord, schemas.Ablation, State]):
    """Makes, keeps and finds ablations."""

    kind = ABLATION

    async def create(
        self, model: str, asked: schemas.AblationRequest, upload: bytes | None = None
    ) -> tuple[schemas.Ablation, str | None]:
        """Tell what would be; a new picture's delete token beside it.

        Raises 404 for an unknown model, picture or segmentation, 422 for what cannot be used, 503
        when the model cannot answer now, 507 when the server's quota is full.
        """
        opened = self._catalog.open_store(model)
        basis = basis_of(self._kept, model, asked, upload)
        prompts = check_prompts(asked.prompts or basis.prompts)
        gain = _gain(opened, asked)
        async with self._lab.place(opened):
            options = basis.options
            (settings,) = settings_of(options, [asked.method or basis.method or "pairs"])
            question = AblationQuestion(
                asked=asked,
                gain=gain,
                prompts=prompts,
                settings=settings,
                told=described(opened, options, settings),
                segmentation=basis.segmentation,
            )
            image, answer = await self._lab.ask(
                opened,
                basis.given,
                view_of(options),
                partial(_ablate, question=question),
                texts=len(prompts) + len(options.background_prompts),
                methods=len(STATES),
            )
            stored = await asyncio.to_thread(self._keep, opened, image, question, answer)
        return self._wire(*stored), image.token

    def _part(self, record: AblationRecord, part: State) -> tuple[str, StoredMethod]:
        return part, record.before if part == "before" else record.after

    def _keep(
        self,
        opened: OpenStore,
        image: OpenImage,
        question: AblationQuestion,
        answer: Answer[Changed],
    ) -> tuple[AblationRecord, ImageRecord]:
        kept = self._images.keep(opened, image, answer.seen)
        found, asked = answer.result, question.asked
        told = sum(maps.logits.size for maps in found.maps.values()) <= schemas.MAX_LOGITS
        methods = {
            state: stored_method(
                question.settings.method, maps, found.verdicts, question.prompts, told=told
            )
            for state, maps in found.maps.items()
        }
        rows, columns = found.maps["before"].logits.shape[1:]
        record = AblationRecord(
            **self._new_fields(opened, kept, answer),
            segmentation=question.segmentation,
            off=asked.off,
            keep=asked.keep,
            scale=asked.scale,
            fill=asked.fill,
            pairs_changed=int((question.gain != 1).sum()),
            prompts=_ranked(question.prompts, found),
            norm_before=found.norms["before"],
            norm_after=found.norms["after"],
            similarity=found.similarity,
            settings=question.told,
            rows=rows,
            columns=columns,
            before=methods["before"],
            after=methods["after"],
            changed_share=float(np.mean(found.maps["before"].mask != found.maps["after"].mask)),
        )
        files: dict[str, bytes] = {}
        for state, maps in found.maps.items():
            files |= method_files(state, maps)
        self._kept.keep_result(self.kind, record, files)
        return record, kept

    def _wire(self, record: AblationRecord, image: ImageRecord) -> schemas.Ablation:
        model, ident, urls = record.model, record.id, self._urls
        results = {
            state: method_result(
                stored,
                mask_url=urls.ablation_picture(model, ident, state, MASK),
                overlay_url=urls.ablation_picture(model, ident, state, OVERLAY),
                heatmap_urls=[
                    urls.ablation_heatmap(model, ident, state, place)
                    for place in range(len(stored.classes))
                ],
            )
            for state, stored in (("before", record.before), ("after", record.after))
        }
        return schemas.Ablation(
            **self._told_fields(record, image),
            **record.model_dump(exclude={*ResultRecord.model_fields, "before", "after"}),
            before=results["before"],
            after=results["after"],
            method=record.before.method,
        )


def _gain(opened: OpenStore, asked: schemas.AblationRequest) -> Float[Tensor, "head neuron"]:
    """Factor of every pair; 422 for parts that cannot be read or are not there."""
    named = len(asked.off) + len(asked.keep) + len(asked.scale)
    if not 1 <= named <= schemas.MAX_PARTS:
        raise invalid(
            "parts",
            f"Give 1 to {schemas.MAX_PARTS:,} parts to switch off, keep or scale, not {named}.",
        )
    try:
        return gains(
            heads=opened.n_heads,
            neurons=opened.n_neurons,
            keep=[Part.parse(part) for part in asked.keep],
            scaled=[
                *((Part.parse(part), 0.0) for part in asked.off),
                *(_scaled(part) for part in asked.scale),
            ],
        )
    except ValueError as exc:
        text = str(exc)
        raise invalid("parts", f"{text[:1].upper()}{text[1:]}.") from None


def _scaled(text: str) -> tuple[Part, float]:
    """``3.4=0.5`` as a part and its factor."""
    part, equals, factor = text.partition("=")
    try:
        value = float(factor)
    except ValueError:
        value = -1.0
    if not equals or not 0 <= value <= schemas.MAX_FACTOR:
        raise ValueError(
            f"what is scaled is PART=FACTOR with a factor of 0 to {schemas.MAX_FACTOR:g}"
        )
    return Part.parse(part), value


@torch.inference_mode()
def _ablate(at_hand: AtHand, question: AblationQuestion) -> Changed:
    """Runs on the device's thread."""
    segmenter, encoded, opened = at_hand.segmenter, at_hand.encoded, at_hand.opened
    whole, model = encoded.whole, segmenter.model
    assert whole is not None
    gain = question.gain.to(model.device)
    base = None if question.asked.fill == "zero" else opened.mean.to(model.device)
    after = ablated_embedding(whole.embedding, whole.coefficients, gain, model.factors, base=base)
    embeddings: dict[State, Tensor] = {"before": whole.embedding, "after": after}
    read = at_hand.read(question.prompts)
    behind = at_hand.read_behind(question.settings)
    texts = read.embeddings.to(model.device)
    found = {state: scores(embedding, texts).cpu() for state, embedding in embeddings.items()}
    try:
        maps: dict[State, SegmentationMaps] = {
            "before": segmenter.answer(encoded, read, question.settings, behind=behind),
            "after": segmenter.answer(encoded, read, question.settings, behind=behind, gain=gain),
        }
    except ValueError as exc:
        raise unusable(exc) from None
    told = opened.familiarity
    return Changed(
        verdicts=[told.read(read, place) for place in range(len(question.prompts))],
        norms={state: float(embedding.norm()) for state, embedding in embeddings.items()},
        scores=found,
        probabilities={
            state: (model.logit_scale * each).softmax(dim=0) for state, each in found.items()
        },
        similarity=float(F.cosine_similarity(whole.embedding, after, dim=0)),
        maps=maps,
    )


def _ranked(prompts: Sequence[str], found: Changed) -> list[schemas.RankedPrompt]:
    standings = {
        state: [
            schemas.Standing(
                score=score,
                rank=1 + sum(other > score for other in each.tolist()),
                probability=probability,
            )
            for score, probability in zip(
                each.tolist(), found.probabilities[state].tolist(), strict=True
            )
        ]
        for state, each in found.scores.items()
    }
    return [
        schemas.RankedPrompt(
            prompt=prompt,
            colour=heatmaps.class_colour(place),
            known=verdict.known,
            doubt=verdict.doubt,
            before=standings["before"][place],
            after=standings["after"][place],
        )
        for place, (prompt, verdict) in enumerate(zip(prompts, found.verdicts, strict=True))
    ]
