"""The device's thread: bound, order, deadline, cancellation, loading, drain."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError

import pytest

from backend.server.engine import (
    BusyError,
    Clock,
    DeadlineError,
    DrainingError,
    Engine,
    LoadError,
    ModelLoadingError,
    ModelUnavailableError,
    Passes,
    Watcher,
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
        load: Callable[[], str] = lambda: MODEL,
        *,
        bound: int = 2,
        deadline: float = 10,
        watcher: Watcher | None = None,
    ) -> Engine[str]:
        engine: Engine[str] = Engine(
            {KEY: load}, queue_bound=bound, deadline=deadline, watcher=watcher
        )
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


class Device:
    """Passes over numbers that are told by name, in batches, and can be stopped in between."""

    def __init__(self, most: int = 4) -> None:
        self.most = most
        self.passes: list[list[str]] = []
        self.before_pass: Callable[[], None] = lambda: None

    def run(self, model: str, parts: Sequence[str]) -> list[str]:
        self.before_pass()
        self.passes.append(list(parts))
        if "bad" in parts:
            raise ZeroDivisionError
        return [f"{part}!" for part in parts]

    def work(self, name: str, parts: int) -> Passes[str, str, str, str]:
        """Work of so many parts; its result is all outputs in order."""
        return self.of([f"{name}{place}" for place in range(parts)])

    def of(self, parts: Sequence[str]) -> Passes[str, str, str, str]:
        return Passes(parts, self.run, self.most, _joined)


def _joined(model: str, outputs: Sequence[str]) -> str:
    return " ".join(outputs)


def _held(engine: Engine[str]) -> Gate:
    """Keeps the device busy, so that what is submitted now waits together."""
    gate = Gate()
    engine.submit(KEY, gate)
    assert gate.begun.wait(5)
    return gate


def test_parts_of_several_requests_share_passes(make: Callable[..., Engine[str]]) -> None:
    engine, device = _ready(make(bound=10)), Device()
    gate = _held(engine)
    clock = Clock()
    futures = [
        engine.submit(KEY, device.work("a", 3), clock),
        engine.submit(KEY, device.work("b", 2)),
        engine.submit(KEY, device.work("c", 4)),
    ]
    gate.open.set()
    results = [future.result(5) for future in futures]
    assert results == ["a0! a1! a2!", "b0! b1!", "c0! c1! c2! c3!"]
    assert device.passes == [["a0", "a1", "a2", "b0"], ["b1", "c0", "c1", "c2"], ["c3"]]
    assert clock.waited > 0
    assert clock.taken > 0


def test_other_work_is_not_passed_over(make: Callable[..., Engine[str]]) -> None:
    """What came later may fill a pass, but not hold up what came before it."""
    engine, device = _ready(make(bound=10)), Device()
    gate = _held(engine)
    first = engine.submit(KEY, device.work("a", 3))
    alone = engine.submit(KEY, lambda model: len(device.passes))
    later = engine.submit(KEY, device.work("b", 6))
    gate.open.set()
    assert first.result(5)
    assert later.result(5)
    assert alone.result(5) == 1
    assert device.passes[0] == ["a0", "a1", "a2", "b0"]


def test_works_of_other_passes_are_not_mixed(make: Callable[..., Engine[str]]) -> None:
    engine, device, other = _ready(make(bound=10)), Device(), Device()
    gate = _held(engine)
    futures = [engine.submit(KEY, each.work("a", 2)) for each in (device, other, device)]
    gate.open.set()
    assert {future.result(5) for future in futures} == {"a0! a1!"}
    assert (len(device.passes), len(other.passes)) == (1, 1)


def test_cancelling_inside_a_batch_does_not_hurt_its_mates(
    make: Callable[..., Engine[str]],
) -> None:
    engine, device = _ready(make(bound=10)), Device()
    gate = _held(engine)
    gone = engine.submit(KEY, device.work("a", 6))
    mate = engine.submit(KEY, device.work("b", 5))
    # In the second pass, which both share.
    device.before_pass = lambda: gone.cancel() if len(device.passes) == 1 else None
    gate.open.set()
    assert mate.result(5) == "b0! b1! b2! b3! b4!"
    assert gone.cancelled()
    assert device.passes == [["a0", "a1", "a2", "a3"], ["a4", "a5", "b0", "b1"], ["b2", "b3", "b4"]]
    assert engine.waiting == 0


def test_what_is_cancelled_between_passes_runs_no_further(
    make: Callable[..., Engine[str]],
) -> None:
    engine, device = _ready(make(bound=10)), Device()
    gone = engine.submit(KEY, device.work("a", 400))
    device.before_pass = lambda: gone.cancel() if len(device.passes) == 2 else None
    with pytest.raises(CancelledError):
        gone.result(5)
    assert engine.submit(KEY, device.work("b", 1)).result(5) == "b0!"
    assert len(device.passes) == 4


def test_a_pass_that_fails_fails_for_the_guilty_alone(make: Callable[..., Engine[str]]) -> None:
    engine, device = _ready(make(bound=10)), Device()
    gate = _held(engine)
    futures = [engine.submit(KEY, device.of(parts)) for parts in (["a"], ["bad"], ["c", "d"])]
    gate.open.set()
    assert futures[0].result(5) == "a!"
    assert futures[2].result(5) == "c! d!"
    with pytest.raises(ZeroDivisionError):
        futures[1].result(5)


def test_the_deadline_holds_between_passes(make: Callable[..., Engine[str]]) -> None:
    engine, device = _ready(make(deadline=0.1)), Device(most=1)
    device.before_pass = lambda: time.sleep(0.02)
    with pytest.raises(DeadlineError):
        engine.submit(KEY, device.work("a", 1000)).result(5)
    assert len(device.passes) < 20


def test_what_is_done_is_freed_without_a_collector(make: Callable[..., Engine[str]]) -> None:
    """Parts and outputs are large, and a collector counts objects, not bytes."""

    class Large:
        pass

    def look() -> tuple[Passes[str, Large, Large, str], list[weakref.ref[Large]]]:
        part, output = Large(), Large()
        held = [weakref.ref(part), weakref.ref(output)]
        outputs = [output]
        del output
        passes = Passes(
            parts=(part,), run=lambda *_: [outputs.pop()], most=1, finish=lambda model, _: model
        )
        return passes, held

    engine = _ready(make())
    collected = gc.isenabled()
    gc.disable()
    try:
        for ask in (
            lambda passes: engine.submit(KEY, passes).result(10),
            lambda passes: engine.run_blocking(KEY, passes),
            lambda passes: asyncio.run(engine.run(KEY, passes)),
        ):
            passes, held = look()
            assert ask(passes) == MODEL
            del passes
            engine.run_blocking(KEY, str)  # the one before is let go
            assert [one() for one in held] == [None, None]
    finally:
        if collected:
            gc.enable()


def test_drain_finishes_all_passes_of_what_was_admitted(make: Callable[..., Engine[str]]) -> None:
    engine, device = _ready(make(bound=10)), Device(most=1)
    gate = _held(engine)
    waiting = engine.submit(KEY, device.work("a", 5))
    draining = threading.Thread(target=engine.drain, args=(10,))
    draining.start()
    while not engine.draining:
        time.sleep(0.01)
    gate.open.set()
    assert waiting.result(5) == "a0! a1! a2! a3! a4!"
    draining.join(10)
    assert not draining.is_alive()


def test_a_watcher_hears_of_passes_and_waiting(make: Callable[..., Engine[str]]) -> None:
    heard: list[object] = []

    class Ears:
        def passed(self, parts: int) -> None:
            heard.append(parts)

        def waited(self, seconds: float) -> None:
            heard.append("waited")

    engine, device = _ready(make(bound=10, watcher=Ears())), Device()
    assert engine.run_blocking(KEY, device.work("a", 5))
    assert engine.run_blocking(KEY, lambda model: model)
    assert heard == ["waited", 4, 1, "waited", 1]
