"""Palette colour lookup tables: declared and stored width, segments, and tables that contradict themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.pixels.palette import read_palette
from dicomzarr.vocabulary.reasons import NotExtracted

WHEEL = Path(__import__("pydicom").__file__).parent / "data"


def test_palette_of_the_wheel() -> None:
    import pydicom

    table = read_palette(pydicom.dcmread(next(WHEEL.rglob("examples_palette.dcm"))))
    assert (table["first"], table["bits"]) == (0, 16)
    assert [len(table[colour]) for colour in ("red", "green", "blue")] == [256, 256, 256]  # type: ignore[literal-required]


def palette_of(descriptor: list[int], name: str, data: bytes) -> Any:
    from pydicom import Dataset

    dataset = Dataset()
    dataset.set_original_encoding(False, True, "iso8859")
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", descriptor)
        setattr(dataset, name.format(colour), data)
    return dataset


def test_palettes_of_8_and_16_bits_and_segments() -> None:
    plain, segmented = "{}PaletteColorLookupTableData", "Segmented{}PaletteColorLookupTableData"
    assert read_palette(palette_of([4, 10, 8], plain, bytes([1, 2, 3, 255])))["red"] == [1, 2, 3, 255]
    assert read_palette(palette_of([2, 0, 8], plain, bytes([1, 0, 255, 0])))["green"] == [1, 255]  # a word each
    assert read_palette(palette_of([2, -5, 16], plain, bytes([1, 1, 255, 255])))["blue"] == [257, 65535]
    assert read_palette(palette_of([2, -5, 16], plain, bytes(4)))["first"] == -5
    # PS3.3 C.7.9.2: two discrete entries, then a line of four to 100
    words = np.array([0, 2, 10, 20, 1, 4, 100], "<u2").tobytes()
    assert read_palette(palette_of([6, 0, 16], segmented, words))["red"] == [10, 20, 40, 60, 80, 100]
    for broken in (palette_of([9, 0, 16], plain, bytes(4)), palette_of([2, 0, 8], plain, b"\1")):
        with pytest.raises(NotExtracted, match="invalid_attribute"):
            read_palette(broken)


PLAIN, SEGMENTED = "{}PaletteColorLookupTableData", "Segmented{}PaletteColorLookupTableData"


def bits_and_entries(descriptor: list[int], name: str, data: bytes) -> tuple[int, list[int]]:
    table = read_palette(palette_of(descriptor, name, data))
    assert table["red"] == table["green"] == table["blue"]
    assert table.get("declared_bits", table["bits"]) == descriptor[2]
    return table["bits"], table["red"]


def words(*values: int) -> bytes:
    return np.array(values, "<u2").tobytes()


@pytest.mark.parametrize(
    ("descriptor", "data", "expected"),
    [
        # declared 16, stored 8: also with the byte that makes the length even
        ([4, 0, 16], bytes([1, 2, 3, 255]), (8, [1, 2, 3, 255])),
        ([3, 0, 16], bytes([1, 2, 255, 0]), (8, [1, 2, 255])),
        ([255, 0, 16], bytes(range(255)) + b"\0", (8, list(range(255)))),
        # declared 8, stored 16
        ([3, 0, 8], words(0, 300, 65535), (16, [0, 300, 65535])),
        ([3, 0, 8], words(0, 30, 255), (8, [0, 30, 255])),  # a word for each entry of 8 bits
        # other declarations
        ([3, 0, 12], words(0, 30, 4095), (12, [0, 30, 4095])),
        ([3, 0, 12], words(0, 30, 65535), (16, [0, 30, 65535])),
        ([3, 0, 12], bytes([7, 8, 9, 0]), (8, [7, 8, 9])),
        ([3, 0, 0], words(0, 30, 65535), (16, [0, 30, 65535])),
        ([3, 0, 32], bytes([7, 8, 9, 0]), (8, [7, 8, 9])),
        # no contradiction
        ([3, 0, 8], bytes([7, 8, 9, 0]), (8, [7, 8, 9])),
        ([1, 0, 8], bytes([7, 0]), (8, [7])),
        ([1, 0, 16], words(700), (16, [700])),
        ([2, 0, 16], words(1, 2, 3, 4), (16, [1, 2])),
    ],
)
def test_the_length_of_the_data_decides(descriptor: list[int], data: bytes, expected: tuple[int, list[int]]) -> None:
    assert bits_and_entries(descriptor, PLAIN, data) == expected


def test_a_count_of_0_is_65536() -> None:
    values = list(range(65536))
    assert bits_and_entries([0, 0, 16], PLAIN, words(*values)) == (16, values)
    bytes_ = [value % 256 for value in values]
    assert bits_and_entries([0, 0, 16], PLAIN, bytes(bytes_)) == (8, bytes_)
    with pytest.raises(NotExtracted, match="invalid_attribute"):
        bits_and_entries([0, 0, 16], PLAIN, words(1, 2, 3))


@pytest.mark.parametrize("missing", [1, 2, 100, 127])
def test_a_table_of_words_that_lacks_entries_is_none_of_bytes(missing: int) -> None:
    data = words(*range(256 - missing))
    for declared in (12, 16):
        with pytest.raises(NotExtracted, match="invalid_attribute"):
            bits_and_entries([256, 0, declared], PLAIN, data)
    assert bits_and_entries([256, 0, 8], PLAIN, data) == (8, list(data[:256]))  # more bytes than entries
    assert bits_and_entries([256, 0, 16], PLAIN, words(*range(128))) == (8, list(words(*range(128))))


def test_numbers_are_entries_of_16_bits_whatever_their_size() -> None:
    dataset = palette_of([3, 0, 16], PLAIN, b"")
    for colour in ("Red", "Green", "Blue"):
        dataset[PLAIN.format(colour)].VR = "US"
        dataset[PLAIN.format(colour)].value = [1, 2, 255]
    assert read_palette(dataset)["red"] == [1, 2, 255]
    assert read_palette(dataset)["bits"] == 16


def test_segments_whose_declared_width_is_wrong() -> None:
    in_bytes, in_words = bytes([0, 2, 10, 20, 1, 4, 100, 0]), words(0, 2, 10, 20, 1, 4, 100)
    entries = [10, 20, 40, 60, 80, 100]
    assert bits_and_entries([6, 0, 8], SEGMENTED, in_bytes) == (8, entries)
    assert bits_and_entries([6, 0, 16], SEGMENTED, in_bytes) == (8, entries)
    assert bits_and_entries([6, 0, 16], SEGMENTED, in_words) == (16, entries)
    assert bits_and_entries([6, 0, 8], SEGMENTED, words(0, 2, 10, 20, 1, 4, 1000)) == (
        16,
        [10, 20, 265, 510, 755, 1000],
    )
    with pytest.raises(NotExtracted, match="invalid_attribute"):
        bits_and_entries([7, 0, 16], SEGMENTED, in_bytes)


def test_segments_may_repeat_others() -> None:
    """PS3.3 C.7.9.2.3: opcode 2, the number of segments, and their offset, whose least significant word comes first."""
    in_bytes = bytes([0, 1, 5, 0, 2, 10, 20, 2, 1, 3, 0, 0, 0, 0])
    assert bits_and_entries([5, 0, 8], SEGMENTED, in_bytes) == (8, [5, 10, 20, 10, 20])
    in_words = words(0, 2, 10, 2000, 2, 1, 0, 0)
    assert bits_and_entries([4, 0, 16], SEGMENTED, in_words) == (16, [10, 2000, 10, 2000])


def test_colours_of_different_widths_are_not_extracted() -> None:
    dataset = palette_of([4, 0, 16], PLAIN, bytes(range(4)))
    dataset.BluePaletteColorLookupTableData = words(1, 2, 3, 4)
    with pytest.raises(NotExtracted, match="invalid_attribute"):
        read_palette(dataset)


@given(
    values=st.lists(st.integers(0, 65535), min_size=2, max_size=300),
    declared=st.sampled_from([8, 16]),
    stored=st.sampled_from([8, 16]),
)
def test_any_table_is_read_by_its_length(values: list[int], declared: int, stored: int) -> None:
    values = [value % (1 << stored) for value in values]
    data = words(*values) if stored == 16 else bytes(values) + b"\0" * (len(values) % 2)
    bits, entries = bits_and_entries([len(values), 0, declared], PLAIN, data)
    assert entries == values
    assert bits == (8 if stored == 16 and declared == 8 and max(values) < 256 else stored)
