"""What the lean reader remembers of earlier headers makes it faster, and changes nothing that it finds."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from dicomzarr.headers import lean, memory
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.lean import RawHeader, Truncated, Unclear, read_raw

# Wanted, not wanted and of text, not wanted and of numbers, private, and one whose length takes four bytes.
TAGS = sorted(
    {*sorted(WANTED)[:30], 0x00080050, 0x00100010, 0x00100030, 0x00181000, 0x00181150, 0x00190010, 0x00191008}
)
CODES = {"LO": b"LO", "US": b"US", "OB": b"OB\0\0"}


def encoded(tag: int, vr: str, value: bytes, implicit: bool) -> bytes:
    group, element = tag >> 16, tag & 0xFFFF
    if implicit:
        return struct.pack("<HHI", group, element, len(value)) + value
    head = struct.pack("<HH", group, element) + CODES[vr]
    return head + struct.pack("<I" if vr == "OB" else "<H", len(value)) + value


VALUES = st.sampled_from([b"", b"AB", b"CD", b"1.2.840 ", b"x" * 1500])
ELEMENT = st.tuples(st.sampled_from(["LO"] * 9 + ["US", "OB"]), VALUES)
LONG = ("OB", b"y" * 20_000)
Elements = dict[int, tuple[str, bytes]]


@pytest.fixture(scope="module", autouse=True)
def short_headers() -> Iterator[None]:
    """Let short headers be compared as well."""
    many, memory.MANY = memory.MANY, 1
    yield
    memory.MANY = many


@st.composite
def series(draw: st.DrawFn) -> list[Elements]:
    """Draw headers of which each differs little from the first."""
    first = {tag: draw(ELEMENT) for tag in TAGS if draw(st.integers(0, 9))}
    changes = st.dictionaries(st.sampled_from(TAGS), ELEMENT | st.just(LONG), max_size=3)
    return [first, *({**first, **draw(changes)} for _ in range(draw(st.integers(1, 5))))]


def read(data: bytes, implicit: bool) -> RawHeader | str:
    try:
        return read_raw(lambda n, at: data[at : at + n], len(data), 0, implicit, WANTED, data[: lean.BLOCK])
    except (Unclear, Truncated) as error:
        return type(error).__name__


@pytest.mark.parametrize("implicit", [False, True])
@settings(max_examples=100, deadline=None)
@given(headers=series(), cut=st.integers(0, 30), moved=st.none() | st.tuples(st.integers(0, 30), st.integers(0, 30)))
def test_memory_changes_nothing(
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
        memory.MEMORIES.clear()
        cold.append(read(data, implicit))
    memory.MEMORIES.clear()
    known = memory.MEMORIES.setdefault((implicit, WANTED), memory.Memory())
    warm = []
    for data in [*files, *files]:
        known._left = 0  # compare each header with the one before
        warm.append(read(data, implicit))
    assert warm == [*cold, *cold]
    event(f"runs: {min(len(known.runs), 3)}")


def test_headers_that_are_alike_are_read_in_runs() -> None:
    values = dict.fromkeys(TAGS, ("LO", b"AB"))
    alike = b"".join(encoded(tag, *values[tag], True) for tag in TAGS) + encoded(0x7FE00010, "OB", b"pixels", True)
    memory.MEMORIES.clear()
    for _ in range(3):
        read(alike, True)
    (run,) = memory.MEMORIES[True, WANTED].runs.values()
    assert alike.startswith(run.data) and run.elements > 30
    memory.MEMORIES.clear()


def test_headers_with_nothing_in_common_are_compared_seldom() -> None:
    known, compared = memory.Memory(), 0
    for number in range(2000):
        before = known._left
        known.compare(b"%d" % number, 0, 99)
        compared += known._left >= before
    assert compared < 20


def test_a_known_run_out_of_order_is_unclear() -> None:
    parts = [encoded(tag, "LO", b"AB", True) for tag in TAGS]
    memory.MEMORIES.clear()
    for _ in range(3):
        assert read(b"".join([*parts, encoded(0x7FE00010, "OB", b"pixels", True)]), True) != "Unclear"
    later = encoded(0x00991010, "LO", b"AB", True)
    assert read(b"".join([later, *parts, encoded(0x7FE00010, "OB", b"pixels", True)]), True) == "Unclear"
    memory.MEMORIES.clear()
