"""The pass over the images against an all-at-once computation, whatever interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backend.clip import ClipResNet
from backend.clip.models import PASS_IMAGES
from precompute.datasets import ImageFolder
from precompute.engines.local import LocalEngine
from precompute.errors import InputError
from precompute.stages import collect as collecting
from precompute.stages import plan as planning
from precompute.stages.collect import Collected, Task, collect
from precompute.stages.plan import Plan
from precompute.stages.segments import Block, FeatureCache, Segment

TORN = [0, 7]


def plan(**changes: int) -> Plan:
    return replace(Plan(images=21, segment=6, block=2, bins=8, threads=2), **changes)


def gather(
    model: ClipResNet, patches: Path, folder: Path, wanted: Plan, engine: object = None
) -> Collected:
    engine = engine or LocalEngine()
    return collect(
        model, ImageFolder(patches), wanted, engine=engine, folder=folder, advance=lambda _: None  # type: ignore[arg-type]
    )  # fmt: skip


@pytest.fixture(scope="module")
def exact(tiny: ClipResNet, patches: Path) -> dict[str, torch.Tensor]:
    """Everything about the readable images at once, in float64."""
    numbers = [number for number in range(21) if number not in TORN]
    pixels = [tiny.preprocess(Image.open(patches / f"{number:02}.png")) for number in numbers]
    found = tiny.decompose(torch.stack(pixels))
    return {
        "numbers": torch.tensor(numbers),
        "coefficients": found.coefficients.double(),
        "embedding": found.embedding,
        "norm": found.feature_map.double().norm(dim=1),
        "attention": found.attention.double()[..., 1:].unflatten(-1, (2, 2)),
    }


@pytest.mark.parametrize(("segment", "block"), [(6, 2), (4, 4), (21, 3), (100, 32), (1, 1)])
def test_any_cut_equals_all_at_once(
    tiny: ClipResNet, patches: Path, tmp_path: Path, exact: dict[str, torch.Tensor],
    segment: int, block: int,
) -> None:  # fmt: skip
    found = gather(tiny, patches, tmp_path / "collect", plan(segment=segment, block=block))
    values = exact["coefficients"]
    deviation = values.std(dim=0, correction=0)
    statistics = found.statistics
    assert statistics.count == 19
    mean = values.mean(dim=0)
    # The second term is the model's own rounding, which differs with the images in a block.
    assert ((statistics.mean - mean).abs() <= 1e-5 * deviation + 2e-7 * mean.abs()).all()
    m2 = (values - values.mean(dim=0)).square().sum(dim=0)
    torch.testing.assert_close(statistics.m2, m2, rtol=1e-4, atol=1e-10)
    by_neuron = (values - values.mean(dim=0)).permute(2, 1, 0)
    error = (statistics.comoment - by_neuron @ by_neuron.transpose(1, 2)).abs()
    length = by_neuron.norm(dim=2)
    slack = 1e-5 * length + 1e-6 * mean.abs().T
    assert (error <= slack[:, :, None] * length[:, None] + slack[:, None] * length[..., None]).all()
    assert found.unreadable == ["00.png", "07.png"]
    assert found.readable.nonzero().flatten().tolist() == exact["numbers"].tolist()
    unit = torch.nn.functional.normalize(exact["embedding"], dim=1)
    torch.testing.assert_close(found.unit_embeddings[exact["numbers"]], unit)
    assert (found.unit_embeddings[TORN] == 0).all()
    assert found.calibration.numbers == exact["numbers"].tolist()
    torch.testing.assert_close(found.calibration.embeddings, exact["embedding"])
    torch.testing.assert_close(found.token_norm, exact["norm"].mean(0), rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(
        found.token_attention, exact["attention"].mean(0), rtol=1e-5, atol=1e-8
    )


def test_calibration_is_spread_evenly(
    tiny: ClipResNet, patches: Path, tmp_path: Path, exact: dict[str, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(planning, "CALIBRATION_IMAGES", 6)
    found = gather(tiny, patches, tmp_path / "collect", plan())
    assert found.calibration.numbers == [4, 8, 12, 16, 20]  # 0 is torn
    places = [exact["numbers"].tolist().index(number) for number in found.calibration.numbers]
    expected = exact["coefficients"][places].float().numpy()
    assert isinstance(found.calibration.coefficients, np.memmap)
    np.testing.assert_allclose(found.calibration.coefficients, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.calibration.embeddings, exact["embedding"][places])


def test_every_image_is_a_calibration_image_of_a_small_set() -> None:
    assert plan().calibration == frozenset(range(21))
    assert len(plan(images=50_000).calibration) == 700
    assert {0, 49_999} <= plan(images=50_000).calibration


def test_blocks_cover_the_set_once() -> None:
    cut = plan(images=23)
    blocks = [block for segment in range(cut.segments) for block in cut.blocks(segment)]
    assert [image for block in blocks for image in block] == list(range(23))
    assert all(cut.block_of(image) in blocks for image in range(23))
    assert all(image in cut.block_of(image) for image in range(23))


class Killed(BaseException):
    """Stands for the end of the process."""


@dataclass
class Mortal:
    """Computes so many segments, then dies."""

    left: int
    workers: int = 1
    processes: int = 0

    def segments(
        self, task: Task, wanted: range, known: dict[int, Block], watch: Callable[[Block], None]
    ) -> Iterator[Segment]:
        for segment in LocalEngine().segments(task, wanted, known, watch):
            if not self.left:
                raise Killed
            self.left -= 1
            yield segment


def bits(found: Collected) -> list[bytes]:
    arrays = [*found.statistics.arrays().values(), found.statistics.edges, found.unit_embeddings]
    arrays += [found.readable, found.token_norm, found.token_attention]
    arrays += [found.calibration.embeddings]
    solid = [array.contiguous().numpy().tobytes() for array in arrays]
    numbers, coefficients, _ = found.calibration
    return [*solid, repr((numbers, found.unreadable)).encode(), coefficients.tobytes()]


@pytest.mark.parametrize("share_of_saving", [1e-9, 1e9])
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_kill_between_segments_changes_no_bit(
    tiny: ClipResNet, patches: Path, tmp_path: Path, before: int, share_of_saving: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(collecting, "SHARE_OF_SAVING", share_of_saving)  # hardly ever, or always
    whole = gather(tiny, patches, tmp_path / "whole", plan())
    with pytest.raises(Killed):
        gather(tiny, patches, tmp_path / "again", plan(), Mortal(before))
    again = gather(tiny, patches, tmp_path / "again", plan())
    restored = gather(tiny, patches, tmp_path / "again", plan(), Mortal(0))
    assert bits(whole) == bits(again) == bits(restored)


@pytest.mark.parametrize("break_off", ["_save", "add"])
def test_a_kill_while_rows_are_written_changes_no_bit(
    tiny: ClipResNet, patches: Path, tmp_path: Path, break_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = gather(tiny, patches, tmp_path / "whole", plan())
    calls = iter(range(100))
    real = getattr(collecting.Running, break_off)

    def die(self: collecting.Running, *arguments: object) -> None:
        if next(calls) == 2:
            if break_off == "add":
                self._rows["unit_embeddings"].write([12, 13], np.full((2, 96), np.nan))
            raise Killed
        real(self, *arguments)

    monkeypatch.setattr(collecting, "SHARE_OF_SAVING", 1e9)
    with monkeypatch.context() as patch:
        patch.setattr(collecting.Running, break_off, die)
        with pytest.raises(Killed):
            gather(tiny, patches, tmp_path / "again", plan())
    assert bits(gather(tiny, patches, tmp_path / "again", plan())) == bits(whole)


def test_more_images_than_one_pass_takes_are_taken_in_several(tiny: ClipResNet) -> None:
    pixels = torch.rand(2 * PASS_IMAGES + 3, 3, 64, 64)
    found = tiny.decompose(pixels)
    for place in (0, PASS_IMAGES, 2 * PASS_IMAGES + 2):
        alone = tiny.decompose(pixels[place : place + 1])
        torch.testing.assert_close(found.feature_map[place], alone.feature_map[0])
        torch.testing.assert_close(found.coefficients[place], alone.coefficients[0])


def test_the_feature_cache_keeps_to_its_bound(tiny: ClipResNet) -> None:
    found = tiny.decompose(torch.rand(4, 3, 64, 64))
    one = 256 * 4 * 2 + 4 * 5 * 4
    cache = FeatureCache(limit=2 * one + 5)
    cache.keep([3, 5, 8, 9], found)
    assert list(cache.maps) == [3, 5]
    assert cache.held == 2 * one


def test_nothing_readable_is_an_error(tiny: ClipResNet, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"torn")
    with pytest.raises(InputError, match="none of the 1 images could be read"):
        gather(tiny, tmp_path, tmp_path / "collect", plan(images=1))
