"""The fast reader agrees with pydicom on any data set."""

from __future__ import annotations

import struct
from io import BytesIO

import pydicom
import pytest
from headers_of_bytes import both
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_headers import (
    EXPLICIT,
    IMPLICIT,
    Element,
    encode,
    file,
    image,
)

from dicomzarr.headers import data_set, fast_reader, item_walk
from dicomzarr.headers.attributes import WANTED

_texts = st.text("0123456789.-+eE \\ABC_\0", max_size=12)
_vrs = st.sampled_from(["CS", "DS", "IS", "LO", "UI", "US", "SS", "FD", "UN", "OB", "UL", "UT"])
_tags = st.one_of(
    st.sampled_from(sorted(WANTED)),
    st.integers(0x00080000, 0x0060FFFF).filter(lambda tag: tag >> 16 != 0 and tag != 0x00080005),
)


# Drawing takes nearly all of the time, hence many small data sets rather than few large ones.
def _elements(depth: int) -> st.SearchStrategy[Element]:
    plain = st.builds(
        Element,
        _tags,
        _vrs,
        st.one_of(_texts.map(lambda t: t.encode()), st.binary(max_size=9)).map(lambda v: v + b"\0" * (len(v) % 2)),
    )
    if not depth:
        return plain
    items = st.lists(_data_sets(depth - 1, 3), max_size=2).map(tuple)
    # Sequences only under tags of VR SQ or of no known VR: undefined lengths elsewhere are ambiguous.
    tags = st.one_of(
        st.sampled_from([0x00082112, 0x00283000, 0x00409096, 0x00540016, 0x00540022, 0x52009229]),
        st.integers(0x00090010, 0x0009FFFF),
    )
    return st.one_of(plain, st.builds(Element, tags, st.just("SQ"), items, st.booleans(), st.none(), st.booleans()))


def _data_sets(depth: int, most: int = 6) -> st.SearchStrategy[tuple[Element, ...]]:
    # No empty items: pydicom takes the delimiter after one for implicit VR and reads the item otherwise.
    return st.lists(_elements(depth), min_size=1, max_size=most, unique_by=lambda e: e.tag).map(
        lambda elements: tuple(sorted(elements, key=lambda e: e.tag))
    )


@settings(max_examples=300)
@given(_data_sets(3), st.sampled_from([EXPLICIT, IMPLICIT]), st.booleans())
def test_both_readers_agree(extra: tuple[Element, ...], syntax: str, overriding: bool) -> None:
    mine = {element.tag: element for element in image(syntax)}
    for element in extra:
        if overriding or element.tag not in mine:
            mine[element.tag] = element
    data = file(sorted(mine.values(), key=lambda e: e.tag), syntax)
    answer = both(data)
    if answer.outcome == "image":
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        offset = answer.facts["pixel"]["offset"]
        assert data[offset - 4 : offset] == struct.pack("<I", 48)
        if not overriding:
            assert dataset.SOPInstanceUID == answer.facts["SOPInstanceUID"]
            assert list(dataset.ImagePositionPatient) == answer.facts["ImagePositionPatient"]


@settings(max_examples=200)
@given(_data_sets(3), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_fast_reader_reads_well_formed_data(extra: tuple[Element, ...], syntax: str) -> None:
    elements = {element.tag: element for element in extra} | {element.tag: element for element in image(syntax)}
    content = encode(sorted(elements.values(), key=lambda e: e.tag), syntax)
    raw = fast_reader.read_raw(
        lambda length, offset: content[offset : offset + length], len(content), 0, syntax == IMPLICIT
    )
    assert raw.pixel is not None
    assert raw.pixel[2] == len(content) - 48


def test_blocks_may_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = Element(0x00082112, "SQ", (tuple(image()[:9]),) * 3, True, item_lengths_undefined=True)
    data = file(image(SourceImageSequence=sequence, Private=Element(0x00091010, "OB", bytes(300))))
    expected = both(data)
    for size in range(260, 700, 7):  # file meta information must fit into the first block
        for module in (data_set, fast_reader, item_walk):
            monkeypatch.setattr(module, "BLOCK", size)
        assert both(data) == expected
