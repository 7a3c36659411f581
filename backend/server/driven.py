"""Search by a picture: which pairs does it drive, beside the images of the data set?"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from backend.pairs.standing import movement, standing
from backend.server import schemas
from backend.server.cards import pair_fields
from backend.server.explained import value_percentile
from backend.server.images import Given, Images
from backend.server.lab import AtHand, Lab
from backend.server.open_store import OpenStore
from backend.server.queries import Catalog
from backend.server.urls import Urls


@dataclass(frozen=True)
class _Driven:
    """The best pairs by flat place, with their figures."""

    places: list[int]
    values: list[float]
    standing: list[float]
    movement: list[float]
    total: int


class DrivenPairs:
    """Answers which pairs a kept picture drives; nothing of the answer is kept."""

    def __init__(self, urls: Urls, catalog: Catalog, images: Images, lab: Lab) -> None:
        self._urls = urls
        self._catalog = catalog
        self._images = images
        self._lab = lab

    async def find(self, model: str, image: str, asked: schemas.DrivenQuery) -> schemas.DrivenPairs:
        """The pairs, most driven first.

        Raises 404 for a model, picture, neuron or head that there is not, 503 when the model cannot
        answer now.
        """
        opened = self._catalog.check_pair(model, asked.neuron or 0, asked.head or 0)
        picture = self._images.get(model, image)
        async with self._lab.place(opened):
            # late: importing open_clip takes seconds; whoever gets here has a model
            from backend.clip.encoder import IN_WINDOWS

            question = partial(_most_driven, asked=asked)
            given = Given(image_id=image)
            _, answer = await self._lab.ask(
                opened, given, IN_WINDOWS, question, texts=0, methods=0, keeping=False
            )
        return await asyncio.to_thread(self._wire, opened, picture, asked, answer.result)

    def _wire(
        self,
        opened: OpenStore,
        picture: schemas.UploadedImage,
        asked: schemas.DrivenQuery,
        found: _Driven,
    ) -> schemas.DrivenPairs:
        more = min(2 * asked.limit, schemas.MAX_RESULTS, found.total)
        return schemas.DrivenPairs(
            picture=picture,
            total=found.total,
            results=[self._pair(opened, found, place) for place in range(len(found.places))],
            next_limit=more if more > asked.limit else None,
        )

    def _pair(self, opened: OpenStore, found: _Driven, place: int) -> schemas.DrivenPair:
        head, neuron = divmod(found.places[place], opened.n_neurons)
        value = found.values[place]
        coefficient = float(opened.sign[head, neuron]) * value
        return schemas.DrivenPair(
            **pair_fields(opened, self._urls, neuron, head),
            value=value,
            standing=found.standing[place],
            percentile=value_percentile(opened, neuron, head, coefficient),
            movement=found.movement[place],
        )


@torch.inference_mode()
def _most_driven(at_hand: AtHand, asked: schemas.DrivenQuery) -> _Driven:
    """Runs on the device's thread."""
    whole, opened = at_hand.encoded.whole, at_hand.opened
    assert whole is not None
    coefficients = whole.coefficients.float().cpu()
    mean, deviation = opened.mean, opened.deviation
    figures = {
        "standing": standing(coefficients, mean=mean, deviation=deviation, sign=opened.sign),
        "movement": movement(coefficients, mean=mean, scale=opened.scale),
    }
    scores, total = _of_chosen(opened, asked, figures[asked.rank])
    places = scores.topk(min(asked.limit, total)).indices
    return _Driven(
        places=places.tolist(),
        values=(opened.sign * coefficients).flatten()[places].tolist(),
        standing=figures["standing"].flatten()[places].tolist(),
        movement=figures["movement"].flatten()[places].tolist(),
        total=total,
    )


def _of_chosen(
    opened: OpenStore, asked: schemas.DrivenQuery, scores: Float[Tensor, "head neuron"]
) -> tuple[Float[Tensor, " pair"], int]:
    """The scores with all but the pairs that are asked for out of the running, and their number."""
    chosen = opened.pair_table.chosen(
        neuron=asked.neuron, head=asked.head, percentile_min=asked.percentile_min
    )
    if chosen is None:
        return scores.flatten(), scores.numel()
    out = torch.from_numpy(~chosen)
    return scores.flatten().masked_fill(out, -torch.inf), int(chosen.sum())
