"""Evaluations: figures by definition, on a model whose answers are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from torch import Tensor
from typer.testing import CliRunner

from precompute.demo_world.layout import CLASSIFICATION
from precompute.demo_world.scenes import batches
from precompute.demo_world.vocabulary import lexicon
from precompute.errors import InputError
from precompute.evaluation import commands, report
from precompute.evaluation.classification import average_precision, classification

COUNT, SIZE = 12, 64


class Oracle:
    """A stand-in for a model: says the objects of the scenes it is shown, in the order asked for.

    With `wrong`, it says the next concept instead of the first object.
    """

    image_size = SIZE

    def __init__(self, *, wrong: bool = False) -> None:
        self.wrong = wrong
        self.answers: dict[bytes, Tensor] = {}
        for parameters in ({"objects": 1, "style": CLASSIFICATION}, {"objects": 3}):
            for batch in batches(0, COUNT, size=SIZE, **parameters):  # type: ignore[arg-type]
                for place, image in enumerate(batch.images):
                    shown = batch.layout.concept[place, : batch.layout.count[place]]
                    self.answers[image.numpy().tobytes()] = self._answer(shown)

    def _answer(self, shown: np.ndarray) -> Tensor:
        names = len(lexicon().names)
        answer = torch.zeros(names)
        answer[torch.from_numpy(shown)] = 1.0
        return answer.roll(1) if self.wrong else answer

    def embed_texts(self, texts: Sequence[str], templates: Sequence[str]) -> Tensor:
        assert len(templates) > 1
        return torch.eye(len(texts))

    def preprocess_batch(self, images: np.ndarray) -> np.ndarray:
        return images

    def encode_images(self, images: np.ndarray) -> Tensor:
        return torch.stack([self.answers[image.tobytes()] for image in images])


def test_a_model_that_is_always_right_scores_one() -> None:
    metrics = classification(Oracle(), seed=0, count=COUNT)  # type: ignore[arg-type]
    assert metrics == {"top1": 1.0, "top5": 1.0, "average_precision": 1.0}


def test_a_model_that_is_always_wrong_scores_near_zero() -> None:
    metrics = classification(Oracle(wrong=True), seed=0, count=COUNT)  # type: ignore[arg-type]
    assert metrics["top1"] == 0.0
    assert metrics["average_precision"] < 0.1


def test_average_precision_is_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score

    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(20, 30, generator=generator)
    relevant = torch.rand(20, 30, generator=generator) < 0.15
    relevant[:, 0] = True
    expected = [
        average_precision_score(truth.numpy(), row.numpy())
        for truth, row in zip(relevant, scores, strict=True)
    ]
    assert average_precision(scores, relevant).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"task": "nonsense"}, "Unknown task"),
        ({"dataset": "imagenet"}, "Unknown data set"),
        ({"count": 0}, "1 or more"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(asked: dict[str, object], said: str) -> None:
    parameters = {"task": "classification", "dataset": "demo", "seed": 0, "count": 1, **asked}
    with pytest.raises(ValueError, match=said):
        report.evaluate(model="demo", **parameters)  # type: ignore[arg-type]


CARD = "# Card\n<!-- figures: classification -->\nold\n<!-- end: classification -->\nrest\n"


def test_figures_go_between_the_markers(tmp_path: Path) -> None:
    card = tmp_path / "card.md"
    card.write_text(CARD)
    metrics: report.Metrics = {"top1": 0.91234, "groups": {"a": 0.5}}  # type: ignore[dict-item]
    figures = report.Report("classification", "demo", "demo", 3, 40, metrics)
    report.write_into_card(card, figures)
    report.write_into_card(card, figures)  # a second time changes nothing
    text = card.read_text()
    assert "| top1 | 0.912 |" in text
    assert "| groups a | 0.500 |" in text
    assert "seed 3, 40 scenes" in text
    assert "old" not in text
    assert text.startswith("# Card\n")
    assert text.endswith("rest\n")
    with pytest.raises(ValueError, match="no place"):
        report.write_into_card(card, report.Report("other", "demo", "demo", 0, 1, {}))
    with pytest.raises(ValueError, match="RN50"):
        report.write_into_card(card, report.Report("classification", "RN50", "demo", 0, 1, {}))


def test_the_command_prints_the_contracts_json(monkeypatch: pytest.MonkeyPatch) -> None:
    app = typer.Typer()
    app.command()(commands.evaluate)
    monkeypatch.setattr(report, "load_model", lambda name, device: Oracle())
    arguments = ["classification", "--count", str(COUNT), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert list(data) == ["task", "model", "dataset", "seed", "count", "metrics"]
    assert set(data["metrics"]) == {"top1", "top5", "average_precision"}
    failed = CliRunner().invoke(app, ["nonsense"])
    assert isinstance(failed.exception, InputError)
    assert "Unknown task" in str(failed.exception)


def test_the_card_tells_the_worlds_size_and_has_room_for_the_figures() -> None:
    text = Path(commands.CARD).read_text(encoding="utf-8")
    assert f"{len(lexicon().names)} things" in text
    for task in report.TASKS:
        assert f"<!-- figures: {task} -->" in text
        assert f"<!-- end: {task} -->" in text


@pytest.mark.slow
def test_the_shipped_model_knows_its_world() -> None:
    from backend.clip import load_model

    metrics = classification(load_model("demo", device="cpu"), seed=5, count=96)
    assert metrics["top1"] > 0.8
    assert metrics["top5"] > 0.95
    assert metrics["average_precision"] > 0.15
