"""The shipped atlas: complete, small, licensed, and as its build command makes it."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from precompute.demo_world import build_atlas
from precompute.demo_world.atlas import ATLAS, LEVELS, load_atlas


def test_it_is_small_and_its_licences_are_beside_it() -> None:
    assert sum(path.stat().st_size for path in ATLAS.iterdir()) <= 6 * 2**20
    text = (ATLAS / "LICENSE.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE" in text
    assert "Unicode-DFS-2016" in text


def test_it_holds_enough_distinct_concepts() -> None:
    concepts = load_atlas().concepts
    assert len(concepts) >= 300
    assert len({concept.name for concept in concepts}) == len(concepts)
    assert all(concept.categories for concept in concepts)
    common = Counter(category for concept in concepts for category in concept.categories)
    assert {"animal", "food", "vehicle", "plant", "instrument", "sport"} <= set(common)


def test_sprites_are_premultiplied_and_fill_their_tile() -> None:
    atlas = load_atlas()
    assert len(atlas.levels) == LEVELS
    full = atlas.levels[0]
    assert full.shape == (len(atlas.concepts), 4, atlas.tile, atlas.tile)
    assert bool((full[:, :3] <= full[:, 3:]).all())
    seen = full[:, 3] > 8
    longest = torch.maximum(seen.any(dim=1).sum(dim=1), seen.any(dim=2).sum(dim=1))
    assert longest.min() > 0.85 * atlas.extent
    assert longest.max() <= atlas.extent + 2


def test_no_two_sprites_are_nearly_the_same() -> None:
    small = load_atlas().levels[2].float().flatten(1) / 255
    distance = torch.cdist(small, small) / small.shape[1] ** 0.5
    distance.fill_diagonal_(1.0)
    assert distance.min() > 0.05


def test_a_selection_is_read() -> None:
    text = "# comment\n[food, fruit]\n+🍇 🍎=apple\n\n[animal]\n🐫=two-hump camel 🦋\n"
    items = build_atlas.read_selection(text)
    assert [(item.emoji, item.name, item.plural) for item in items] == [
        ("🍇", None, True),
        ("🍎", "apple", False),
        ("🐫", "two-hump camel", False),
        ("🦋", None, False),
    ]
    assert items[1].categories == ("food", "fruit")
    assert items[3].categories == ("animal",)


def test_keywords_are_filtered() -> None:
    words = ["Red Apple", "fruit", "face", "pome", "a", "apple", "orchard tree", "tasty", "crisp"]
    kept = build_atlas.useful_keywords(words, taken={"apple", "fruit"})
    assert kept == ["pome", "orchard tree", "tasty"]


@pytest.mark.skipif(
    not (build_atlas.FONT.exists() and build_atlas.ANNOTATIONS.exists()),
    reason="building needs the packages fonts-noto-color-emoji and unicode-cldr-core",
)
def test_one_sprite_as_the_build_draws_it() -> None:
    from PIL import ImageFont

    font = ImageFont.truetype(str(build_atlas.FONT), build_atlas.FONT_SIZE)
    tile = build_atlas.draw("🦋", font)
    assert tile.size == (build_atlas.TILE, build_atlas.TILE)
    left, top, right, bottom = tile.getbbox() or (0, 0, 0, 0)
    assert max(right - left, bottom - top) == build_atlas.EXTENT
    names, _ = build_atlas.read_annotations(build_atlas.ANNOTATIONS)
    assert names["🦋"] == "butterfly"
