"""What the device is asked to do: whole functions, or parts that share passes with others'."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Model = TypeVar("Model")
Result = TypeVar("Result")
Part = TypeVar("Part")
Output = TypeVar("Output")


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


Work = Callable[[Model], Result] | Passes[Model, Any, Any, Result]


@dataclass(eq=False)
class Job(Generic[Model]):
    """Work in the queue: until when it may be answered, how far it is, and who waits for it."""

    key: str
    work: Passes[Model, Any, Any, Any]
    expires: float
    clock: Clock
    future: Future[Any] = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)
    begun: bool = False
    taken_parts: int = 0
    outputs: dict[int, Any] = field(default_factory=dict)

    def shares(self, other: Job[Model]) -> bool:
        """Whether parts of both can go into one pass."""
        return (self.key, self.work.run) == (other.key, other.work.run)

    def begin(self) -> None:
        """Its first parts run now."""
        self.begun = True
        self.clock.waited = time.monotonic() - self.submitted

    def claim(self) -> bool:
        """Make the future ours to answer; false when it was cancelled or has its answer."""
        return not self.future.done() and self.future.set_running_or_notify_cancel()

    def fail(self, exc: BaseException) -> None:
        """Give up, unless the requester did so first."""
        if self.claim():
            self.future.set_exception(exc)


Share = tuple[Job[Model], range]
"""A job's part in a pass: the places of those of its parts that go into it."""


def as_passes(work: Work[Model, Result]) -> Passes[Model, Any, Any, Result]:
    """Work that shares nothing as one part that fills a pass."""
    if isinstance(work, Passes):
        return work
    return Passes(parts=(work,), run=_alone, most=1, finish=_only)


def _alone(model: Model, works: Sequence[Callable[[Model], Result]]) -> list[Result]:
    return [work(model) for work in works]


def _only(model: object, outputs: Sequence[Result]) -> Result:
    (output,) = outputs
    return output
