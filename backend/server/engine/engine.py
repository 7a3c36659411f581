"""One thread owns the device; everybody else waits in a bounded queue.

Work is a function of a loaded model, or :class:`Passes`: parts that can share passes over the
device with the parts of other requests.  It is admitted or refused at once (:class:`BusyError`),
waits its turn, and is dropped when its requester has gone away or its deadline has passed, also
between two of its passes; whoever shares a pass with it does not notice.  Models are loaded by the
same thread, one after the other, while the server already answers whatever needs none of them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import Generic, Literal, Protocol

from backend.server.engine.errors import (
    DRAINING_MESSAGE,
    LOADING_MESSAGE,
    DrainingError,
    LoadError,
    ModelLoadingError,
    ModelUnavailableError,
    too_late,
)
from backend.server.engine.queue import JobQueue
from backend.server.engine.work import Clock, Job, Model, Result, Share, Work, as_passes

log = logging.getLogger(__name__)

State = Literal["ready", "loading", "unavailable"]


@dataclass(frozen=True)
class LiveStatus:
    """Whether a model answers, and why not, in one sentence."""

    state: State
    message: str | None = None


class Watcher(Protocol):
    """Is told what the engine does; called on the device's thread."""

    def passed(self, parts: int) -> None:
        """A pass over the device is done; work that shares none counts one part."""

    def waited(self, seconds: float) -> None:
        """Work has begun after waiting this long."""


class Engine(Generic[Model]):
    """Owns the device's thread, the models on it, and the queue in front of it.

    ``loaders`` gives, for each model's key, the function that loads it (raising
    :class:`LoadError`).  At most ``queue_bound`` jobs wait, and each is answered within
    ``deadline`` seconds of its admission or given up.
    """

    def __init__(
        self,
        loaders: Mapping[str, Callable[[], Model]],
        *,
        queue_bound: int,
        deadline: float,
        watcher: Watcher | None = None,
    ) -> None:
        self._watcher = watcher
        self._loaders = dict(loaders)
        self._queue: JobQueue[Model] = JobQueue(bound=queue_bound, deadline=deadline)
        self._models: dict[str, Model] = {}
        self._status = {key: LiveStatus("loading", LOADING_MESSAGE) for key in self._loaders}
        self._draining = False
        self._settled = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device", daemon=True)

    def start(self) -> None:
        """Begin loading the models; returns at once."""
        self._thread.start()

    def status(self, key: str) -> LiveStatus:
        """State of one model; an unknown key is a model that nobody asked this engine to load."""
        missing = LiveStatus("unavailable", "This server runs without the model's weights.")
        return self._status.get(key, missing)

    @property
    def draining(self) -> bool:
        """True from the moment that no more work is admitted."""
        return self._draining

    @property
    def waiting(self) -> int:
        """Jobs in the queue, without those that have begun."""
        return self._queue.waiting

    @property
    def settled(self) -> bool:
        """True once every model is ready or known to be unavailable."""
        return self._settled.is_set()

    @property
    def models_ready(self) -> int:
        """How many models answer."""
        return sum(status.state == "ready" for status in self._status.values())

    def model(self, key: str) -> Model:
        """A model that answers, for what of it needs no device, on any thread."""
        self._raise_unless_ready(key)
        return self._models[key]

    def wait_settled(self, timeout: float | None = None) -> bool:
        """Block until every model is ready or known to be unavailable; false on timeout."""
        return self._settled.wait(timeout)

    def admit(self, key: str) -> None:
        """Raise what :meth:`submit` would raise now, before the caller prepares any work."""
        if self._draining:
            raise DrainingError(DRAINING_MESSAGE)
        self._raise_unless_ready(key)
        self._queue.check_room()

    def _raise_unless_ready(self, key: str) -> None:
        status = self.status(key)
        if status.state == "loading":
            raise ModelLoadingError(status.message or LOADING_MESSAGE)
        if status.state == "unavailable":
            raise ModelUnavailableError(status.message or "The model is unavailable.")

    def submit(
        self, key: str, work: Work[Model, Result], clock: Clock | None = None
    ) -> Future[Result]:
        """Queue ``work`` for the model ``key``; cancelling the future frees its place at once.

        ``clock`` is set while the work waits and runs.
        """
        self.admit(key)
        expires = time.monotonic() + self._queue.deadline
        job = Job(key, as_passes(work), expires, clock or Clock())
        self._queue.add(job)
        return job.future

    async def run(self, key: str, work: Work[Model, Result], clock: Clock | None = None) -> Result:
        """Await the result of ``work``; cancelling the awaiting task gives the place up."""
        future = self.submit(key, work, clock)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._queue.deadline)
        except TimeoutError:
            raise too_late(self._queue.deadline) from None

    def run_blocking(self, key: str, work: Work[Model, Result]) -> Result:
        """Like :meth:`run`, for callers on a worker thread."""
        future = self.submit(key, work)
        try:
            return future.result(self._queue.deadline)
        except FutureTimeoutError:
            future.cancel()
            raise too_late(self._queue.deadline) from None

    def refuse(self) -> None:
        """Admit nothing more.  Takes no lock, so that a signal handler may call it."""
        self._draining = True

    def drain(self, timeout: float) -> None:
        """Admit nothing more, let admitted work finish, and stop the thread.

        What has not begun after ``timeout`` seconds is refused; what runs then is left behind on
        its daemon thread.
        """
        self.refuse()
        ends = time.monotonic() + timeout
        self._queue.close()
        if self._thread.is_alive():
            self._thread.join(max(0.0, ends - time.monotonic()))
        for job in self._queue.clear():
            # Not cancel(): to a coroutine that would look as if its own task were cancelled.
            job.fail(DrainingError(DRAINING_MESSAGE))

    # The device's thread

    def _run(self) -> None:
        for key, load in self._loaders.items():
            if self._queue.closed:
                break
            self._load(key, load)
        self._settled.set()
        while (batch := self._queue.take()) is not None:
            self._answer(batch)
            # A finished job holds its image: do not keep it until the next one comes.
            batch.clear()

    def _load(self, key: str, load: Callable[[], Model]) -> None:
        started = time.monotonic()
        try:
            self._models[key] = load()
        except LoadError as exc:
            self._status[key] = LiveStatus("unavailable", str(exc))
        except Exception:
            log.exception("a model could not be loaded")
            message = "The model could not be loaded; the server's log has the reason."
            self._status[key] = LiveStatus("unavailable", message)
        else:
            log.info("model loaded in %.1f s", time.monotonic() - started)
            self._status[key] = LiveStatus("ready")

    def _answer(self, batch: Sequence[Share[Model]]) -> None:
        if self._watcher is not None:
            self._tell(self._watcher, batch)
        self._pass(batch)
        for job, _ in batch:
            if not job.future.done() and len(job.outputs) == len(job.work.parts):
                self._finish(job)

    def _tell(self, watcher: Watcher, batch: Sequence[Share[Model]]) -> None:
        for job, places in batch:
            if places.start == 0:
                watcher.waited(job.clock.waited)
        watcher.passed(sum(len(places) for _, places in batch))

    def _pass(self, batch: Sequence[Share[Model]]) -> None:
        """One pass over the parts of all; if it fails, each runs alone, and fails alone."""
        first, _ = batch[0]
        parts = [job.work.parts[place] for job, places in batch for place in places]
        started = time.monotonic()
        try:
            outputs = first.work.run(self._models[first.key], parts)
            placed = [(job, place) for job, places in batch for place in places]
            found = list(zip(placed, outputs, strict=True))
        except BaseException as exc:
            # Whatever happened belongs to the requester; the thread must outlive it.
            if len(batch) == 1:
                first.fail(exc)
                return
            for share in batch:
                self._pass([share])
            return
        each = (time.monotonic() - started) / len(parts)
        for (job, place), output in found:
            job.outputs[place] = output
            job.clock.taken += each

    def _finish(self, job: Job[Model]) -> None:
        """Answer a job whose parts are all done, unless nobody waits for it any more."""
        outputs = [job.outputs[place] for place in range(len(job.work.parts))]
        started = time.monotonic()
        try:
            result = job.work.finish(self._models[job.key], outputs)
        except BaseException as exc:
            job.fail(exc)
            return
        job.clock.taken += time.monotonic() - started
        if job.claim():
            job.future.set_result(result)
