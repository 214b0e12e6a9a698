"""The size of a JPEG XL codestream (ISO/IEC 18181-1 D.2), whose header has a ratio in place of many widths."""

from __future__ import annotations

import numpy as np
import pytest

from dicomzarr.pixels import codestream


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        *((10, 10), (10, 12), (9, 12), (10, 15), (9, 16), (8, 10), (5, 10)),  # 1:1, 6:5, 4:3, 3:2, 16:9, 5:4, 2:1
        *((16, 16), (24, 32), (16, 72), (256, 8)),  # multiples of 8 up to 256 in 5 bits
        *((11, 13), (600, 501), (1, 9000)),  # in 9 or 13 bits
    ],
)
def test_the_size_of_a_stream_is_that_of_its_picture(rows: int, columns: int) -> None:
    import imagecodecs

    data = bytes(imagecodecs.jpegxl_encode(np.zeros((rows, columns), np.uint8), lossless=True))
    stream = codestream.read_jpeg_xl(data)
    assert (stream.rows, stream.columns) == (rows, columns)
