from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from backend.clip import load_model
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
