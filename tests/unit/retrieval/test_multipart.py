"""Multipart messages are split exactly, whatever the blocks they arrive in, and an end that is missing is noticed."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Iterator

import pytest

from dicomzarr.retrieval.multipart import BrokenOff, boundary_of, split

PARTS = [b"", b"\r\n", b"--b", b"\r\n--bb\r\n", b"\r\n--b-\r\n", b"\r\n--b x", b"plain\r\n", bytes(range(256)) * 3]
MESSAGE = b"a preamble\r\n" + b"".join(
    b"--b \t\r\nContent-Type: application/dicom\r\nX: y:z\r\n\r\n" + part + b"\r\n" for part in PARTS
)
END = b"--b--\r\nan epilogue"


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def parts_of(data: bytes, size: int) -> list[tuple[dict[str, str], bytes]]:
    return [(headers, b"".join(content)) for headers, content in split(blocks(data, size), b"b")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
def test_the_parts_are_what_was_sent(size: int) -> None:
    headers = {"content-type": "application/dicom", "x": "y:z"}
    assert parts_of(MESSAGE + END, size) == [(headers, part) for part in PARTS]


@pytest.mark.parametrize("size", [1, 4096])
def test_parts_without_headers_and_a_message_without_parts(size: int) -> None:
    assert parts_of(b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--", size) == [({}, b"x"), ({}, b"y")]
    assert parts_of(b"--b--", size) == []


def test_a_message_that_ends_early_is_noticed_wherever_it_ends() -> None:
    for end in range(len(MESSAGE) + 4):  # the closing boundary is whole with its fifth byte
        with pytest.raises(BrokenOff):
            parts_of((MESSAGE + END)[:end], 50)
    assert len(parts_of((MESSAGE + END)[: len(MESSAGE) + 5], 50)) == len(PARTS)


def test_what_is_not_read_of_a_part_is_skipped() -> None:
    message = blocks(MESSAGE + END, 11)
    assert sum(1 for _ in split(message, b"b")) == len(PARTS)


def test_a_long_part_passes_through_little_memory() -> None:
    megabyte = b"\r\n--".ljust(1 << 20, b"x")
    message = itertools.chain([b"--b\r\n\r\n"], itertools.repeat(megabyte, 64), [b"\r\n--b--"])
    tracemalloc.start()
    try:
        assert [sum(map(len, content)) for _, content in split(message, b"b")] == [64 << 20]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_page_without_a_boundary_is_no_message() -> None:
    with pytest.raises(BrokenOff):
        parts_of(b"<html>" * 1000, 100)
    with pytest.raises(BrokenOff):  # headers without an end
        parts_of(b"--b\r\n" + b"x" * (1 << 17), 1000)


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ('multipart/related; type="application/dicom"; boundary=abc', b"abc"),
        ('Multipart/Related;boundary="a b;c"; type=x', b"a b;c"),
        ("multipart/related", b""),
        ("text/html; boundary=abc", b""),
        ("", b""),
    ],
)
def test_the_boundary_is_that_of_the_header(content_type: str, boundary: bytes) -> None:
    assert boundary_of(content_type) == boundary
