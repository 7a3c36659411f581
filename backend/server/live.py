"""The models behind the stores: loaded with the weights a store was made with, or not at all."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from backend.server.engine import Engine, LiveStatus, LoadError, Passes, Watcher
from backend.server.settings import Settings
from backend.store import Store

if TYPE_CHECKING:
    from backend.clip import ClipResNet
    from backend.clip.text import ReadTexts

log = logging.getLogger(__name__)

TEXTS_KEPT = 1024
"""Embedded texts that are remembered: at most 4 KB each, so 4 MB a model."""

PROMPT = "\0prompt "
"""Before the text of a prompt, whose commas part synonyms; no text begins like this."""

TEXTS_AT_ONCE = 8
"""Texts of different requests that are embedded together; with 80 templates 640 sentences, a second
of a processor."""

_Place = tuple[str, tuple[str, ...], str]
"""Model, templates and text."""

Load = Callable[[], "ClipResNet"]
"""Loads a model; raises :class:`~backend.server.engine.LoadError`."""

SHOWN_DIGITS = 12
"""Digits of a fingerprint that a sentence shows."""


def engine_for(
    stores: list[Store],
    settings: Settings,
    watcher: Watcher | None = None,
    load: Load | None = None,
) -> Engine[ClipResNet]:
    """An engine that will load the models of ``stores``; stores of the same weights share one.

    A checkpoint holds one model.  With stores of several, those that it does not fit load the
    weights that their own tag names.  ``load`` takes the place of all that.
    """
    several = len({_key(store) for store in stores}) > 1
    sources: list[Path | None] = [settings.checkpoint]
    if several and settings.checkpoint is not None:
        sources.append(None)
    loaders: dict[str, Callable[[], ClipResNet]] = {}
    for store in stores if settings.live else []:
        loaders.setdefault(_key(store), load or _loader(store, sources, settings.device))
    return Engine(
        loaders,
        queue_bound=settings.queue_bound,
        deadline=settings.deadline.total_seconds(),
        watcher=watcher,
    )


class LiveModels:
    """Asks the engine on behalf of a store."""

    def __init__(self, engine: Engine[ClipResNet]) -> None:
        self.engine = engine
        self._texts: OrderedDict[_Place, ReadTexts] = OrderedDict()
        self._lock = threading.Lock()

    def status(self, store: Store) -> LiveStatus:
        """Whether the store's model answers."""
        return self.engine.status(_key(store))

    def read_text(self, store: Store, text: str) -> ReadTexts:
        """One text in the store's own templates; blocks, so call it from a thread."""
        templates = tuple(store.manifest.templates)
        place = (_key(store), templates, text)
        if (known := self._known(place)) is not None:
            return known
        work = Passes([text], _ReadTogether(templates), TEXTS_AT_ONCE, _only)
        found = self.engine.run_blocking(_key(store), work)
        self._remember(place, found)
        return found

    def read_prompts(self, store: Store, model: ClipResNet, prompts: Sequence[str]) -> ReadTexts:
        """Prompts, which may list synonyms; called on the device's thread."""
        templates = tuple(store.manifest.templates)
        places = [(_key(store), templates, f"{PROMPT}{prompt}") for prompt in prompts]
        rows = [self._known(place) for place in places]
        new = [at for at, row in enumerate(rows) if row is None]
        if new:
            found = model.read_prompts([prompts[at] for at in new], templates).cpu()
            for row, at in enumerate(new):
                rows[at] = found.of([row])
                self._remember(places[at], found.of([row]))
        known = [row for row in rows if row is not None]
        return known[0].joined(known[1:])

    def _known(self, place: _Place) -> ReadTexts | None:
        with self._lock:
            if place in self._texts:
                self._texts.move_to_end(place)
            return self._texts.get(place)

    def _remember(self, place: _Place, found: ReadTexts) -> None:
        with self._lock:
            self._texts[place] = found
            while len(self._texts) > TEXTS_KEPT:
                self._texts.popitem(last=False)


@dataclass(frozen=True)
class _ReadTogether:
    """One pass over texts of any requests that have the same templates."""

    templates: tuple[str, ...]

    def __call__(self, model: ClipResNet, texts: Sequence[str]) -> list[ReadTexts]:
        read = model.read_texts(list(texts), self.templates).cpu()
        return [read.of([place]) for place in range(len(texts))]


def _only(model: ClipResNet, read: Sequence[ReadTexts]) -> ReadTexts:
    (found,) = read
    return found


def _key(store: Store) -> str:
    return str(store.manifest.model.weights_sha256)


def _loader(store: Store, sources: list[Path | None], device: str) -> Callable[[], ClipResNet]:
    """Loads the model of ``store`` from the first of ``sources`` that holds its weights.

    A source is a checkpoint, or ``None`` for where the store's own tag leads.  What it raises is
    shown to visitors, so it names no path.
    """

    def load() -> ClipResNet:
        for place, source in enumerate(sources, start=1):
            try:
                model = _load(store, source, device)
            except LoadError as exc:
                if place == len(sources):
                    log.error("%s", exc)
                    raise
                log.info("%s", exc)
            else:
                _warm_up(model)
                return model
        raise AssertionError("a store has at least one source of weights")

    return load


def _load(store: Store, checkpoint: Path | None, device: str) -> ClipResNet:
    # late: importing open_clip takes seconds, during which stored pages are already served
    from backend.clip import ModelError, load_model

    wanted = store.manifest.model
    try:
        model = load_model(
            wanted.architecture, wanted.pretrained, checkpoint=checkpoint, device=device
        )
    except ModelError as exc:
        log.warning("the weights of store %s: %s", store.name, exc)
        raise LoadError(
            f"The weights of {wanted.architecture} could not be loaded, so uploads and free "
            "text cannot be answered; the server's log has the reason."
        ) from exc
    found = model.identity.weights_sha256
    if found != wanted.weights_sha256:
        raise LoadError(
            f"The weights at hand ({found[:SHOWN_DIGITS]}…) are not those that the store "
            f"{store.name} was made with ({wanted.weights_sha256[:SHOWN_DIGITS]}…), so uploads "
            "and free text cannot be answered."
        )
    return model


def _warm_up(model: ClipResNet) -> None:
    """One small pass of each tower, so that no visitor waits for lazy initialisation."""
    model.embed_texts(["a"])
    size = model.image_size
    model.encode_images(torch.zeros(1, 3, size, size))
