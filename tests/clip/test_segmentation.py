"""Pictures encoded once and asked many times, against formulas read on a model's own layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from backend.clip import ClipResNet, load_model
from backend.clip.encoded import EncodedImage, Packed
from backend.clip.encoder import EncodingSettings, pass_inputs, prepare_image
from backend.clip.options import SegmentationSettings
from backend.clip.readings import embedded_places
from backend.clip.segmentation import Segmenter
from backend.pairs.coefficients import pooled_attention
from backend.pairs.segmentation import PAPER_SHARE

WORDS = [f"word {number}" for number in range(60)]
PROMPTS = ["word 3", "a cat"]
SINKS = torch.tensor([[7, 7], [0, 2]])
NONE = SegmentationSettings(background="none")
ONE_WINDOW = EncodingSettings(shorter_side=256)


@pytest.fixture(scope="module")
def model(small_checkpoint: Path) -> ClipResNet:
    return load_model("demo", checkpoint=small_checkpoint, device="cpu")


@pytest.fixture(scope="module")
def sign(model: ClipResNet) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (model.factors.n_heads, model.factors.n_neurons)
    return torch.where(torch.rand(shape, generator=generator) < 0.5, -1.0, 1.0)


@pytest.fixture(scope="module")
def segmenter(model: ClipResNet, sign: torch.Tensor) -> Segmenter:
    return Segmenter(
        model, templates=["{}"], vocabulary=model.embed_texts(WORDS), sign=sign, sinks=SINKS
    )


@pytest.fixture(scope="module")
def exact(model: ClipResNet, sign: torch.Tensor) -> Segmenter:
    """The same in single precision."""
    return Segmenter(
        model,
        templates=["{}"],
        vocabulary=model.embed_texts(WORDS),
        sign=sign,
        sinks=SINKS,
        precision=torch.float32,
    )


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@torch.no_grad()
def brute_force(
    model: ClipResNet, sign: torch.Tensor, encoded: EncodedImage, settings: SegmentationSettings
) -> np.ndarray:
    """Logits of one window by the letter, on open_clip's own layers; r is materialised."""
    pool, factors = model.model.visual.attnpool, model.factors
    heads, d_head = factors.n_heads, factors.d_head
    rows, columns = encoded.layout.window
    cells = rows * columns
    activations = encoded.cells()[0]
    tokens = activations + model.grid_positions(rows, columns)[1:]
    words = model.embed_texts(WORDS)
    texts = F.normalize(model.embed_texts(PROMPTS) - words.mean(dim=0), dim=1)
    value = pool.v_proj(tokens)

    if settings.method in ("maskclip", "selfself"):
        if settings.method == "selfself":
            split = [
                projection(tokens).reshape(cells, heads, d_head).transpose(0, 1)
                for projection in (pool.q_proj, pool.k_proj)
            ]
            weights = sum((x @ x.transpose(1, 2) / d_head**0.5).softmax(dim=-1) for x in split)
            by_head = value.reshape(cells, heads, d_head).transpose(0, 1)
            value = (weights @ by_head).transpose(0, 1).reshape(cells, -1)
        logits = F.normalize(pool.c_proj(value), dim=1) @ texts.T
        return logits.T.reshape(2, rows, columns).numpy()

    r = torch.stack(
        [
            value[:, h * d_head : (h + 1) * d_head]
            @ pool.c_proj.weight[:, h * d_head : (h + 1) * d_head].T
            for h in range(heads)
        ],
        dim=1,
    )
    if settings.mode == "official":
        grid = activations.T.reshape(1, -1, rows, columns)
        attention = pooled_attention(model.tokens(grid), model.query_key)
        r = attention[0, :, 1:].T[..., None] * r
        r = r + pool.c_proj.bias / ((cells + 1) * heads)
        grid = r.reshape(rows, columns, heads, -1)
        corner = (grid[-1, -2] + grid[-2, -1] + grid[-2, -2]) / 3
        top = (grid[0, 1] + grid[0, 3] + grid[1, 1] + grid[1, 2] + grid[1, 3]) / 5
        grid[-1, -1], grid[0, 2] = corner, top
        r = grid.reshape(cells, heads, -1)
    heat = torch.einsum("iho,to->iht", F.normalize(r, dim=-1), texts)
    dense = torch.einsum("hod,hdn->hno", factors.output, factors.value)
    similarity = F.normalize(dense, dim=-1) @ texts.T
    if settings.orientation == "sign":
        similarity = similarity * sign[..., None]
    count = round(settings.share * factors.n_pairs)
    logits = torch.zeros(2, cells)
    for text in range(2):
        chosen = similarity[..., text].flatten().topk(count).indices
        head, neuron = chosen // factors.n_neurons, chosen % factors.n_neurons
        parts = {
            "pairs": activations[:, neuron] * heat[:, head, text],
            "heads": heat[:, head, text],
            "neurons": activations[:, neuron],
        }
        logits[text] = parts[settings.method].mean(dim=1)
    return logits.reshape(2, rows, columns).numpy()


READINGS = [
    *(
        replace(NONE, method=method, mode=mode, orientation=orientation, share=share)
        for method in ("pairs", "heads")
        for mode in ("clean", "official")
        for orientation, share in (("sign", PAPER_SHARE), ("write", 0.02))
    ),
    *(replace(NONE, method=method) for method in ("neurons", "maskclip", "selfself")),
]  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", READINGS, ids=lambda s: f"{s.method}-{s.mode}-{s.orientation}")
def test_logits_are_the_formula_read_aloud(
    model: ClipResNet,
    sign: torch.Tensor,
    segmenter: Segmenter,
    exact: Segmenter,
    settings: SegmentationSettings,
) -> None:
    # Pictures are kept in half precision by default.
    for engine, bound in ((segmenter, 1e-3), (exact, 1e-5)):
        encoded = engine.encode(noise(256, 256), ONE_WINDOW)
        found = engine.answer(encoded, PROMPTS, settings)
        expected = brute_force(model, sign, encoded, settings)
        assert np.abs(found.logits - expected).max() <= bound * np.ptp(expected)


@pytest.mark.parametrize("size", [(1, 1), (37, 90), (300, 200), (256, 256), (700, 20)])
def test_masks_have_the_pictures_size_and_only_known_values(
    segmenter: Segmenter, size: tuple[int, int]
) -> None:
    encoded = segmenter.encode(noise(*size))
    found = segmenter.answer(encoded, ["word 1", "something else"])
    assert found.mask.shape == size[::-1]
    assert found.mask.dtype == np.uint8
    assert set(np.unique(found.mask)) <= {0, 1, 255}
    assert found.logits.shape == (2, encoded.layout.rows, encoded.layout.columns)
    assert len(found.texts.trained) == 2
    assert (segmenter.answer(encoded, ["word 1"], NONE).mask == 0).all()


def test_overlapping_windows_are_averaged(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(300, 200))
    found = segmenter.answer(encoded, PROMPTS, NONE).logits
    total, weight = np.zeros_like(found), np.zeros(found.shape[1:])
    for place, (top, left) in enumerate(encoded.layout.corners):
        alone = EncodedImage(
            size=(256, 256),
            layout=replace(encoded.layout, rows=8, columns=8, corners=((0, 0),)),
            activations=Packed.of(encoded.cells()[place], torch.float16),
            precision=torch.float16,
            whole=None,
        )
        total[:, top : top + 8, left : left + 8] += segmenter.answer(alone, PROMPTS, NONE).logits
        weight[top : top + 8, left : left + 8] += 1
    np.testing.assert_allclose(found, total / weight, rtol=1e-3, atol=1e-3 * np.ptp(found))


def test_pictures_encoded_together_are_as_if_alone(segmenter: Segmenter) -> None:
    pictures = [noise(300, 200, 1), noise(64, 64, 2), noise(200, 500, 3)]
    heard: list[int] = []
    together = segmenter.encode_many(pictures, advance=heard.append)
    assert sum(heard) == sum(len(one.layout.corners) + 1 for one in together)
    for picture, one in zip(pictures, together, strict=True):
        alone = segmenter.encode(picture)
        expected = segmenter.answer(alone, PROMPTS, NONE).logits
        found = segmenter.answer(one, PROMPTS, NONE).logits
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.ptp(expected))
        assert one.whole is not None
        own = segmenter.model.decompose(segmenter.model.preprocess(picture)[None])
        torch.testing.assert_close(
            one.whole.coefficients, own.coefficients[0], rtol=1e-4, atol=1e-4
        )


def test_a_whole_picture_has_positions_of_its_own_grid(
    model: ClipResNet, sign: torch.Tensor, segmenter: Segmenter
) -> None:
    settings = EncodingSettings(view="whole", shorter_side=192, whole_pass=False)
    encoded = segmenter.encode(noise(320, 192), settings)
    assert encoded.layout.window == (6, 10)
    assert encoded.whole is None
    found = segmenter.answer(encoded, PROMPTS, NONE)
    expected = brute_force(model, sign, encoded, NONE)
    assert np.abs(found.logits - expected).max() <= 3e-4 * np.ptp(expected)


def test_another_prompt_leaves_the_others_as_they_were(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(256, 256))
    first = segmenter.answer(encoded, PROMPTS)
    held = encoded.nbytes
    more = segmenter.answer(encoded, ["word 9", *PROMPTS])
    np.testing.assert_array_equal(more.logits[1:], first.logits)
    assert 0 < encoded.nbytes - held < 10_000
    again = segmenter.answer(encoded, segmenter.read(["word 9", *PROMPTS]))
    np.testing.assert_array_equal(again.logits, more.logits)


def test_synonyms_are_averaged(model: ClipResNet, segmenter: Segmenter) -> None:
    read = segmenter.read(["word 1, word 2 ", "word 3", " , "])
    assert len(read.embeddings) == len(read.trained) == len(read.agreement) == 3
    both = model.embed_texts(["word 1", "word 2", "word 3"])
    torch.testing.assert_close(read.embeddings[0], F.normalize(both[0] + both[1], dim=0))
    torch.testing.assert_close(read.embeddings[1], both[2])


def test_centring(model: ClipResNet, segmenter: Segmenter) -> None:
    """The mean that is subtracted is that of the classes, or of the background prompts."""
    encoded = segmenter.encode(noise(256, 256), ONE_WINDOW)
    prompts = ["word 3", "a cat", "grass"]
    settings = replace(NONE, method="maskclip", centring="classes")
    cells = embedded_places(model, encoded, "maskclip").T
    embedded = model.embed_texts(prompts)
    for chosen, mean in (
        (settings, embedded.mean(dim=0)),
        (
            replace(settings, centring="background", background_prompts=("sky", "sea")),
            model.embed_texts(["sky", "sea"]).mean(dim=0),
        ),
    ):
        expected = (cells @ F.normalize(embedded - mean, dim=1).T).T.reshape(3, 8, 8)
        found = segmenter.answer(encoded, prompts, chosen).logits
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="at least 3 prompts"):
        segmenter.answer(encoded, PROMPTS, settings)


def test_backgrounds(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(256, 256), ONE_WINDOW)
    plain = segmenter.answer(encoded, PROMPTS, NONE).logits
    behind = segmenter.answer(encoded, ["sky", "sea"], NONE).logits
    settings = SegmentationSettings(background="prompts", background_prompts=("sky", "sea"))
    found = segmenter.answer(encoded, PROMPTS, settings)
    np.testing.assert_allclose(found.logits, plain - behind.max(axis=0), rtol=1e-5, atol=1e-6)
    read = segmenter.read(["sky", "sea"])
    np.testing.assert_array_equal(
        segmenter.answer(encoded, PROMPTS, settings, behind=read).logits, found.logits
    )
    strict, lenient = (
        segmenter.answer(encoded, PROMPTS, SegmentationSettings(threshold=threshold))
        for threshold in (0.99, 0.5)
    )
    assert (strict.mask == 255).mean() > (lenient.mask == 255).mean()
    unsure = SegmentationSettings(background="probability", threshold=1.0)
    assert (segmenter.answer(encoded, PROMPTS, unsure).mask == 255).all()


def test_ablated_pairs_leave_the_class_masks(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(256, 256), ONE_WINDOW)
    factors = segmenter.model.factors
    gain = torch.ones(factors.n_heads, factors.n_neurons)
    same = segmenter.answer(encoded, PROMPTS, gain=gain)
    np.testing.assert_allclose(same.logits, segmenter.answer(encoded, PROMPTS).logits, atol=1e-6)
    gain[1] = 0
    without = segmenter.answer(encoded, PROMPTS, NONE, gain=gain).logits
    rest = segmenter.answer(encoded, PROMPTS, NONE, gain=1 - gain).logits
    everything = segmenter.answer(encoded, PROMPTS, NONE).logits
    np.testing.assert_allclose(without + rest, everything, rtol=1e-4, atol=1e-6)
    nothing = segmenter.answer(encoded, PROMPTS, gain=torch.zeros_like(gain))
    assert (nothing.mask == 255).all()
    with pytest.raises(ValueError, match="chooses no pairs"):
        segmenter.answer(encoded, PROMPTS, replace(NONE, method="maskclip"), gain=gain)


@pytest.mark.parametrize("settings", READINGS, ids=lambda s: f"{s.method}-{s.mode}-{s.orientation}")
def test_pairs_sum_to_the_logit_of_a_cell(exact: Segmenter, settings: SegmentationSettings) -> None:
    encoded = exact.encode(noise(300, 200), EncodingSettings(whole_pass=False))
    logits = exact.answer(encoded, PROMPTS, settings).logits
    for row, column in ((0, 0), (5, 7), (encoded.layout.rows - 1, encoded.layout.columns - 1)):
        first, second = (
            exact.decide(encoded, PROMPTS, settings, place=place, row=row, column=column)
            for place in range(2)
        )
        tolerance = 1e-5 * float(np.ptp(logits))
        assert float(first.logit) == pytest.approx(float(logits[0, row, column]), abs=tolerance)
        lead = first.against(second)
        expected = float(logits[0, row, column] - logits[1, row, column])
        assert float(lead.pairs.sum() + lead.constant) == pytest.approx(expected, abs=2 * tolerance)


def test_decisions_are_about_prompts_and_cells_that_exist(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(256, 256), ONE_WINDOW)
    gain = torch.ones(segmenter.model.factors.n_heads, segmenter.model.factors.n_neurons)
    gain[0] = 0
    decision = segmenter.decide(encoded, PROMPTS, place=1, row=2, column=3, gain=gain)
    assert (decision.pairs[0] == 0).all()
    assert (decision.pairs != 0).sum() <= round(PAPER_SHARE * segmenter.model.factors.n_pairs)
    with pytest.raises(ValueError, match="no prompt 2"):
        segmenter.decide(encoded, PROMPTS, place=2, row=0, column=0)
    with pytest.raises(ValueError, match="no cell in row 8"):
        segmenter.decide(encoded, PROMPTS, place=0, row=8, column=0)


def test_prompts_are_needed_and_counted(segmenter: Segmenter) -> None:
    encoded = segmenter.encode(noise(40, 40))
    for prompts in ([], ["x"] * 255):
        with pytest.raises(ValueError, match="between 1 and 254 prompts"):
            segmenter.answer(encoded, prompts)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"method": "magic"}, "method is one of pairs, heads"),
        ({"mode": "dirty"}, "mode is one of clean, official"),
        ({"share": 0.0}, "share must be above 0"),
        ({"threshold": 1.5}, "threshold must be between 0 and 1"),
        ({"background": "prompts"}, "needs background prompts"),
        ({"centring": "background"}, "needs background prompts"),
    ],
)
def test_nonsense_is_refused(wrong: dict[str, object], sentence: str) -> None:
    # Not through the constructor, whose types are checked here before its own checks run.
    settings = SimpleNamespace(**(vars(SegmentationSettings()) | wrong))
    with pytest.raises(ValueError, match=sentence):
        SegmentationSettings.__post_init__(settings)  # type: ignore[arg-type]


def test_on_a_processor_half_precision_changes_nothing(model: ClipResNet) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (260, 300, 3), np.uint8)
    inputs = prepare_image(model, Image.fromarray(pixels), ONE_WINDOW).inputs
    for plain, half in zip(
        pass_inputs(model, inputs), pass_inputs(model, inputs, half=True), strict=True
    ):
        assert plain.dtype == half.dtype == torch.float32
        assert torch.equal(plain, half)
