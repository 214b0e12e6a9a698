"""The cache of repeated elements makes the fast reader faster and changes no result."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from headers_of_bytes import both
from hypothesis import event, given, settings
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, file, image, number, text

from dicomzarr.dicom.vr import NAMING
from dicomzarr.headers import fast_reader, repeated_elements
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.fast_reader import RawHeader, Truncated, Unclear, read_raw

# Wanted, not wanted and of text, not wanted and of numbers, private, and some whose length takes four bytes: sequences
# that name nobody and that name people.
TAGS = sorted(
    {*sorted(WANTED)[:30], 0x00080050, 0x00100010, 0x00100030, 0x00181000, 0x00181150, 0x00190010, 0x00191008}
    | {0x00081140, 0x00082218, 0x00181210, *sorted(NAMING)[:2]}
)
CODES = {"LO": b"LO", "US": b"US", "OB": b"OB\0\0", "SQ": b"SQ\0\0", "UT": b"UT\0\0", "UN": b"UN\0\0"}
ITEMS = {  # of a sequence of undefined length, and so that it lacks its end
    "open": struct.pack("<HHI", 0xFFFE, 0xE000, 12) + struct.pack("<HH4sI", 8, 0x1150, b"UI\4\0", 0x30302E31),
    "torn": struct.pack("<HHI", 0xFFFE, 0xE000, 8),
}


def encoded(tag: int, vr: str, value: bytes, implicit: bool) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if vr in ITEMS:
        head = b"" if implicit else CODES["UN" if value == b"AB" else "SQ"]
        end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) if vr == "open" else b""
        return struct.pack("<HH", group, element) + head + b"\xff" * 4 + ITEMS[vr] + end
    if implicit:
        return struct.pack("<HHI", group, element, len(value)) + value
    head = struct.pack("<HH", group, element) + CODES[vr]
    return head + struct.pack("<I" if len(CODES[vr]) > 2 else "<H", len(value)) + value


VALUES = st.sampled_from([b"", b"AB", b"CD", b"1.2.840 ", b"x" * 1500])
ELEMENT = st.tuples(st.sampled_from(["LO"] * 18 + ["US", "OB", "SQ", "SQ", "UT", "open", "open"]), VALUES)
TORN = ("torn", b"")
LONG = ("OB", b"y" * 20_000)
Elements = dict[int, tuple[str, bytes]]


@pytest.fixture(scope="module", autouse=True)
def short_headers() -> Iterator[None]:
    """Let short headers be compared as well."""
    minimum, repeated_elements.MIN_SINGLE = repeated_elements.MIN_SINGLE, 1
    yield
    repeated_elements.MIN_SINGLE = minimum


@st.composite
def series(draw: st.DrawFn) -> list[Elements]:
    """Draw headers of which each differs little from the first."""
    first = {tag: draw(ELEMENT) for tag in TAGS if draw(st.integers(0, 9))}
    changes = st.dictionaries(st.sampled_from(TAGS), ELEMENT | st.sampled_from([LONG, TORN]), max_size=3)
    return [first, *({**first, **draw(changes)} for _ in range(draw(st.integers(1, 5))))]


def read(data: bytes, implicit: bool) -> RawHeader | str:
    try:
        return read_raw(lambda n, at: data[at : at + n], len(data), 0, implicit, WANTED, data[: fast_reader.BLOCK])
    except (Unclear, Truncated) as error:
        return type(error).__name__


@pytest.mark.parametrize("implicit", [False, True])
@settings(max_examples=100)
@given(headers=series(), cut=st.integers(0, 30), moved=st.none() | st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_cache_changes_no_result(
    implicit: bool, headers: list[Elements], cut: int, moved: tuple[int, int] | None
) -> None:
    files = []
    for header in headers:
        parts = [encoded(tag, *header[tag], implicit) for tag in sorted(header)]
        if moved and header is headers[-1]:
            parts.insert(moved[1], parts.pop(moved[0] % len(parts)))
        files.append(b"".join([*parts, encoded(0x7FE00010, "OB", b"pixels", implicit)]))
    files.append(files[-1][: max(len(files[-1]) - cut, 0)])
    cold = []
    for data in files:
        repeated_elements.HEADER_CACHES.clear()
        cold.append(read(data, implicit))
    repeated_elements.HEADER_CACHES.clear()
    cache = repeated_elements.HEADER_CACHES.setdefault((implicit, WANTED), repeated_elements.HeaderCache())
    warm = []
    for data in [*files, *files]:
        cache._left = 0  # compare each header with the one before
        warm.append(read(data, implicit))
    assert warm == [*cold, *cold]
    event(f"runs: {min(len(cache.runs), 3)}")


def test_equal_elements_are_read_in_runs() -> None:
    values = dict.fromkeys(TAGS, ("LO", b"AB"))
    alike = b"".join(encoded(tag, *values[tag], True) for tag in TAGS) + encoded(0x7FE00010, "OB", b"pixels", True)
    repeated_elements.HEADER_CACHES.clear()
    for _ in range(3):
        read(alike, True)
    (run,) = repeated_elements.HEADER_CACHES[True, WANTED].runs
    assert alike.startswith(run.data) and run.elements > 30
    repeated_elements.HEADER_CACHES.clear()


def test_a_run_continues_after_sequences_and_long_values() -> None:
    parts = [encoded(tag, "LO", b"AB", False) for tag in TAGS if tag < 0x00081140]
    parts += [encoded(0x00081140, "SQ", b"x" * 20, False), encoded(0x00082218, "open", b"", False)]
    parts += [encoded(tag, "LO", b"AB", False) for tag in TAGS if tag > 0x00082218 and tag not in NAMING]
    parts += [encoded(0x00991010, "OB", b"z" * 9000, False), encoded(0x7FE00010, "OB", b"pixels", False)]
    repeated_elements.HEADER_CACHES.clear()
    headers = [read(b"".join(parts), False) for _ in range(3)]
    (run,) = repeated_elements.HEADER_CACHES[False, WANTED].runs
    assert run.data == b"".join(parts[:-1]) and headers[0] == headers[1] == headers[2]
    repeated_elements.HEADER_CACHES.clear()


def test_headers_with_nothing_in_common_are_compared_seldom() -> None:
    cache, compared = repeated_elements.HeaderCache(), 0
    for turn in range(2000):
        before = cache._left
        cache.compare(b"%d" % turn, 0, 99, lambda data, position: None)
        compared += cache._left >= before
    assert compared < 20


def test_a_cached_run_out_of_order_is_unclear() -> None:
    parts = [encoded(tag, "LO", b"AB", True) for tag in TAGS]
    repeated_elements.HEADER_CACHES.clear()
    for _ in range(3):
        assert read(b"".join([*parts, encoded(0x7FE00010, "OB", b"pixels", True)]), True) != "Unclear"
    later = encoded(0x00991010, "LO", b"AB", True)
    assert read(b"".join([later, *parts, encoded(0x7FE00010, "OB", b"pixels", True)]), True) == "Unclear"
    repeated_elements.HEADER_CACHES.clear()


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_repeated_values_follow_the_pixel_representation_of_their_file(syntax: str) -> None:
    repeated_elements.HEADER_CACHES.clear()
    alike = {
        "SmallestImagePixelValue": number(0x00280106, 65000, syntax),
        "LargestImagePixelValue": number(0x00280107, 65535, syntax),
        "PixelPaddingValue": number(0x00280120, 65001, syntax),
        "WindowCenter": text(0x00281050, "DS", "40\\400"),
        "RescaleIntercept": text(0x00281052, "DS", "NaN"),
        "RescaleSlope": text(0x00281053, "DS", "1"),
    }
    read_headers = []
    for turn in range(40):
        signed = number(0x00280103, turn % 2, syntax)
        instance = text(0x00200013, "IS", str(turn))
        elements = image(syntax, InstanceNumber=instance, PixelRepresentation=signed, **alike)
        read_headers.append(both(file(elements, syntax)))
    (cache,) = repeated_elements.HEADER_CACHES.values()
    repeated_elements.HEADER_CACHES.clear()
    assert any(run.meanings for run in cache.runs)
    assert [header.facts["PixelPaddingValue"] for header in read_headers] == [65001, -535] * 20
    assert [header.facts["InstanceNumber"] for header in read_headers] == list(range(40))
