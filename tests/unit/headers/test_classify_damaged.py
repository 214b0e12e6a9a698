"""Headers that are cut, hostile or mutated: each gets a reason, and none takes long."""

from __future__ import annotations

import json
import os
import random
import struct
import time
from pathlib import Path

import pytest
from conftest import CORPUS
from headers_of_bytes import NATIVE, both, deflated, read, reason_of
from made_up_headers import (
    BIG,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    UNDEFINED,
    Element,
    encode,
    file,
    head,
    image,
    meta,
    number,
    text,
)

from dicomzarr.headers.classify import read_header
from dicomzarr.vocabulary.reasons import REASONS

# --- cut files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", NATIVE)
def test_cut_anywhere_is_never_an_image(syntax: str) -> None:
    data = file(image(syntax), syntax)
    for length in range(133, len(data)):
        outcome, reason = reason_of(data[:length])
        # Cut cleanly between two elements, a file is the same as one that was written without pixels.
        assert outcome == "quarantined" or reason in ("no_pixel_data", "missing_pixel_data"), length
        if length > len(data) - 48:
            assert reason == "truncated_pixel_data"


@pytest.mark.parametrize("syntax", NATIVE)
def test_zeros_in_place_of_the_rest_of_a_file_are_no_header_without_pixels(syntax: str) -> None:
    """A copy that was interrupted has all bytes of a file where the system reserved them, the last of them 0."""
    for elements in (image(syntax, PixelData=None), image(syntax)[:9]):
        header = file(elements, syntax)
        odd = 1001 - len(header) % 2
        for count in (odd + 25_000, odd + 600_000):
            assert reason_of(header + bytes(count)) == ("quarantined", "truncated_header")
        for block in (512, 2048, 32_768):  # the writer filled up a block
            assert both(header + bytes(-len(header) % block)).outcome == "skipped"
    overlay = Element(0x60003000, "OW", bytes(30_000))
    assert reason_of(file(image(syntax, PixelData=None, Overlay=overlay), syntax)) == ("skipped", "missing_pixel_data")


@pytest.mark.parametrize("fill", [b"", b"\0", b"\xff"], ids=["cut", "zeros", "ones"])
@pytest.mark.parametrize("has_pixels", [True, False])
def test_a_deflated_data_set_without_its_end_is_truncated(fill: bytes, has_pixels: bool) -> None:
    """zlib takes zeros for codes of bytes: where the end was never written, it made up pixels, or zeros for padding."""
    rows, columns = number(0x00280010, 60), number(0x00280011, 60)
    pixels = Element(0x7FE00010, "OW", bytes(random.Random(2).choices(range(7), k=7200))) if has_pixels else None
    whole = deflated(encode(image(Rows=rows, Columns=columns, PixelData=pixels), EXPLICIT))
    assert both(whole).outcome == ("image" if has_pixels else "skipped")
    for lost in (*range(2, 40), *range(40, len(whole) - len(meta(DEFLATED)) - 20, 11)):
        answer = both(whole[:-lost] + fill * lost)
        assert answer.outcome == "quarantined", (lost, answer.reason)
        assert answer.reason in ("truncated_pixel_data", "truncated_header", "unreadable_header")


# --- hostile structure -------------------------------------------------------------------------------------------


def test_tags_out_of_order_and_twice() -> None:
    elements = image()
    elements[3], elements[5] = elements[5], elements[3]
    assert both(file(elements)).outcome == "image"
    doubled = [*elements[:-1], number(0x00280010, 4), elements[-1]]
    assert both(file(doubled)).outcome == "image"
    contradictory = [*elements[:-1], number(0x00280010, 5), elements[-1]]
    assert reason_of(file(contradictory)) == ("quarantined", "unreadable_header")


@pytest.mark.parametrize("levels", [15, 40, 20_000])
def test_deep_nesting(levels: int) -> None:
    opening = head(0x00082112, "SQ", UNDEFINED, EXPLICIT) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    data = meta() + encode(image()[:4], EXPLICIT) + opening * levels + closing * levels + encode(image()[4:], EXPLICIT)
    answer = both(data) if levels < 100 else read(data)
    assert answer.outcome == ("image" if levels < 100 else "quarantined")


def test_unknown_of_undefined_length_is_implicit_inside() -> None:
    # PS3.5 6.2.2: a sequence whose VR the writer did not know
    inside = Element(0x00091001, "SQ", ((text(0x00080060, "CS", "XX"),),), undefined=True).encode(IMPLICIT)[8:]
    unknown = head(0x00091001, "UN", UNDEFINED, EXPLICIT) + inside
    data = meta() + encode(image()[:4], EXPLICIT) + unknown + encode(image()[4:], EXPLICIT)
    assert both(data).outcome == "image"


def test_undefined_length_that_never_ends() -> None:
    data = meta() + encode(image()[:4], EXPLICIT) + head(0x00082112, "SQ", UNDEFINED, EXPLICIT)
    assert reason_of(data + encode(image()[4:], EXPLICIT))[0] == "quarantined"
    assert reason_of(data) == ("quarantined", "truncated_header")


def test_huge_declared_lengths_allocate_nothing() -> None:
    for tag, vr in ((0x00091010, "OB"), (0x3004000C, "UT"), (0x00281221, "OW")):
        elements = encode(image()[:4], EXPLICIT) + head(tag, vr, 0xFFFFFFF0, EXPLICIT)
        assert reason_of(meta() + elements + bytes(64)) == ("quarantined", "truncated_header")


def test_sparse_file_of_zeros_is_given_up_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(file(image()[:4]))
    os.truncate(path, 2 << 30)
    with open(path, "rb") as source:
        sizes: list[int] = []

        def counted(length: int, offset: int) -> bytes:
            block = os.pread(source.fileno(), length, offset)
            sizes.append(len(block))
            return block

        answer = read_header(counted, 2 << 30)
    assert (answer.outcome, answer.reason) == ("quarantined", "unreadable_header")
    assert len(sizes) < 25 and sum(sizes) < 1 << 20


def test_long_identifier_is_refused() -> None:
    for value in (b"1" * 70_000, b"1" * (2 << 20)):
        elements = image(SOPInstanceUID=Element(0x00080018, "UI", value))
        assert reason_of(file(elements, IMPLICIT)) == ("quarantined", "invalid_attribute")


def test_a_read_error_is_raised_and_not_blamed_on_the_header() -> None:
    data = file(image(BIG), BIG)  # big endian: pydicom reads it

    def failing(length: int, offset: int) -> bytes:
        if offset > 400:
            raise OSError(5, "Input/output error")
        return data[offset : offset + length]

    with pytest.raises(OSError, match="Input/output"):
        read_header(failing, len(data))


# --- fuzz --------------------------------------------------------------------------------------------------------


def _mutated(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        place = random_.randrange(len(changed))
        match random_.randrange(6):
            case 0:
                changed[place] = random_.randrange(256)
            case 1:
                changed[place : place + 4] = random_.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"))
            case 2:
                del changed[place : place + random_.randrange(1, 40)]
            case 3:
                changed[place:place] = random_.randbytes(random_.randrange(1, 40))
            case 4:
                changed[place : place + 2] = random_.choice((b"SQ", b"UN", b"OB", b"UT", b"US", b"??"))
            case _:
                del changed[place:]
        if not changed:
            return b""
    return bytes(changed)


def test_fuzz_never_fails_and_never_hangs() -> None:
    random_ = random.Random(20240501)
    nested = Element(0x00082112, "SQ", (tuple(image()[:9]),) * 2, True, item_lengths_undefined=True)
    seeds = [file(image(syntax, SourceImageSequence=nested), syntax) for syntax in NATIVE]
    seeds += [encode(image(syntax), syntax) for syntax in NATIVE] + [deflated(encode(image(), EXPLICIT))]
    slowest = 0.0  # s of processor time
    for _ in range(2000):
        data = _mutated(random_.choice(seeds), random_)
        began = time.thread_time()
        answer = read(data)
        slowest = max(slowest, time.thread_time() - began)
        assert answer.outcome == "image" or REASONS[answer.reason].outcome == answer.outcome
        json.dumps(answer.facts, allow_nan=False)
    assert slowest < 1


def test_nothing_is_printed_or_logged(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    bad = [
        image(Charset=text(0x00080005, "CS", "CANARY")),
        image(Rows=text(0x00280010, "LO", "CANARY")),
        [*image(), text(0x00080060, "CS", "CANARY")],
    ]
    for elements in bad:
        read(file(elements), use_fast=False)
        read(file(elements, IMPLICIT, EXPLICIT), use_fast=False)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not list(recwarn)


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the open corpus is not beside the repository")
def test_fuzz_of_real_headers() -> None:
    random_ = random.Random(7)
    paths = sorted(path for path in (CORPUS / "dicom").rglob("*") if path.is_file())
    for path in random_.sample(paths, 60):
        whole = path.read_bytes()
        header, rest = whole[:4000], whole[4000:]
        for _ in range(10):
            answer = read(_mutated(header, random_) + rest)
            assert answer.outcome == "image" or answer.reason in REASONS
