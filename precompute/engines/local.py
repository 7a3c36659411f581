"""Segments on this machine: one device, or several with a thread each."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from queue import SimpleQueue

import torch

from backend.clip import ClipResNet
from precompute.stages.collect import Task
from precompute.stages.segments import Block, Segment, compute_segment, decomposed

SEGMENTS_AHEAD = 1
"""Finished segments that may wait for a slower one: up to 350 MB each for RN50x16."""


class LocalEngine:
    """Computes segments in this process.

    Args:
        devices: one for each worker, the model's own first; none for the model's own alone.
    """

    def __init__(self, devices: tuple[str, ...] = ()) -> None:
        self._devices = devices
        self.workers = max(1, len(devices))
        self.processes = 0

    def segments(
        self, task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
    ) -> Iterator[Segment]:
        """The wanted segments, in order (see ``precompute.stages.collect.Engine``)."""
        if len(self._devices) > 1:
            return self._on_several(task, wanted, known, watch)
        return _on_one(task, wanted, known, watch)

    def _on_several(
        self, task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
    ) -> Iterator[Segment]:
        models: SimpleQueue[ClipResNet] = SimpleQueue()
        for device in self._devices:
            models.put(replica(task.model, device))
        one_at_a_time = threading.Lock()

        def watch_safely(block: Block) -> None:
            with one_at_a_time:
                watch(block)

        def compute(number: int) -> Segment:
            # OpenMP's thread count is a thread's own, and sums depend on it.
            torch.set_num_threads(task.plan.threads)
            model = models.get()
            try:
                mine = Task(model, task.images, task.plan, task.edges.to(model.device))
                # Known blocks lie on the first device.
                mine_known = known if model is task.model else {}
                return next(_on_one(mine, range(number, number + 1), mine_known, watch_safely))
            finally:
                models.put(model)

        workers = len(self._devices)
        waiting: deque[Future[Segment]] = deque()
        with ThreadPoolExecutor(workers) as pool:
            try:
                for number in wanted:
                    waiting.append(pool.submit(compute, number))
                    if len(waiting) >= workers + SEGMENTS_AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def _on_one(
    task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
) -> Iterator[Segment]:
    """Segments one after the other; images of the next are decoded while one is computed."""
    plan = task.plan
    missing = [part for number in wanted for part in plan.blocks(number) if part.start not in known]
    fresh = decomposed(task.model, task.images, missing)

    def block(part: range) -> Block:
        found = known.pop(part.start, None)
        return next(fresh) if found is None else found

    for number in wanted:
        blocks = (block(part) for part in plan.blocks(number))
        yield compute_segment(task.model, blocks, plan, task.edges, watch)


def replica(model: ClipResNet, device: str) -> ClipResNet:
    """The model on another device; a model that only reads its weights is shared on its own."""
    if torch.device(device) == model.device:
        return model
    return ClipResNet(deepcopy(model.model), model.identity, model.preprocessing, device)
