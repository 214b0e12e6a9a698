"""Lookup tables that hold a text are refused; ramps and colours are not."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset

from dicomzarr.pixels.modality_lut import read_modality_lut
from dicomzarr.pixels.palette import read_palette
from dicomzarr.pixels.text_in_tables import holds_text
from dicomzarr.vocabulary.reasons import NotExtracted

TEXT = b"Zyxwolf^Canaria CANPID7719 19370203 "
WORDS = {
    "a character in each entry": [*TEXT],
    "of 8 bits in words": [byte << 8 for byte in TEXT],
    "of 8 bits, scaled": [byte * 257 for byte in TEXT],
    "two in each entry": [*struct.unpack("<18H", TEXT)],
    "two, in the other order": [*struct.unpack(">18H", TEXT)],
}


@pytest.mark.parametrize("form", WORDS)
@pytest.mark.parametrize("before", [0, 1, 200])
def test_a_text_is_seen_wherever_it_begins(form: str, before: int) -> None:
    assert holds_text([*[0] * before, *WORDS[form], *[0] * 20])


@given(st.integers(0, 65535), st.integers(-300, 300), st.integers(2, 4096))
def test_a_ramp_is_no_text(first: int, step: int, count: int) -> None:
    values = np.clip(first + step * np.arange(count), 0, 65535)
    assert not holds_text(values.tolist())
    assert not holds_text((values >> 8).tolist())


@given(st.integers(0, 2**32 - 1), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_colours_between_some_points_are_no_text(seed: int, one: int, two: int, three: int) -> None:
    points = np.interp(np.arange(256), [0, 60, 130, 255], [seed & 255, one, two, three])
    for values in (points.astype(int), points.astype(int) * 257, (points * 257).astype(int)):
        assert not holds_text(values.tolist())


@given(
    columns=st.integers(2, 8),
    rows=st.integers(16, 64),
    least=st.floats(0.4, 1),
    top=st.integers(60, 255),
    rising=st.booleans(),
)
def test_a_map_of_two_dimensions_is_no_text(columns: int, rows: int, least: float, top: int, rising: bool) -> None:
    brightness = np.linspace(0, 1, rows) if rising else np.linspace(1, 0, rows)
    table = np.outer(brightness * top, np.linspace(1, least, columns)).astype(int).ravel()
    for scale in (1, 256, 257):
        assert not holds_text((table * scale).tolist())


@given(st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 ^", min_size=24, max_size=64), st.integers(0, 255 - 64))
def test_a_text_within_a_map_is_seen(text: str, at: int) -> None:
    values = [ord(letter) for letter in text]
    table = np.outer(np.linspace(250, 0, 64), np.linspace(1, 0.6, 4)).astype(int).ravel().tolist()
    alone = holds_text([0, *values, 0])  # a word that turns often enough
    table[at : at + len(values)] = values
    assert holds_text(table) or not alone


def test_colours_of_labels_are_no_text() -> None:
    random = np.random.default_rng(7)
    tables = [random.integers(0, 256, 256) for _ in range(500)]
    assert not any(holds_text((table * scale).tolist()) for table in tables for scale in (1, 256, 257))
    assert not any(holds_text(random.integers(0, 65536, 4096).tolist()) for _ in range(100))


def palette(data: bytes, entries: int, bits: int) -> Dataset:
    header = Dataset()
    for colour in ("Red", "Green", "Blue"):
        setattr(header, f"{colour}PaletteColorLookupTableDescriptor", [entries, 0, bits])
        ramp = bytes(range(256)) * (len(data) // 256)
        setattr(header, f"{colour}PaletteColorLookupTableData", data if colour == "Green" else ramp)
    header.set_original_encoding(False, True, "")
    return header


@pytest.mark.parametrize(("bits", "size"), [(8, 256), (16, 512)])
def test_files_whose_tables_hold_a_text_are_refused(bits: int, size: int) -> None:
    text = (TEXT * 15)[:size]
    assert read_palette(palette(bytes(range(256)) * (size // 256), 256, bits))["bits"] == bits
    with pytest.raises(NotExtracted, match="invalid_attribute"):
        read_palette(palette(text, 256, bits))
    item = Dataset()
    item.LUTDescriptor = [256, 0, bits]
    item.add_new("LUTData", "OW", text)
    header = Dataset()
    header.ModalityLUTSequence = [item]
    header.set_original_encoding(False, True, "")
    with pytest.raises(NotExtracted, match="invalid_attribute"):
        read_modality_lut(header)
