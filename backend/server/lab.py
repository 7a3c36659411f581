"""The model's answers about visitors' pictures.

A picture passes the backbone once; what it left is kept as long as there is room, and every further
question is answered from that.  Passes are shared with whatever other pictures wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Tensor

from backend.server import schemas
from backend.server.asking import check_work
from backend.server.encoded import EncodedImages, UnderWay
from backend.server.engine import BusyError, Clock, Engine, Passes
from backend.server.images import Given, Images, OpenImage, Seen
from backend.server.live import LiveModels
from backend.server.open_store import OpenStore
from backend.server.settings import Settings

if TYPE_CHECKING:
    from backend.clip import ClipResNet
    from backend.clip.encoded import EncodedImage
    from backend.clip.encoder import EncodingSettings, PreparedImage
    from backend.clip.options import SegmentationSettings
    from backend.clip.segmentation import Segmenter
    from backend.clip.text import ReadTexts

Result = TypeVar("Result")

SUGGESTIONS = 8
"""Words that a picture is said to be most like."""


@dataclass(frozen=True)
class AtHand:
    """What a question works with, on the device's thread."""

    opened: OpenStore
    segmenter: Segmenter
    encoded: EncodedImage
    _live: LiveModels

    def read(self, prompts: Sequence[str]) -> ReadTexts:
        """Prompts in the store's templates, synonyms averaged; those read before are remembered."""
        return self._live.read_prompts(self.opened.store, self.segmenter.model, prompts)

    def read_behind(self, settings: SegmentationSettings) -> ReadTexts | None:
        """The background prompts of settings, read."""
        return self.read(settings.background_prompts) if settings.background_prompts else None


Question = Callable[[AtHand], Result]


@dataclass(frozen=True)
class Answer(Generic[Result]):
    """A question's result; ``seen`` is of the whole picture, where it was new.

    ``encoded_before`` tells whether the picture had been through the backbone already, ``waited``
    and ``taken`` are seconds in the queue and on the device.
    """

    result: Result
    seen: Seen | None
    encoded_before: bool
    waited: float
    taken: float


class Lab:
    """Asks the model about pictures."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine[ClipResNet],
        live: LiveModels,
        images: Images,
        encoded: EncodedImages,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._live = live
        self._images = images
        self.encoded = encoded
        self._in_work = 0
        self._under_way = UnderWay()

    @asynccontextmanager
    async def place(self, opened: OpenStore) -> AsyncIterator[None]:
        """Hold a place for one request about a picture, from its decoding to its last byte.

        Raises what :meth:`Engine.admit` does, before anything is done.
        """
        self._engine.admit(opened.model_key)
        # The engine bounds what waits for the device; this bounds the uploads held around it.
        if self._in_work > self._settings.queue_bound:
            raise BusyError("The server is busy with other pictures; try again in a few seconds.")
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1

    async def take(self, opened: OpenStore, given: Given) -> schemas.ImageCreated:
        """A new picture, encoded and kept, so that it can be asked about by its id."""
        from backend.clip.encoder import IN_WINDOWS

        async with self.place(opened):
            image, answer = await self.ask(opened, given, IN_WINDOWS, _look, texts=0, methods=0)
            record = await asyncio.to_thread(self._images.keep, opened, image, answer.seen)
        return self._images.created(image, record)

    async def ask(
        self,
        opened: OpenStore,
        given: Given,
        view: EncodingSettings,
        question: Question[Result],
        *,
        texts: int,
        methods: int,
        keeping: bool = True,
    ) -> tuple[OpenImage, Answer[Result]]:
        """Answer one question about a picture, within a place; cancelling it gives it up.

        ``texts`` and ``methods`` say how much work it is, ``keeping`` whether the picture or the
        answer will be kept, for which there must be room before anything is done.  Raises what
        :meth:`Images.receive` does, 422 for too much work, 503 when the device cannot answer now.
        """
        image = await self._images.receive(opened, given, keeping=keeping)
        check_work(
            opened,
            image.pixels.size,
            view,
            native=self._engine.model(opened.model_key).image_size,
            texts=texts,
            methods=methods,
            most=self._settings.max_work,
        )
        clock = Clock()
        encoded = self.encoded.find(image.id, view)
        # Whoever waited may find that the other was cancelled: then it is the next one's turn.
        while encoded is None and await self._under_way.wait(image.id, view):
            encoded = self.encoded.find(image.id, view)
        if encoded is not None:
            work = partial(self._answer, opened, image, view, question, encoded)
            result, seen = await self._engine.run(opened.model_key, work, clock)
        else:
            async with self._under_way.encoding(image.id, view):
                passes = await self._passes(opened, image, view, question)
                result, seen = await self._engine.run(opened.model_key, passes, clock)
        answer = Answer(result, seen, encoded is not None, clock.waited, clock.taken)
        return image, answer

    async def _passes(
        self,
        opened: OpenStore,
        image: OpenImage,
        view: EncodingSettings,
        question: Question[Result],
    ) -> Passes[ClipResNet, Tensor, Tensor, tuple[Result, Seen | None]]:
        # late: importing open_clip takes seconds; whoever gets here has a model
        from backend.clip.encoder import inputs_at_once, prepare_image

        model = self._engine.model(opened.model_key)
        prepared = await asyncio.to_thread(prepare_image, model, image.pixels, view)
        return Passes(
            parts=prepared.inputs,
            run=self._pass,
            most=inputs_at_once(model),
            finish=partial(self._finish, opened, image, view, question, prepared),
        )

    def _pass(self, model: ClipResNet, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Runs on the device's thread, over the inputs of whatever pictures wait."""
        from backend.clip.encoder import pass_inputs

        return pass_inputs(model, inputs, half=self._settings.half)

    def _finish(
        self,
        opened: OpenStore,
        image: OpenImage,
        view: EncodingSettings,
        question: Question[Result],
        prepared: PreparedImage,
        model: ClipResNet,
        features: Sequence[Tensor],
    ) -> tuple[Result, Seen | None]:
        from backend.clip.encoder import encoded_image

        encoded = encoded_image(model, prepared, features)
        encoded.size = image.size
        return self._answer(opened, image, view, question, encoded, model)

    def _answer(
        self,
        opened: OpenStore,
        image: OpenImage,
        view: EncodingSettings,
        question: Question[Result],
        encoded: EncodedImage,
        model: ClipResNet,
    ) -> tuple[Result, Seen | None]:
        """Runs on the device's thread."""
        at_hand = AtHand(opened, opened.segmenter(model), encoded, self._live)
        seen = None if image.token is None else _seen(at_hand, image)
        try:
            return question(at_hand), seen
        finally:
            self.encoded.keep(image.id, view, encoded)


def _look(at_hand: AtHand) -> None:
    """The question of one who only wants a picture to be encoded."""


def _seen(at_hand: AtHand, image: OpenImage) -> Seen:
    from backend.clip.windows import layout

    whole, opened = at_hand.encoded.whole, at_hand.opened
    assert whole is not None
    grid = layout(image.pixels.size, native=at_hand.segmenter.model.image_size)
    return Seen(
        rows=grid.rows,
        columns=grid.columns,
        doubt=opened.familiarity.picture(whole.feature_map[None]).doubt,
        suggestions=opened.words_like(whole.embedding, SUGGESTIONS),
    )
