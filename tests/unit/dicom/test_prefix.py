"""The prefix of a file, and the same letters within a value."""

from __future__ import annotations

import io

import pytest
from pydicom import Dataset, dcmread, dcmwrite

from dicomzarr.dicom.prefix import for_pydicom, is_within_a_value, offset_of_first_element


def file(*, letters: bool) -> bytes:
    dataset = Dataset()
    words = [*(10 * "X" for _ in range(10)), 9 * "X", "DICM A"]  # as many bytes as there are before byte 128
    dataset.ImageType = words if letters else "X"
    dataset.PatientID = "one"
    stream = io.BytesIO()
    dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    return stream.getvalue()


def test_letters_within_a_value_are_no_prefix() -> None:
    data = file(letters=True)
    assert data[128:132] == b"DICM"
    assert offset_of_first_element(data) == 0 and is_within_a_value(data)
    assert dcmread(for_pydicom(io.BytesIO(data)), force=True).PatientID == "one"


@pytest.mark.parametrize("data", [bytes(128) + b"DICM" + file(letters=False), file(letters=False), b""])
def test_other_files_are_read_as_they_are(data: bytes) -> None:
    stream = io.BytesIO(data)
    assert for_pydicom(stream) is stream and stream.tell() == 0
    assert offset_of_first_element(data) == (132 if data[128:132] else 0)


def test_pixels_behind_such_a_header_are_not_read_into_memory() -> None:
    class Counted(io.BytesIO):
        total = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.total += len(data)
            return data

    stream = Counted(file(letters=True) + b"\xe0\x7f\x10\0OW\0\0\0\0\x10\0" + bytes(1 << 20))
    placed = for_pydicom(stream)
    assert dcmread(placed, stop_before_pixels=True, force=True).PatientID == "one"
    assert stream.total < 10_000
    assert placed.seek(-4, io.SEEK_END) == 132 + len(stream.getvalue()) - 4 and placed.read() == bytes(4)
