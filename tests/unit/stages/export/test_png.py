"""Bit depth and offset of PNG files, and exact values after decoding."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from dicomzarr.stages.export import png
from dicomzarr.stages.export.refusals import REFUSALS, Refused


@pytest.mark.parametrize(
    ("dtype", "bits_stored", "low", "high", "bits", "offset"),
    [
        ("|u1", 1, 0, 1, 8, 0),
        ("|u1", 8, 0, 255, 8, 0),
        ("|i1", 8, -128, 127, 8, 128),
        ("<u2", 8, 0, 255, 8, 0),  # 8 bits allocated in 16
        ("<i2", 8, -128, 127, 8, 128),
        ("<u2", 8, 0, 256, 16, 0),  # Bits Stored 8, a value needs 9
        ("<i2", 8, -129, 0, 16, 32768),
        ("<i2", 8, 0, 128, 16, 32768),
        ("<u2", 9, 0, 3, 16, 0),  # Bits Stored 9, values need 2
        ("<u2", 12, 0, 4095, 16, 0),
        ("<i2", 12, -2048, 2047, 16, 32768),
        ("<u2", 16, 0, 65535, 16, 0),
        ("<i2", 16, -32768, 32767, 16, 32768),
        ("<u4", 16, 0, 65535, 16, 0),
        ("<i4", 12, -32768, 32767, 16, 32768),
    ],
)
def test_eight_bits_only_where_header_and_values_need_no_more(
    dtype: str, bits_stored: int, low: int, high: int, bits: int, offset: int
) -> None:
    assert png.depth_of(np.dtype(dtype), bits_stored, low, high) == png.Depth(bits, offset)


@pytest.mark.parametrize(
    ("dtype", "bits_stored", "low", "high", "code"),
    [
        ("<u4", 17, 0, 1, "more_than_16_bits"),  # values would fit, Bits Stored is more
        ("<u4", 16, 0, 65536, "more_than_16_bits"),
        ("<i4", 16, -32769, 0, "more_than_16_bits"),
        ("<i4", 16, 0, 32768, "more_than_16_bits"),
        ("<u4", 32, 0, 2**32 - 1, "more_than_16_bits"),
        ("<f4", 32, 0, 0, "float_values"),
        ("<f8", 64, 0, 0, "float_values"),
    ],
)
def test_what_png_cannot_hold_is_refused(dtype: str, bits_stored: int, low: int, high: int, code: str) -> None:
    with pytest.raises(Refused) as refused:
        png.depth_of(np.dtype(dtype), bits_stored, low, high)
    assert refused.value.code == code and code in REFUSALS


@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.parametrize("dtype", ["|u1", "|i1", "<u2", "<i2"])
@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (7, 5, 3)])
def test_written_samples_give_the_values_back(tmp_path: Path, dtype: str, shape: tuple[int, ...], level: int) -> None:
    kind = np.iinfo(dtype)
    pixels = np.random.default_rng(3).integers(kind.min, kind.max, shape, dtype, endpoint=True)
    depth = png.depth_of(np.dtype(dtype), kind.bits, int(pixels.min()), int(pixels.max()))
    samples = png.samples_of(pixels, depth)
    png.write_png(tmp_path / "a.png", samples, level)
    data = (tmp_path / "a.png").read_bytes()
    assert np.array_equal(imagecodecs.png_decode(data).astype(int) - depth.offset, pixels)
    if len(shape) == 2 or depth.bits == 8:
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))).astype(int) - depth.offset, pixels)
    assert np.array_equal(png.read_png(tmp_path / "a.png"), samples)
    assert [kind for kind in (b"tIME", b"tEXt", b"iTXt", b"zTXt", b"eXIf", b"pHYs") if kind in data] == []


def test_a_png_that_was_encoded_wrong_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is read from the disk, by another decoder than the encoder."""
    samples = np.arange(12, dtype=np.uint16).reshape(3, 4)
    original: Any = imagecodecs.png_encode

    def encode(pixels: np.ndarray, **options: Any) -> bytes:
        return bytes(original(pixels ^ 1, **options))

    monkeypatch.setattr(imagecodecs, "png_encode", encode)
    png.write_png(tmp_path / "a.png", samples, 1)
    assert not np.array_equal(png.read_png(tmp_path / "a.png"), samples)


def test_a_frame_that_pillow_would_not_open_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Image.open` refuses more than 179 million pixels, as a decompression bomb; here more than 22."""
    samples = np.arange(24, dtype=np.uint16).reshape(4, 6)
    png.write_png(tmp_path / "a.png", samples, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "a.png")
    assert np.array_equal(png.read_png(tmp_path / "a.png"), samples)
