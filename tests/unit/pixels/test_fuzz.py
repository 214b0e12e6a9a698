"""Mutated headers and frames end in a reason, in time and in silence. DICOMZARR_TEST_FULL=1 tries ten times as many."""

from __future__ import annotations

import io
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from canaries import pattern
from made_up_headers import BIG, DEFLATED, EXPLICIT, IMPLICIT, Element, file, image, text
from made_up_pixels import one_fragment_reader
from reference_cases import CASES, encoded
from traps import PIXEL_DATA, Traps, deflated

from dicomzarr.headers.classify import read_header
from dicomzarr.pixels.pixel_format import pixel_format
from dicomzarr.system import limits, sandbox
from dicomzarr.system.limits import Limits
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted
from dicomzarr.volumes import stacking
from dicomzarr.volumes.frames import frames_of

FULL = bool(os.environ.get("DICOMZARR_TEST_FULL"))
HEADERS, FRAMES = (50_000, 10_000) if FULL else (5000, 1000)
SECONDS = 10


def mutated(data: bytes, random: np.random.Generator, reach: int) -> bytes:
    """Return data with a few bytes changed, doubled, dropped or set to extremes, or cut."""
    out = bytearray(data)
    for _ in range(int(random.integers(1, 6))):
        reach = min(reach, len(out) - 8)  # what was dropped makes it shorter
        place = int(random.integers(reach))
        match int(random.integers(6)):
            case 0:
                out[place] = int(random.integers(256))
            case 1:
                out[place : place + 4] = [b"\xff\xff\xff\xff", b"\xfe\xff\xff\x7f", bytes(4), b"\0\0\0\x80"][place % 4]
            case 2:
                out[place:place] = out[place : place + int(random.integers(1, 40))]
            case 3:
                del out[place : place + int(random.integers(1, 20))]
            case 4:
                out[place] ^= 1 << int(random.integers(8))
            case 5:
                other = int(random.integers(reach))
                out[place : place + 8], out[other : other + 8] = out[other : other + 8], out[place : place + 8]
    if random.integers(8) == 0:
        del out[int(random.integers(len(out))) :]
    return bytes(out)


@contextmanager
def in_time() -> Iterator[None]:
    """Fail where the block takes more processor time than the limit."""

    def late(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@pytest.fixture(autouse=True)
def limited() -> Iterator[None]:
    before = limits.current()
    limits.use(Limits(seconds=SECONDS, megabytes=before.megabytes))
    yield
    sandbox.end()
    limits.use(before)


def seeds(folder: Path) -> list[bytes]:
    """Return headers of many kinds, each with canaries."""
    traps = Traps(folder)
    plane = Element(0x00209113, "SQ", ((text(0x00200032, "DS", "1\\2\\3"),),))
    groups = Element(0x52009230, "SQ", ((plane,), (plane,)), undefined=True, item_lengths_undefined=True)
    palette = {
        name: Element(tag, "US" if tag < 0x00281200 else "OW", value)
        for name, tag, value in (
            *((f"Descriptor{n}", 0x00281100 + n, np.array([4, 0, 16], "<u2").tobytes()) for n in (1, 2, 3)),
            *((f"Data{n}", 0x00281200 + n, bytes(8)) for n in (1, 2, 3)),
        )
    }
    lut = (Element(0x00283002, "US", np.array([2, 0, 16], "<u2").tobytes()), Element(0x00283006, "OW", bytes(4)))
    kinds: list[dict[str, Element | None]] = [
        {},
        {"PerFrame": groups, "NumberOfFrames": text(0x00280008, "IS", "2"), "PixelData": None},
        {**palette, "PhotometricInterpretation": text(0x00280004, "CS", "PALETTE COLOR")},
        {"LUT": Element(0x00283000, "SQ", (lut,)), "Nested": Element(0x00081140, "SQ", ((plane,),), undefined=True)},
        {"Vector": text(0x00181065, "DS", "1\\2\\3"), "NumberOfFrames": text(0x00280008, "IS", "2")},
    ]
    headers = []
    for syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED):
        for kind in kinds:
            wire = EXPLICIT if syntax == DEFLATED else syntax
            pixels = {"PixelData": Element(PIXEL_DATA, "OW", bytes(96))} if "NumberOfFrames" in kind else {}
            content = file(image(wire, **traps.identity(**(kind | pixels))), wire, syntax)
            if syntax == DEFLATED:
                start = content.index(b"\x08\0\x05\0")
                content = content[:start] + deflated(content[start:])
            headers.append(content)
    return headers


def laid_out(data: bytes, facts: Any) -> str:
    """Lay out the frames of a header as extraction does; return the reason where that fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            form = pixel_format(facts)
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, force=True)
            stacking.lay_out(frames_of(0, "c" * 64, facts, form, header), tolerance=0.001)
    except NotExtracted as error:
        return error.code
    return ""


def test_mutated_headers(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    whole, random = seeds(tmp_path), np.random.default_rng(5)
    outcomes: dict[str, int] = {}
    for turn in range(HEADERS):
        data = mutated(whole[turn % len(whole)], random, 4000)
        with in_time(), warnings.catch_warnings():
            warnings.simplefilter("error")
            header = read_header(lambda length, offset, data=data: data[offset : offset + length], len(data))
        assert header.outcome == "image" or REASONS[header.reason].outcome == header.outcome
        assert not pattern().search(repr((header.reason, header.flags)).encode())
        reason = header.reason
        if header.outcome == "image":
            try:
                reason = sandbox.call(laid_out, data, header.facts, fault="unreadable_header")
            except NotExtracted as error:
                reason = error.code
        outcomes[reason] = outcomes.get(reason, 0) + 1
    assert outcomes[""] > HEADERS // 10 and len(outcomes) > 5 and "timeout" not in outcomes
    output = "".join(capfd.readouterr()) + caplog.text
    assert not pattern().search(output.encode())


KINDS = [
    *("rle 16 grey", "rle 8 rgb", "jpeg 8 rgb", "jpeg 12", "lossless jpeg 12 predictor 1", "jpeg-ls 12", "jpeg-ls rgb"),
    *("jpeg 2000 12 signed", "jpeg 2000 rgb by rct", "htj2k 16 signed", "htj2k rgb", "htj2k 24", "jpeg xl 16"),
    *("jpeg xl rgb", "deflated 16", "uncompressed 16"),
]


def test_mutated_frames(capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(6)
    outcomes: dict[str, int] = {}
    for turn in range(FRAMES):
        case = next(case for case in CASES if case.name == KINDS[turn % len(KINDS)])
        data = mutated(encoded(case), random, 100 if turn % 2 else 1 << 20)
        header = {"BitsStored": case.bits, "HighBit": case.bits - 1, **dict(case.header)}
        reason = ""
        try:
            reader = one_fragment_reader(data, case.syntax, case.array, **header)
            frame = reader[0]
            assert frame.pixels.shape == case.array.shape and frame.pixels.dtype == case.array.dtype
            reader.cross_check(0, frame)
        except NotExtracted as error:
            reason = error.code
            assert error.__cause__ is None
        outcomes[reason] = outcomes.get(reason, 0) + 1
    assert "timeout" not in outcomes and "internal_error" not in outcomes
    assert outcomes["decode_error"] > FRAMES // 10
    assert not pattern().search("".join(capfd.readouterr()).encode())
