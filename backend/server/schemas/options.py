"""How prompts are answered: what may be asked, and what an answer says of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from backend.server.schemas.base import Wire

MIN_SHORTER_SIDE = 32
MAX_SHORTER_SIDE = 2048
"""Pixels that a picture is scaled to: one cell of the last block, and the side of the copy that is
kept."""

Method = Literal["pairs", "heads", "neurons", "maskclip", "selfself"]
Mode = Literal["clean", "official"]
Orientation = Literal["sign", "write"]
Centring = Literal["vocabulary", "classes", "background"]
Background = Literal["words", "prompts", "probability", "none"]
View = Literal["windows", "whole"]


def _as_list(value: Any) -> Any:
    """One value is a list of one, as in a form that names a field once."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_as_list)]
Methods = Annotated[list[Method], BeforeValidator(_as_list)]


class SegmentationOptions(Wire):
    """How prompts are answered, as far as all methods have it in common."""

    mode: Mode = Field(
        default="clean",
        description="`official` is the paper's code: with its share of the output bias, and sink "
        "tokens replaced",
    )
    orientation: Orientation = Field(
        default="sign",
        description="whether a pair speaks for its oriented direction, or for what it writes",
    )
    share: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="share of the model's pairs that speak for a prompt; the paper's by default",
    )
    centring: Centring = Field(
        default="vocabulary", description="whose mean is subtracted from every text"
    )
    background: bool | Background = Field(
        default=True,
        description="what a pixel must beat to belong to a prompt: most random `words` (true), "
        "every one of the background `prompts`, a `probability`, or `none` (false)",
    )
    background_prompts: Texts = Field(default=[], description="texts for what is not asked for")
    threshold: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="share of the random words to beat (0.95), or the least probability (0.5)",
    )
    view: View = Field(
        default="windows", description="overlapping windows, or the whole picture in one piece"
    )
    shorter_side: int | None = Field(
        default=None,
        ge=MIN_SHORTER_SIDE,
        le=MAX_SHORTER_SIDE,
        description="pixels that the picture is scaled to; 1.5 native inputs by default",
    )


class SegmentationSettings(Wire):
    """The options that an answer was made with, defaults filled in."""

    mode: Mode
    orientation: Orientation
    share: float
    pairs_per_class: int
    centring: Centring
    background: Background
    background_prompts: list[str]
    threshold: float | None = Field(description="null where the background has none")
    view: View
    shorter_side: int | None
