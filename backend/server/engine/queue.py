"""The bounded queue in front of the device."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Generic

from backend.server.engine.errors import (
    DRAINING_MESSAGE,
    BusyError,
    DrainingError,
    too_late,
)
from backend.server.engine.work import Job, Model, Share


class JobQueue(Generic[Model]):
    """Jobs in the order of their arrival: all that wait, and those with passes to come.

    At most ``bound`` of them wait; each is answered within ``deadline`` seconds of its admission or
    given up.
    """

    def __init__(self, *, bound: int, deadline: float) -> None:
        self.deadline = deadline
        self._bound = bound
        self._jobs: list[Job[Model]] = []
        self._changed = threading.Condition()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more is taken in."""
        return self._closed

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return sum(not job.begun for job in tuple(self._jobs))

    def check_room(self) -> None:
        """Raise :class:`BusyError` when one more would be too many."""
        if self.waiting >= self._bound:
            raise BusyError(
                f"The server is busy: {self._bound} requests are waiting for the model. "
                "Try again in a few seconds."
            )

    def add(self, job: Job[Model]) -> None:
        """Take a job in, until it is done; raises when there is no room or the queue is closed."""
        with self._changed:
            if self._closed:
                raise DrainingError(DRAINING_MESSAGE)
            self.check_room()
            self._jobs.append(job)
            self._changed.notify_all()
        # Not with the job itself: a future keeps its callbacks, and the job, with all outputs of
        # its passes, would live in a circle with it until a collector comes.
        job.future.add_done_callback(self._forget)

    def take(self) -> list[Share[Model]] | None:
        """Wait for work, and begin what fits into one pass; ``None`` when closed and empty."""
        with self._changed:
            while True:
                self._drop_late()
                if self._jobs:
                    return self._next_pass()
                if self._closed:
                    return None
                self._changed.wait()

    def close(self) -> None:
        """Take nothing more in."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def clear(self) -> list[Job[Model]]:
        """Give up all jobs that are left, and return them."""
        with self._changed:
            left = list(self._jobs)
            self._jobs.clear()
        return left

    def _next_pass(self) -> list[Share[Model]]:
        """Parts of the oldest job, and, as far as the pass has room, of those that can share it."""
        first = self._jobs[0]
        room = first.work.most
        batch: list[Share[Model]] = []
        for job in self._jobs:
            places = range(job.taken_parts, min(len(job.work.parts), job.taken_parts + room))
            if places and job.shares(first):
                if not job.begun:
                    job.begin()
                job.taken_parts = places.stop
                room -= len(places)
                batch.append((job, places))
        return batch

    def _drop_late(self) -> None:
        now = time.monotonic()
        for job in list(self._jobs):
            if now >= job.expires:
                job.fail(too_late(self.deadline))

    def _forget(self, future: Future[Any]) -> None:
        with self._changed:
            self._jobs = [job for job in self._jobs if job.future is not future]
