from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer

from backend.clip import load_model, text
from backend.clip.text import IMAGENET_TEMPLATES, fill, normalise_text


def test_the_eighty_templates_have_one_place_each() -> None:
    assert len(IMAGENET_TEMPLATES) == 80
    assert all(template.count("{}") == 1 for template in IMAGENET_TEMPLATES)
    assert "a photo of a {}." in IMAGENET_TEMPLATES


def test_braces_in_a_text_are_text() -> None:
    assert fill(["a {}.", "{}"], "{0} {x}") == ["a {0} {x}.", "{0} {x}"]


def test_white_space_is_folded() -> None:
    assert normalise_text("  a\n b\t") == "a b"


def test_templates_are_averaged_after_normalising(small_checkpoint: Path) -> None:
    model = load_model("demo", checkpoint=small_checkpoint)
    templates = ["a {}", "two {}s"]
    single = [model.embed_texts([fill([t], "cat")[0]])[0] for t in templates]
    expected = F.normalize(torch.stack(single).mean(0), dim=0)
    found = model.embed_texts(["dog", "cat"], templates)
    torch.testing.assert_close(found[1], expected)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))
    with pytest.raises(ValueError, match="at least one"):
        model.embed_texts([])


def test_prompts_of_any_length_are_embedded_as_in_full_length(
    small_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model("demo", checkpoint=small_checkpoint)
    prompts = ["a", "a photo of a very large dog.", "cat", " ".join(["word"] * 90), "two cats"]
    tokens = SimpleTokenizer(context_length=model.model.context_length)(prompts)
    with torch.inference_mode():
        expected = model.model.encode_text(tokens, normalize=True)
    monkeypatch.setattr(text, "TOKENS_AT_ONCE", 12)
    torch.testing.assert_close(model.embed_texts(prompts), expected, atol=1e-5, rtol=0)


def test_passes_hold_prompts_of_like_length_and_no_more_than_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text, "TOKENS_AT_ONCE", 10)
    ends = [4, 1, 12, 4, 1, 2]
    tokens = torch.zeros(len(ends), 16, dtype=torch.long)
    tokens[torch.arange(len(ends)), torch.tensor(ends)] = 9
    found = [(places.tolist(), length) for places, length in text.passes(tokens)]
    assert found == [([1, 4, 5], 3), ([0, 3], 5), ([2], 13)]
