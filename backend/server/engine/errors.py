"""Why the device cannot answer now."""

from __future__ import annotations

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


def too_late(deadline: float) -> DeadlineError:
    """What is raised when an answer took longer than ``deadline`` seconds."""
    return DeadlineError(f"The model did not answer within {deadline:g} seconds; try again later.")
