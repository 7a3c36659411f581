"""Pictures from strangers: each is taken or refused in one sentence, and no metadata stays."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from backend.server import uploads
from backend.server.errors import ApiError
from tests.server.conftest import picture


def decode(data: bytes, max_pixels: int = 1_000_000, max_aspect: float = 50) -> Image.Image:
    return uploads.decode_image(data, max_pixels=max_pixels, max_aspect=max_aspect)


def refused(data: bytes, **limits: float) -> str:
    with pytest.raises(ApiError) as error:
        decode(data, **limits)
    assert error.value.status == 422
    assert error.value.code == "invalid_image"
    return error.value.message


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", uploads.FORMATS)
def test_every_format_is_judged_by_content(format: str) -> None:
    image = decode(picture(format=format))
    assert image.mode == "RGB"
    assert image.size == (80, 60)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGBA", "RGB"])
def test_png_modes(mode: str) -> None:
    assert decode(picture(mode=mode)).mode == "RGB"


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (16, 16), (220, 30, 30)).convert("CMYK")
    pixel = decode(encoded(red, "JPEG", quality=95)).getpixel((8, 8))
    assert pixel[0] > 150
    assert max(pixel[1:]) < 90


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, 0)
    pixels = np.asarray(decode(encoded(Image.fromarray(ramp))))
    assert pixels[0, 0, 0] == 0
    assert abs(int(pixels[0, 128, 0]) - 128) <= 1
    assert pixels[0, 255, 0] == 255


def test_transparency_is_laid_over_white() -> None:
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert decode(encoded(clear)).getpixel((4, 4)) == (255, 255, 255)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30] * 256)
    assert decode(encoded(palette, transparency=0)).getpixel((4, 4)) == (255, 255, 255)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ("blue", "yellow")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    red, green, blue = decode(data).getpixel((5, 5))
    assert blue > 200
    assert max(red, green) < 60


def test_exif_rotation_is_applied() -> None:
    image = Image.new("RGB", (40, 20), "black")
    image.paste((255, 0, 0), (0, 0, 20, 20))
    for orientation, size, red_at in [
        (3, (40, 20), (35, 10)),
        (6, (20, 40), (10, 5)),
        (8, (20, 40), (10, 35)),
    ]:
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright = decode(encoded(image, exif=exif))
        assert upright.size == size
        assert upright.getpixel(red_at) == (255, 0, 0)


def test_metadata_is_gone() -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "SecretComment")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.new("RGB", (64, 64), "green")
    for data in (
        encoded(image, "JPEG", exif=exif, comment=b"SecretComment", icc_profile=profile),
        encoded(image, "PNG", exif=exif, pnginfo=info, icc_profile=profile),
        encoded(image, "WEBP", exif=exif, icc_profile=profile, xmp=b"<SecretXmp/>"),
    ):
        assert b"Secret" in data
        clean = decode(data)
        assert not clean.info
        kept = uploads.display_copy(clean)
        assert b"Secret" not in kept
        again = Image.open(io.BytesIO(kept))
        assert not again.getexif()
        assert "icc_profile" not in again.info


def test_damaged_exif_does_not_matter() -> None:
    image = Image.new("RGB", (8, 8))
    assert decode(encoded(image, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).size == (8, 8)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"%PDF-1.4", b"\0" * 100])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    assert refused(data).endswith(".")


def test_other_formats_are_refused() -> None:
    for format in ("TIFF", "ICO", "PPM"):
        assert "PNG" in refused(picture(32, 32, format=format))


def test_truncated_images_are_refused() -> None:
    for format in ("PNG", "JPEG", "WEBP", "GIF", "BMP"):
        data = picture(300, 200, format=format)
        assert refused(data[: len(data) // 2])


def test_size_is_known_before_decoding() -> None:
    assert "too many pixels" in refused(png_header(30_000, 30_000))
    assert "1 million" in refused(png_header(1001, 1000))
    assert "damaged" in refused(png_header(1000, 1000))


def test_extremes_of_shape() -> None:
    assert decode(picture(1, 1)).size == (1, 1)
    assert decode(picture(500, 10)).size == (500, 10)
    assert "50 times" in refused(picture(510, 10))
    assert "10000 x 10" in refused(picture(10_000, 10))


def test_the_display_copy_is_bounded() -> None:
    copy = Image.open(io.BytesIO(uploads.display_copy(Image.new("RGB", (4000, 100)))))
    assert copy.size == (2048, 51)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_garbage_is_refused_and_nothing_else(data: bytes) -> None:
    refused(data)


SAMPLES = [picture(24, 16, format=format) for format in uploads.FORMATS]


@settings(max_examples=300, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES),
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 4000),
)
def test_damage_is_refused_or_survived(
    sample: bytes, edits: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(sample)
    for place, value in edits:
        data[place % len(data)] = value
    # Any other exception is a failure of this test.
    with contextlib.suppress(ApiError):
        image = decode(bytes(data[: max(1, cut)]), max_pixels=100_000)
        assert image.mode == "RGB"
        assert image.width * image.height <= 100_000
