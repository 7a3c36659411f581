"""One thread owns the device; everybody else waits in a bounded queue.

Work is a function of a loaded model, or :class:`Passes`: parts that can share passes over the
device with the parts of other requests.  It is admitted or refused at once (:class:`BusyError`),
waits its turn, and is dropped when its requester has gone away or its deadline has passed, also
between two of its passes; whoever shares a pass with it does not notice.  Models are loaded by the
same thread, one after the other, while the server already answers whatever needs none of them.

The engine knows nothing of CLIP or HTTP: ``Model`` is whatever the loader returns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

log = logging.getLogger(__name__)

Model = TypeVar("Model")
Result = TypeVar("Result")
Part = TypeVar("Part")
Output = TypeVar("Output")

State = Literal["ready", "loading", "unavailable"]

LOADING_RETRY_SECONDS = 10
"""Suggested wait while weights are read: tens of seconds for the largest model on a slow disk."""

LOADING_MESSAGE = "The model's weights are being loaded; try again in a moment."
DRAINING_MESSAGE = "The server is shutting down; try again in a moment."


class EngineError(RuntimeError):
    """The device cannot answer now.  ``str()`` is one sentence for people."""

    code = "engine_error"
    retry_after: int | None = None
    """Seconds after which it is worth trying again; ``None`` when it is not."""


class BusyError(EngineError):
    code = "busy"
    retry_after = 5


class DrainingError(EngineError):
    code = "shutting_down"
    retry_after = 30


class DeadlineError(EngineError):
    code = "deadline_exceeded"
    retry_after = 10


class ModelLoadingError(EngineError):
    code = "model_loading"
    retry_after = LOADING_RETRY_SECONDS


class ModelUnavailableError(EngineError):
    code = "model_unavailable"


class LoadError(Exception):
    """A model cannot be had; ``str()`` is one sentence for people.  Raised by loaders."""


@dataclass(frozen=True)
class LiveStatus:
    """Whether a model answers, and why not, in one sentence."""

    state: State
    message: str | None = None


@dataclass(frozen=True)
class Passes(Generic[Model, Part, Output, Result]):
    """Work in parts that can share passes over the device.

    Attributes:
        parts: at least one.
        run: one pass over parts, an output for each; works of one model share passes if and only if
            their ``run`` is equal.
        most: parts that a pass takes at most.
        finish: what is made of all outputs, in the order of the parts, on the device's thread.
    """

    parts: Sequence[Part]
    run: Callable[[Model, Sequence[Part]], Sequence[Output]]
    most: int
    finish: Callable[[Model, Sequence[Output]], Result]


@dataclass
class Clock:
    """The seconds that work waited for the device and took on it; of a shared pass, its part."""

    waited: float = 0.0
    taken: float = 0.0


class Watcher(Protocol):
    """Is told what the engine does; called on the device's thread."""

    def passed(self, parts: int) -> None:
        """A pass over the device is done; work that shares none counts one part."""

    def waited(self, seconds: float) -> None:
        """Work has begun after waiting this long."""


@dataclass(eq=False)
class _Job(Generic[Model]):
    key: str
    work: Passes[Model, Any, Any, Any]
    expires: float
    clock: Clock
    future: Future[Any] = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    begun: bool = False
    taken_parts: int = 0
    outputs: dict[int, Any] = field(default_factory=dict)

    def shares(self, other: _Job[Model]) -> bool:
        """Whether parts of both can go into one pass."""
        return (self.key, self.work.run) == (other.key, other.work.run)

    def claim(self) -> bool:
        """Make the future ours to answer; false when it was cancelled or has its answer."""
        return not self.future.done() and self.future.set_running_or_notify_cancel()

    def fail(self, exc: BaseException) -> None:
        """Give up, unless the requester did so first."""
        if self.claim():
            self.future.set_exception(exc)


_Share = tuple[_Job[Model], range]
"""A job's part in a pass: the places of those of its parts that go into it."""


Work = Callable[[Model], Result] | Passes[Model, Any, Any, Result]


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
        self._queue_bound = queue_bound
        self._deadline = deadline
        self._models: dict[str, Model] = {}
        self._status = {key: LiveStatus("loading", LOADING_MESSAGE) for key in self._loaders}
        self._jobs: list[_Job[Model]] = []
        """In the order of their arrival: all that wait, and those with passes to come."""
        self._changed = threading.Condition()
        self._draining = False
        self._stopped = False
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
        return sum(not job.begun for job in tuple(self._jobs))

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
        if self.waiting >= self._queue_bound:
            raise BusyError(
                f"The server is busy: {self._queue_bound} requests are waiting for the model. "
                "Try again in a few seconds."
            )

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
        job = _Job(key, _as_passes(work), time.monotonic() + self._deadline, clock or Clock())
        with self._changed:
            self.admit(key)
            self._jobs.append(job)
            self._changed.notify_all()
        job.future.add_done_callback(lambda _: self._forget(job))
        return job.future

    async def run(self, key: str, work: Work[Model, Result], clock: Clock | None = None) -> Result:
        """Await the result of ``work``; cancelling the awaiting task gives the place up."""
        future = self.submit(key, work, clock)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            raise self._too_late() from None

    def run_blocking(self, key: str, work: Work[Model, Result]) -> Result:
        """Like :meth:`run`, for callers on a worker thread."""
        future = self.submit(key, work)
        try:
            return future.result(self._deadline)
        except FutureTimeoutError:
            future.cancel()
            raise self._too_late() from None

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
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join(max(0.0, ends - time.monotonic()))
        with self._changed:
            left = list(self._jobs)
            self._jobs.clear()
        for job in left:
            # Not cancel(): to a coroutine that would look as if its own task were cancelled.
            job.fail(DrainingError(DRAINING_MESSAGE))

    # The device's thread

    def _run(self) -> None:
        for key, load in self._loaders.items():
            if self._stopped:
                break
            self._load(key, load)
        self._settled.set()
        while (batch := self._next_batch()) is not None:
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

    def _next_batch(self) -> list[_Share[Model]] | None:
        """Wait for work; ``None`` when drained."""
        with self._changed:
            while True:
                self._drop_late()
                if self._jobs:
                    return self._take()
                if self._stopped:
                    return None
                self._changed.wait()

    def _take(self) -> list[_Share[Model]]:
        """Parts of the oldest job, and, as far as the pass has room, of those that can share it."""
        first = self._jobs[0]
        room = first.work.most
        batch: list[_Share[Model]] = []
        for job in self._jobs:
            places = range(job.taken_parts, min(len(job.work.parts), job.taken_parts + room))
            if places and job.shares(first):
                self._begin(job)
                job.taken_parts = places.stop
                room -= len(places)
                batch.append((job, places))
        return batch

    def _begin(self, job: _Job[Model]) -> None:
        if not job.begun:
            job.begun = True
            job.clock.waited = time.monotonic() - job.submitted
            if self._watcher is not None:
                self._watcher.waited(job.clock.waited)

    def _drop_late(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs):
            if now >= job.expires:
                job.fail(self._too_late())

    def _answer(self, batch: Sequence[_Share[Model]]) -> None:
        if self._watcher is not None:
            self._watcher.passed(sum(len(places) for _, places in batch))
        self._pass(batch)
        for job, _ in batch:
            if not job.future.done() and len(job.outputs) == len(job.work.parts):
                self._finish(job)

    def _pass(self, batch: Sequence[_Share[Model]]) -> None:
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

    def _finish(self, job: _Job[Model]) -> None:
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

    def _forget(self, job: _Job[Model]) -> None:
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)

    def _too_late(self) -> DeadlineError:
        return DeadlineError(
            f"The model did not answer within {self._deadline:g} seconds; try again later."
        )


def _as_passes(work: Work[Model, Result]) -> Passes[Model, Any, Any, Result]:
    """Work that shares nothing as one part that fills a pass."""
    if isinstance(work, Passes):
        return work
    return Passes(parts=(work,), run=_alone, most=1, finish=_only)


def _alone(model: Model, works: Sequence[Callable[[Model], Result]]) -> list[Result]:
    return [work(model) for work in works]


def _only(model: object, outputs: Sequence[Result]) -> Result:
    (output,) = outputs
    return output
