"""The device's thread: bound, order, deadline, cancellation, loading, drain."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from backend.server.engine import (
    BusyError,
    DeadlineError,
    DrainingError,
    Engine,
    LoadError,
    ModelLoadingError,
    ModelUnavailableError,
)

KEY = "weights"
MODEL = "the model"


class Gate:
    """Work that says when it has begun and waits to be let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self, model: str) -> str:
        self.begun.set()
        assert self.open.wait(10)
        return model


@pytest.fixture
def make() -> Iterator[Callable[..., Engine[str]]]:
    engines: list[Engine[str]] = []

    def started(
        load: Callable[[], str] = lambda: MODEL, *, bound: int = 2, deadline: float = 10
    ) -> Engine[str]:
        engine: Engine[str] = Engine({KEY: load}, queue_bound=bound, deadline=deadline)
        engines.append(engine)
        engine.start()
        return engine

    yield started
    for engine in engines:
        engine.drain(10)


def _ready(engine: Engine[str]) -> Engine[str]:
    assert engine.wait_settled(10)
    return engine


def test_work_runs_on_one_thread_in_order(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=10))
    order: list[int] = []
    threads: set[int] = set()

    def work(place: int) -> Callable[[str], str]:
        def run(model: str) -> str:
            order.append(place)
            threads.add(threading.get_ident())
            return model

        return run

    futures = [engine.submit(KEY, work(place)) for place in range(5)]
    assert [future.result(5) for future in futures] == [MODEL] * 5
    assert order == list(range(5))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_more_than_the_bound_is_refused_at_once(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=2))
    gate = Gate()
    running = engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    waiting = [engine.submit(KEY, lambda model: model) for _ in range(2)]
    with pytest.raises(BusyError) as refused:
        engine.submit(KEY, lambda model: model)
    assert refused.value.retry_after
    gate.open.set()
    assert [future.result(5) for future in (running, *waiting)] == [MODEL] * 3
    assert engine.submit(KEY, lambda model: model).result(5) == MODEL


def test_cancelling_frees_the_place_at_once(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=1))
    gate, ran = Gate(), threading.Event()
    running = engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    given_up = engine.submit(KEY, lambda model: ran.set())
    assert given_up.cancel()
    assert engine.waiting == 0
    kept = engine.submit(KEY, lambda model: model)
    gate.open.set()
    assert kept.result(5) == running.result(5) == MODEL
    assert not ran.is_set()


def test_a_cancelled_coroutine_gives_its_place_up(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=1))
    gate = Gate()
    running = engine.submit(KEY, gate)
    assert gate.begun.wait(5)

    async def give_up() -> None:
        task = asyncio.create_task(engine.run(KEY, lambda model: model))
        await asyncio.sleep(0.05)
        assert engine.waiting == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.waiting == 0

    asyncio.run(give_up())
    gate.open.set()
    assert running.result(5) == MODEL


def test_the_deadline_covers_waiting_and_running(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=3, deadline=0.2))
    gate = Gate()
    running = engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    with pytest.raises(DeadlineError):
        engine.run_blocking(KEY, lambda model: model)
    with pytest.raises(DeadlineError):
        asyncio.run(engine.run(KEY, lambda model: model))
    assert engine.waiting == 0, "late work must not keep its place"
    late = engine.submit(KEY, lambda model: model)
    time.sleep(0.25)
    gate.open.set()
    assert running.result(5) == MODEL
    with pytest.raises(DeadlineError):
        late.result(5)
    assert engine.run_blocking(KEY, lambda model: model) == MODEL


def test_failing_work_harms_nobody_else(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make())

    def fail(model: str) -> str:
        raise ZeroDivisionError(model)

    with pytest.raises(ZeroDivisionError):
        engine.run_blocking(KEY, fail)
    assert engine.run_blocking(KEY, lambda model: model) == MODEL


def test_while_loading_work_is_refused(make: Callable[..., Engine[str]]) -> None:
    gate = threading.Event()

    def load() -> str:
        assert gate.wait(10)
        return MODEL

    engine = make(load)
    assert engine.status(KEY).state == "loading"
    assert not engine.settled
    with pytest.raises(ModelLoadingError) as refused:
        engine.submit(KEY, lambda model: model)
    assert refused.value.retry_after
    gate.set()
    assert _ready(engine).status(KEY).state == "ready"


def test_a_model_that_cannot_be_had_says_why(make: Callable[..., Engine[str]]) -> None:
    def load() -> str:
        raise LoadError("The weights are not there.")

    engine = _ready(make(load))
    assert engine.status(KEY).state == "unavailable"
    with pytest.raises(ModelUnavailableError, match="not there"):
        engine.submit(KEY, lambda model: model)


def test_an_unexpected_failure_of_loading_tells_nothing(make: Callable[..., Engine[str]]) -> None:
    def load() -> str:
        raise RuntimeError("/secret/path")

    status = _ready(make(load)).status(KEY)
    assert status.state == "unavailable"
    assert "/secret" not in (status.message or "")


def test_drain_finishes_what_was_admitted_and_refuses_the_rest(
    make: Callable[..., Engine[str]],
) -> None:
    engine = _ready(make(bound=2))
    gate = Gate()
    running = engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    waiting = engine.submit(KEY, lambda model: model)
    draining = threading.Thread(target=engine.drain, args=(10,))
    draining.start()
    while not engine.draining:
        time.sleep(0.01)
    with pytest.raises(DrainingError):
        engine.submit(KEY, lambda model: model)
    gate.open.set()
    draining.join(10)
    assert running.result(5) == waiting.result(5) == MODEL


def test_drain_gives_up_after_its_time(make: Callable[..., Engine[str]]) -> None:
    engine = _ready(make(bound=2))
    gate = Gate()
    engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    waiting = engine.submit(KEY, lambda model: model)
    engine.drain(0.1)
    with pytest.raises(DrainingError):
        waiting.result(5)
    gate.open.set()


def test_an_unknown_model_is_unavailable(make: Callable[..., Engine[str]]) -> None:
    with pytest.raises(ModelUnavailableError):
        make().submit("other", lambda model: model)
