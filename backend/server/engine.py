"""One thread owns the device; everybody else waits in a bounded queue.

Work is a function of a loaded model.  It is admitted or refused at once (:class:`BusyError`), waits
its turn, is dropped when its requester has gone away or its deadline has passed, and runs alone.
Models are loaded by the same thread, one after the other, while the server already answers whatever
needs none of them.

The engine knows nothing of CLIP or HTTP: ``Model`` is whatever the loader returns.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

log = logging.getLogger(__name__)

Model = TypeVar("Model")
Result = TypeVar("Result")

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


@dataclass(eq=False)
class _Job(Generic[Model]):
    key: str
    work: Callable[[Model], Any]
    expires: float
    future: Future[Any] = field(default_factory=Future)


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
    ) -> None:
        self._loaders = dict(loaders)
        self._queue_bound = queue_bound
        self._deadline = deadline
        self._models: dict[str, Model] = {}
        self._status = {key: LiveStatus("loading", LOADING_MESSAGE) for key in self._loaders}
        self._waiting: deque[_Job[Model]] = deque()
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
        """Jobs in the queue, without the one that runs."""
        return len(self._waiting)

    @property
    def settled(self) -> bool:
        """True once every model is ready or known to be unavailable."""
        return self._settled.is_set()

    @property
    def models_ready(self) -> int:
        """How many models answer."""
        return sum(status.state == "ready" for status in self._status.values())

    def wait_settled(self, timeout: float | None = None) -> bool:
        """Block until every model is ready or known to be unavailable; false on timeout."""
        return self._settled.wait(timeout)

    def admit(self, key: str) -> None:
        """Raise what :meth:`submit` would raise now, before the caller prepares any work."""
        status = self.status(key)
        if self._draining:
            raise DrainingError(DRAINING_MESSAGE)
        if status.state == "loading":
            raise ModelLoadingError(status.message or LOADING_MESSAGE)
        if status.state == "unavailable":
            raise ModelUnavailableError(status.message or "The model is unavailable.")
        if len(self._waiting) >= self._queue_bound:
            raise BusyError(
                f"The server is busy: {self._queue_bound} requests are waiting for the model. "
                "Try again in a few seconds."
            )

    def submit(self, key: str, work: Callable[[Model], Result]) -> Future[Result]:
        """Queue ``work`` for the model ``key``; cancelling the future frees its place at once."""
        job = _Job(key, work, time.monotonic() + self._deadline)
        with self._changed:
            self.admit(key)
            self._waiting.append(job)
            self._changed.notify_all()
        job.future.add_done_callback(lambda _: self._forget(job))
        return job.future

    async def run(self, key: str, work: Callable[[Model], Result]) -> Result:
        """Await the result of ``work``; cancelling the awaiting task gives the place up."""
        future = self.submit(key, work)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            raise self._too_late() from None

    def run_blocking(self, key: str, work: Callable[[Model], Result]) -> Result:
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
            left = list(self._waiting)
            self._waiting.clear()
        for job in left:
            # Not cancel(): to a coroutine that would look as if its own task were cancelled.
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(DrainingError(DRAINING_MESSAGE))

    # The device's thread

    def _run(self) -> None:
        for key, load in self._loaders.items():
            if self._stopped:
                break
            self._load(key, load)
        self._settled.set()
        while (batch := self._next_batch()) is not None:
            for job in batch:
                self._answer(job)
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

    def _next_batch(self) -> list[_Job[Model]] | None:
        """Wait for work; ``None`` when drained.

        A batch is one job as long as jobs are opaque; jobs that can share a pass over the
        backbone would be taken together here.
        """
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait()
            return [self._waiting.popleft()] if self._waiting else None

    def _answer(self, job: _Job[Model]) -> None:
        if not job.future.set_running_or_notify_cancel():
            return
        if time.monotonic() >= job.expires:
            job.future.set_exception(self._too_late())
            return
        try:
            result = job.work(self._models[job.key])
        except BaseException as exc:
            # Whatever happened belongs to the requester; the thread must outlive it.
            job.future.set_exception(exc)
        else:
            job.future.set_result(result)

    def _forget(self, job: _Job[Model]) -> None:
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)

    def _too_late(self) -> DeadlineError:
        return DeadlineError(
            f"The model did not answer within {self._deadline:g} seconds; try again later."
        )
