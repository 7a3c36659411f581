"""What all bodies have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Wire(BaseModel):
    """Base of all wire objects: frozen, and unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ErrorDetail(Wire):
    status: int = Field(description="HTTP status, 400 to 599")
    code: str = Field(description="machine-readable name, for example `unknown_neuron`")
    message: str = Field(description="one sentence for people, with the allowed range if any")
    request_id: str = Field(description="names the log lines of this request")


class ErrorBody(Wire):
    """The body of every answer that is not a success."""

    error: ErrorDetail
