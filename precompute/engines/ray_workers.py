"""Segments on Ray: workers on this machine or on the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch

from backend.allocator import keep_freed_memory
from precompute.engines.local import LocalEngine, replica
from precompute.errors import InputError
from precompute.stages.collect import Task
from precompute.stages.segments import Block, Segment

SEGMENTS_AHEAD = 1
"""Finished segments that may wait for a slower one: up to 350 MB each for RN50x16."""

RETRIES = 5
"""How often a segment is given out again when its worker dies."""

STARTS = 3
"""Trials: on a busy machine Ray's own processes may be too slow for each other's deadlines."""


class RayEngine:
    """Computes segments in Ray's workers; each has the model and reads its images by itself.

    The images must be found under the same path by all workers.  A worker that dies is started
    again and its segment with it.

    Raises:
        InputError: Ray is not installed, or there is no worker.
    """

    def __init__(self, workers: int) -> None:
        if workers < 1:
            raise InputError(f"--workers must be at least 1, got {workers}")
        self._ray = _library()
        self.workers = self.processes = workers

    def segments(
        self, task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
    ) -> Iterator[Segment]:
        """The wanted segments, in order (see ``precompute.stages.collect.Engine``)."""
        if not wanted:
            return
        known.clear()  # the first blocks are cheaper to compute again than to send
        ray = self._ray
        with _connected(ray, self.workers):
            device = task.model.device.type
            shared = ray.put(
                replace(task, model=replica(task.model, "cpu"), edges=task.edges.cpu())
            )
            hire = ray.remote(_Worker).options(
                num_cpus=1,
                num_gpus=1 if device == "cuda" else 0,
                max_restarts=-1,
                max_task_retries=RETRIES,
                runtime_env={"env_vars": {"OMP_NUM_THREADS": str(task.plan.threads)}},
            )
            workers = [hire.remote(shared, device) for _ in range(min(self.workers, len(wanted)))]
            for segment in self._in_order(workers, wanted):
                watch(Block(segment.numbers, segment.told, None))
                yield segment

    def _in_order(self, workers: list[Any], wanted: range) -> Iterator[Segment]:
        """Hands segments to whoever is free, and gives them back in their order."""
        ray = self._ray
        idle = deque(workers)
        running: dict[Any, Any] = {}
        waiting: deque[Any] = deque()
        left = deque(wanted)
        while left or waiting:
            while left and idle and len(waiting) < len(workers) + SEGMENTS_AHEAD:
                worker = idle.popleft()
                result = worker.compute.remote(left.popleft())
                running[result] = worker
                waiting.append(result)
            done, _ = ray.wait([*running], num_returns=1) if running else ([], None)
            for result in done:
                idle.append(running.pop(result))
            while waiting and waiting[0] not in running:
                yield self._get(waiting.popleft())

    def _get(self, result: Any) -> Segment:
        try:
            segment: Segment = self._ray.get(result)
        except self._ray.exceptions.RayActorError as error:
            raise InputError(
                f"a Ray worker died {RETRIES + 1} times over the same images; look at Ray's log, "
                "and go on with --resume"
            ) from error
        return segment


class _Worker:
    """Lives in a process of Ray's."""

    def __init__(self, task: Task, device: str) -> None:
        keep_freed_memory()
        # Before any work: sums depend on the number of threads, and Ray gives one per processor
        # that was asked for.
        torch.set_num_threads(task.plan.threads)
        model = replica(task.model, device)
        self._task = replace(task, model=model, edges=task.edges.to(model.device))

    def compute(self, number: int) -> Segment:
        torch.set_num_threads(self._task.plan.threads)
        wanted = range(number, number + 1)
        segment = next(LocalEngine().segments(self._task, wanted, {}, lambda block: None))
        return replace(segment, statistics=segment.statistics.to("cpu"))


@contextmanager
def _connected(ray: ModuleType, workers: int) -> Iterator[None]:
    """Ray on this machine, or the cluster that RAY_ADDRESS names; left as it was found."""
    if ray.is_initialized():
        yield
        return
    try:
        _start(ray, workers)
        yield
    finally:
        ray.shutdown()


def _start(ray: ModuleType, workers: int) -> None:
    here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "address": "local"}
    for trial in range(STARTS):
        try:
            ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR", **here)
        except Exception as error:  # Ray raises whatever its parts do
            ray.shutdown()
            if trial == STARTS - 1:
                raise InputError(f"Ray cannot be started: {_first_line(error)}") from error
        else:
            return


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _library() -> ModuleType:
    try:
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            "--engine ray needs the library `ray`: pip install 'pairscope[ray]'"
        ) from error
