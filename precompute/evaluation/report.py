"""Run an evaluation, and keep its figures: as a report, and in the demo model's card."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from backend.clip import DEMO, ClipResNet, load_model
from precompute.demo_world.drawings import art_of, name_of
from precompute.evaluation.classification import classification
from precompute.evaluation.drawings import drawings
from precompute.evaluation.explanations import explanations
from precompute.evaluation.familiarity import familiarity
from precompute.evaluation.segmentation import segmentation

Metrics = dict[str, float] | dict[str, dict[str, float]]
Task = Callable[..., Metrics]

TASKS: dict[str, Task] = {
    "classification": classification,
    "segmentation": segmentation,
    "explanations": explanations,
    "familiarity": familiarity,
}
DRAWINGS = "drawings"
"""The task that takes its data from folders."""

DATASETS = ("demo",)


@dataclass(frozen=True)
class Report:
    """Figures of one task and all that they depend on."""

    task: str
    model: str
    dataset: str
    seed: int
    count: int
    metrics: Metrics

    def as_dict(self) -> dict[str, object]:
        """The report as plain data, keys in order."""
        return asdict(self)


def evaluate(
    task: str,
    *,
    model: str,
    dataset: str,
    seed: int,
    count: int,
    device: str = "auto",
    folders: Sequence[Path] = (),
) -> Report:
    """Measure a model on a data set, or for ``drawings`` on folders of them.

    Figures of several folders are grouped by their names.  Raises ValueError for a task or data set
    that is not there.
    """
    if task not in (*TASKS, DRAWINGS):
        raise ValueError(f"Unknown task {task!r}: there is {', '.join((*TASKS, DRAWINGS))}.")
    if dataset not in DATASETS:
        raise ValueError(f"Unknown data set {dataset!r}: there is {', '.join(DATASETS)}.")
    if count < 1:
        raise ValueError(f"The count must be 1 or more, not {count}.")
    if seed < 0:
        raise ValueError(f"The seed must be 0 or more, not {seed}.")
    if bool(folders) != (task == DRAWINGS):
        raise ValueError(f"--drawings DIR belongs to the task {DRAWINGS}, which needs it.")
    loaded: ClipResNet = load_model(model, device=device)
    if task != DRAWINGS:
        return Report(
            task, model, dataset, seed, count, TASKS[task](loaded, seed=seed, count=count)
        )
    names = [name_of(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError(f"Every folder of drawings needs a name of its own: {', '.join(names)}.")
    found = {
        name: drawings(loaded, seed=seed, count=count, folder=folder)
        for name, folder in zip(names, folders, strict=True)
    }
    metrics = found if len(found) > 1 else next(iter(found.values()))
    return Report(task, model, ", ".join(found), seed, count, metrics)


def sources(folders: Sequence[Path]) -> str:
    """Whose drawings the folders hold, under which licence, and how to fetch them; for the card.

    Raises:
        ValueError: a folder is of no known art, so that the card could not tell.
    """
    lines = []
    for folder in folders:
        art = art_of(folder)
        if art is None:
            raise ValueError(f"{folder} is of no art that the card can name with its licence.")
        lines.append(f"- {art.name} {art.version}, {art.licence}: `{art.fetch}`")
    return "\n".join(lines)


def write_into_card(card: Path, report: Report, notes: str = "") -> None:
    """Put a report's figures, and notes below them, between its task's markers in a model card.

    The markers are ``<!-- figures: TASK -->`` and ``<!-- end: TASK -->``. Raises ValueError for a
    card without them, or a report of another model.
    """
    if report.model != DEMO:
        raise ValueError(f"The card is the demo model's; these figures are of {report.model}.")
    begin, end = f"<!-- figures: {report.task} -->", f"<!-- end: {report.task} -->"
    text = card.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"The card has no place for {report.task} figures.")
    table = "\n\n".join(filter(None, [_table(report), notes]))
    block = f"{begin}\n{table}\n{end}"
    partial = card.with_suffix(".partial")
    partial.write_text(pattern.sub(lambda _: block, text, count=1), encoding="utf-8")
    partial.replace(card)


def _table(report: Report) -> str:
    rows = [f"| {name} | {shown(value)} |" for name, value in flatten(report.metrics).items()]
    head = f"| {report.task}, seed {report.seed}, {report.count} scenes | |"
    return "\n".join([head, "|---|---|", *rows])


def shown(value: float) -> str:
    """A share with three decimals; a count, which is 2 or more, whole."""
    return f"{value:.0f}" if value >= 2 and value.is_integer() else f"{value:.3f}"


def flatten(metrics: Metrics) -> dict[str, float]:
    """Metrics with groups spelled out: ``{"miou": {"pairs": x}}`` becomes ``{"miou pairs": x}``."""
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            flat |= {f"{name} {part}": number for part, number in value.items()}
        else:
            flat[name] = value
    return flat
