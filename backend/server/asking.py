"""What may be asked about a picture: prompts and options, checked and bounded before any work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from backend.server import schemas
from backend.server.errors import ApiError, invalid
from backend.server.open_store import OpenStore
from backend.server.text import check_text

if TYPE_CHECKING:
    from backend.clip.encoder import EncodingSettings
    from backend.clip.options import SegmentationSettings


def check_prompts(prompts: Sequence[str], *, what: str = "prompts") -> list[str]:
    """Prompts with white space folded; 422 when they cannot be used, with the bound in the text."""
    if not prompts:
        raise invalid("prompts", "Give at least one prompt.")
    if len(prompts) > schemas.MAX_PROMPTS:
        raise invalid(
            "prompts", f"At most {schemas.MAX_PROMPTS} {what} are taken, not {len(prompts)}."
        )
    texts = [check_text("prompts", "A prompt", p, schemas.MAX_PROMPT_CHARACTERS) for p in prompts]
    if len({text.casefold() for text in texts}) < len(texts):
        raise invalid("prompts", "Every prompt may be given only once.")
    return texts


def settings_of(
    asked: schemas.SegmentationOptions, methods: Sequence[schemas.Method]
) -> list[SegmentationSettings]:
    """The engine's settings, one a method; 422 for what cannot be meant.

    Call it when there is a model: it imports what models need.
    """
    from backend.clip.options import SegmentationSettings

    if not methods:
        raise invalid("settings", "Give at least one method.")
    if len(set(methods)) < len(methods):
        raise invalid("settings", "Every method may be given only once.")
    given = asked.model_dump(include={"mode", "orientation", "centring", "threshold"})
    if asked.share is not None:
        given["share"] = asked.share
    behind = asked.background_prompts
    given["background_prompts"] = tuple(
        check_prompts(behind, what="background prompts") if behind else ()
    )
    named = {True: "words", False: "none"}
    background = asked.background
    given["background"] = named[background] if isinstance(background, bool) else background
    try:
        return [SegmentationSettings(method=method, **given) for method in methods]
    except ValueError as exc:
        raise unusable(exc) from None


def view_of(
    asked: schemas.SegmentationOptions,
) -> EncodingSettings:
    """How the picture is shown to the backbone."""
    from backend.clip.encoder import EncodingSettings

    return EncodingSettings(view=asked.view, shorter_side=asked.shorter_side)


def check_work(
    opened: OpenStore,
    size: tuple[int, int],
    view: EncodingSettings,
    *,
    native: int,
    texts: int,
    methods: int,
    most: int,
) -> None:
    """Raise 422 when windows x texts x templates x methods is above ``most``.

    ``size`` is (width, height) of the picture, ``native`` the side of the model's own input; a
    picture in one piece counts as the windows that have as many cells.
    """
    from backend.clip.windows import CELL, layout

    try:
        covered = layout(size, native=native, view=view.view, shorter_side=view.shorter_side)
    except ValueError as exc:
        raise unusable(exc) from None
    rows, columns = covered.window
    per_window = max(1.0, rows * columns / (native // CELL) ** 2)
    windows = round(len(covered.corners) * per_window)
    templates = len(opened.store.manifest.templates)
    work = windows * texts * templates * methods
    if work > most:
        raise invalid(
            "settings",
            f"This asks for {work:,} units of work ({windows} windows x {texts} texts x "
            f"{templates} templates x {methods} methods); at most {most:,} are taken.",
        )


def unusable(exc: ValueError) -> ApiError:
    """422 with the engine's own sentence about what was asked."""
    return invalid("settings", sentence(exc))


def sentence(exc: ValueError) -> str:
    """What the engine said, as a sentence."""
    text = str(exc)
    return f"{text[:1].upper()}{text[1:]}."
