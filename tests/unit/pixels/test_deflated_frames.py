"""Deflated Image Frame Compression (PS3.5 8.2.16): a stream holds one frame, and ends behind it."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from made_up_pixels import DICOM, encapsulate, reader
from reference_cases import deflate

from dicomzarr.vocabulary.reasons import NotExtracted


@pytest.mark.parametrize("surplus", [0, 1, 2, 18, 180])
def test_a_deflated_frame_holds_one_frame(surplus: int) -> None:
    cells = np.arange(18, dtype=np.uint16)
    data = encapsulate([deflate(np.frombuffer(cells.tobytes() + bytes(surplus), np.uint8))])
    image = reader(data, f"{DICOM}.8.1", Rows=3, Columns=6)
    if surplus <= 1:
        assert image[0].pixels.ravel().tolist() == cells.tolist()
        return
    with pytest.raises(NotExtracted) as caught:
        image[0]
    assert caught.value.code == "decode_error"


def test_a_deflated_frame_has_its_end() -> None:
    cells = np.arange(18, dtype=np.uint16)
    deflater = zlib.compressobj(wbits=-15)
    stream = deflater.compress(cells.tobytes()) + deflater.flush(zlib.Z_SYNC_FLUSH)
    for end, code in ((b"", "truncated_pixel_data"), (deflater.flush(), "")):
        image = reader(encapsulate([stream + end]), f"{DICOM}.8.1", Rows=3, Columns=6)
        try:
            pixels = image[0].pixels
        except NotExtracted as error:
            assert error.code == code
        else:
            assert pixels.ravel().tolist() == cells.tolist() and not code
