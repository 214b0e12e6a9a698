"""Functional groups read without pydicom: equal frames, or left to pydicom."""

from __future__ import annotations

import os
import struct
import tempfile
import warnings
from functools import partial
from typing import Any

import pytest
from frames_from_files import MadeUpFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, head, meta
from pydicom.datadict import dictionary_VR, tag_for_keyword

from dicomzarr.headers.reading import Unclear
from dicomzarr.stages.extract_batch.frame_headers import read_frame_items
from dicomzarr.stages.extract_batch.series_files import read_data_set
from dicomzarr.volumes.frames import frames_of
from dicomzarr.volumes.functional_groups import PHILIPS, attributes_read, sequences_read

UNDEFINED = 0xFFFFFFFF
END_OF_ITEM, END_OF_SEQUENCE = b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
SEQUENCES, ATTRIBUTES = sorted(sequences_read()), sorted(attributes_read())


def tag(keyword: str) -> int:
    return tag_for_keyword(keyword) or 0


def element(number: int, vr: str, value: bytes) -> bytes:
    return head(number, vr, len(value), EXPLICIT) + value


def of_items(items: list[bytes], open_items: bool, open_end: bool, number: int) -> bytes:
    """Return a sequence; its length, and those of its items, are undefined on request."""
    whole = b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<I", UNDEFINED) + each + END_OF_ITEM
        if open_items
        else b"\xfe\xff\x00\xe0" + struct.pack("<I", len(each)) + each
        for each in items
    )
    if not open_end:
        return element(number, "SQ", whole)
    return head(number, "SQ", UNDEFINED, EXPLICIT) + whole + END_OF_SEQUENCE


def file_of(groups: bytes, shared: bytes = b"", character_set: bytes = b"ISO_IR 100", after: bytes = b"") -> bytes:
    return b"".join((
        meta(EXPLICIT),
        element(0x00080005, "CS", character_set),
        element(0x00080060, "CS", b"MR"),
        element(0x52009229, "SQ", shared),
        groups,
        after,
    ))  # fmt: skip


def read(content: bytes, count: int, quick: bool) -> Any:
    """Return the frames of a file as both ways give them, or the name of the error."""
    facts: Any = {
        "has_functional_groups": True, "pixel": {"offset": len(content) + 12}, "Modality": "MR",
        "TransferSyntaxUID": EXPLICIT, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4.1",
    }  # fmt: skip
    form = MadeUpFormat(4, 6, 1, "<u2", "MONOCHROME2", 12, count)
    with tempfile.TemporaryFile() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stream.write(content + element(0x7FE00010, "OW", bytes(16)))
        stream.flush()
        row: Any = {"stat": [len(content) + 28], "facts": facts}
        if quick:
            header, items = read_frame_items(stream.fileno(), facts)
        else:
            header, items = read_data_set(stream.fileno(), row), None
        try:
            return repr(frames_of(0, "c" * 64, facts, form, header, items))
        except Exception as error:
            return type(error).__name__


def is_quick(content: bytes, count: int) -> bool:
    """Check that both ways agree; return whether pydicom was not needed."""
    try:
        quickly = read(content, count, quick=True)
    except Unclear:
        return False
    assert quickly == read(content, count, quick=False)
    return True


# ------------------------------------------------------------------------------------------------------ random groups

TEXTS = (
    b"", b" ", b"1", b"1.5 ", b"-0054.2500", b"1\\2", b"1\\2\\3 ", b"0\\0\\0\\1\\0\\0", b"1\\0\\0\\0\\1\\0", b"1,5 ",
    b"1e400 ", b"1e99", b"nan ", b"inf ", b"1_0 ", b"+.5 ", b"1.", b"1 mm", b"\0\0", b"1\0", b"\\", b"1\\\\2 ", b"2\\",
    b"ORIGINAL\\PRIMARY\\M_FFE ", b"MAGNITUDE ", b"phase ", b"NONE", b"ISOTROPIC ", b"DIRECTIONAL ", b"BIPOLAR ",
    b"20200101", b"20200101120000.5+0100 ", b"20209999", b"2020.01.01", b"12:00 ", b"9" * 24, b"1" * 17 + b" ",
    b"CANARY", b"HEAD", b"Sch\xe4del ", b"\xe9t", b"\x1b$B1", b"\xff\xfe", b"1.0000000000000001", b"  7 ",
)  # fmt: skip
NUMBERS = st.floats(width=64).map(lambda n: struct.pack("<d", n))
VRS = (
    *("DS", "IS", "FD", "FL", "US", "UL", "SS", "SL", "CS", "SH", "LO", "DT", "UN", "UT", "OB", "AT", "PN", "SV") * 3,
    "ZZ",
)
VALUES = st.one_of(
    st.sampled_from([each for each in TEXTS if each.isascii()]),
    st.sampled_from([each for each in TEXTS if each.isascii()]),
    st.sampled_from(TEXTS),
    NUMBERS,
    st.lists(NUMBERS, min_size=3, max_size=3).map(b"".join),
    st.sampled_from([b"\1\0", b"\1\0\0\0", b"\1\0\0\0\2\0\0\0", b"\0\0\xc0\x7f", b"\0\0\x80\x3f", b"\5\0\xff\xff"]),
)
FITTING = {
    "DS": st.sampled_from(
        [b"1.5 ", b"-0054.2500", b"1\\2\\3 ", b"1\\0\\0\\0\\1\\0", b"0.5\\.25", b"1,5 ", b"1e400 ", b"1 mm", b"", b"0 "]
    ),
    "FD": st.one_of(NUMBERS, st.sampled_from([0.0, 1000.0, -1.0, 3.5]).map(lambda n: struct.pack("<d", n))),
}  # fmt: skip


@st.composite
def attribute(draw: st.DrawFn) -> tuple[int, bytes]:
    keyword = draw(st.sampled_from(ATTRIBUTES))
    usual = dictionary_VR(tag(keyword))
    is_usual = draw(st.integers(0, 5)) > 0
    vr = usual if is_usual else draw(st.sampled_from(VRS))
    value = draw(FITTING.get(vr, VALUES) if is_usual else VALUES)
    return tag(keyword), element(tag(keyword), vr, value)


@st.composite
def other(draw: st.DrawFn) -> tuple[int, bytes]:
    """Draw an element that nothing asks for, or that is private, or that is not allowed within items."""
    number = draw(st.sampled_from([0x00080100, 0x00080005, 0x20050010, 0x20010010, 0x20011003, 0x20011004, 0x00400000]))
    vr = draw(st.sampled_from(["LO", "CS", "FL", "UN"]))
    return number, element(number, vr, draw(VALUES))


def joined(draw: st.DrawFn, elements: list[tuple[int, bytes]]) -> bytes:
    """Return elements in order, once each; seldom as they were drawn."""
    if draw(st.integers(0, 99)):
        elements = sorted(dict(elements).items())
    return b"".join(raw for _, raw in elements)


@st.composite
def sequence(draw: st.DrawFn, depth: int = 0) -> tuple[int, bytes]:
    keyword = draw(st.sampled_from(SEQUENCES))
    items = []
    for _ in range(draw(st.sampled_from([1, 1, 1, 0, 2]))):
        elements = draw(st.lists(attribute(), max_size=4))
        if draw(st.integers(0, 9)) == 0:
            elements.append(draw(other()))
        if depth < 2 and draw(st.integers(0, 3)) == 0:
            elements.append(draw(sequence(depth + 1)))
        items.append(joined(draw, elements))
    return tag(keyword), of_items(items, draw(st.booleans()), draw(st.booleans()), tag(keyword))


def philips(b: float = 800.0) -> list[tuple[int, bytes]]:
    creators = {0x20010010: PHILIPS.encode(), 0x20050010: b"Philips MR Imaging DD 001 "}
    values = {0x20011003: b, **{0x200510B0 + n: 0.5 + n for n in range(3)}}
    return sorted(
        [(number, element(number, "LO", name)) for number, name in creators.items()]
        + [(number, element(number, "FL", struct.pack("<f", n))) for number, n in values.items()]
    )


@st.composite
def frame_item(draw: st.DrawFn) -> bytes:
    elements = draw(st.lists(sequence(), max_size=5))
    kind = draw(st.integers(0, 7))
    if kind == 0:
        elements += philips(draw(st.sampled_from([0.0, 800.0, -1.0])))
    elif kind == 1:
        below = b"".join(raw for _, raw in philips())
        elements += [
            (0x20050010, element(0x20050010, "LO", b"X ")),
            (0x2005140F, of_items([below], True, True, 0x2005140F)),
        ]
    elif kind == 2:
        elements.append(draw(other()))
    return joined(draw, elements)


@st.composite
def sources(draw: st.DrawFn) -> tuple[bytes, int]:
    items = draw(st.lists(frame_item(), min_size=1, max_size=4))
    doubled = [each for each in items for _ in range(2)]  # groups with the bytes of those of the frame before
    items = draw(st.sampled_from([items, items + items, doubled]))
    shared = draw(st.one_of(st.just(b""), frame_item()))
    groups = of_items(items, draw(st.booleans()), draw(st.booleans()), 0x52009230)
    after = draw(st.sampled_from([b"", b"", element(0x54000100, "LO", b"x "), element(0x00280008, "IS", b"3 ")]))
    character_set = draw(
        st.sampled_from([b"ISO_IR 100"] * 4 + [b"", b"ISO_IR 192"] * 3 + [b"ISO 2022 IR 87", b"ISO_IR 6\\ISO_IR 13"])
    )
    in_shared = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(shared)) + shared
    content = file_of(groups, in_shared, character_set + b" " * (len(character_set) % 2), after)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        at = draw(st.integers(len(content) - len(groups) - len(after), len(content) - 1))
        content = content[:at] + bytes([draw(st.integers(0, 255))]) + content[at + 1 :]
    return content, draw(st.sampled_from([len(items)] * 4 + [len(items) + 1]))


@settings(max_examples=200, deadline=None)
@given(sources())
def test_frames_are_those_that_pydicom_gives(source: tuple[bytes, int]) -> None:
    is_quick(*source)


def plain(z: int, extra: bytes = b"") -> bytes:
    inner = element(tag("ImagePositionPatient"), "DS", b"1\\2\\%d " % z)
    return of_items([inner], False, True, tag("PlanePositionSequence")) + extra


@pytest.mark.parametrize("open_items", [False, True])
@pytest.mark.parametrize("open_end", [False, True])
@pytest.mark.parametrize("character_set", [b"", b"ISO_IR 192", b"ISO_IR 100"])
def test_plain_groups_need_no_pydicom(open_items: bool, open_end: bool, character_set: bytes) -> None:
    for extra in ([], philips()):
        items = [plain(z, b"".join(raw for _, raw in extra)) for z in range(3)]
        content = file_of(of_items(items, open_items, open_end, 0x52009230), character_set=character_set)
        assert is_quick(content, 3)
        assert is_quick(content, 4)  # one frame has no item
        assert ("'b_value'" in read(content, 3, quick=True)) == bool(extra)


@pytest.mark.parametrize(
    "extra",
    [
        element(0x00080005, "CS", b"ISO_IR 13 "),
        element(tag("StackID"), "SH", b"1 "),  # behind a larger tag
        element(tag("RealWorldValueMappingSequence"), "UN", b""),
        of_items([b""], False, False, tag("RescaleSlope") | 0x10000000),
        element(0x00409096, "ZZ", b""),
        b"\0" * 8,
        element(0x20050010, "LO", b"x ")[:-1],
    ],
)
def test_what_is_not_plain_is_left_to_pydicom(extra: bytes) -> None:
    content = file_of(of_items([plain(0, extra)], False, False, 0x52009230))
    assert is_quick(content, 1) == (extra[:4] == struct.pack("<HH", 0x1028, 0x1053))


@pytest.mark.parametrize("open_items", [False, True])
def test_a_group_that_repeats_the_one_before_is_the_same_items(open_items: bool) -> None:
    """Also where a frame between has none, and not where the item ends within it."""
    sequence_of = partial(of_items, open_items=open_items, open_end=open_items)
    echo = sequence_of([element(tag("EffectiveEchoTime"), "FD", struct.pack("<d", 4.5))], number=tag("MREchoSequence"))
    items = [plain(0) + echo, plain(1), plain(1) + echo, plain(2) + echo]
    items = [b"".join(sorted((item[: len(plain(0))], item[len(plain(0)) :]))) for item in items]  # by their tags
    content = file_of(of_items(items, False, False, 0x52009230))
    assert is_quick(content, 4)
    frames = read(content, 4, quick=True)
    assert frames.count("'echo_time_ms': 4.5") == 3
    for lost in range(1, len(items[3])):
        cut = [*items[:3], items[3][:-lost]]
        is_quick(file_of(of_items(cut, False, False, 0x52009230)), 4)


def test_a_text_with_the_vr_of_a_number_stays_a_text() -> None:
    stacks = [element(tag("StackID"), "DS", name) for name in (b"1.50", b"1.5 ")]
    items = [of_items([stack], False, False, tag("FrameContentSequence")) for stack in stacks]
    content = file_of(of_items(items, False, False, 0x52009230))
    assert is_quick(content, 2)
    frames = read(content, 2, quick=True)
    assert "stack='1.50'" in frames and "stack='1.5'" in frames


@pytest.mark.parametrize("is_shared", [False, True])
@pytest.mark.parametrize("character_set", [b"", b"ISO_IR 100", b"ISO_IR 192"])
def test_meanings_in_any_character_set_need_no_pydicom(character_set: bytes, is_shared: bool) -> None:
    """The set of the file is not asked: it is often missing, or wrong."""
    meanings = {b"Head": True, b"Sch\xe4del ": True, "Schädel".encode(): True, b"Th\xf3rax": False, b"": False}
    meanings |= {"頭部".encode("shift_jis"): True, "胸部".encode("shift_jis"): False}
    for meaning, of_head in meanings.items():
        code = element(tag("CodeValue"), "SH", b"1 ") + element(tag("CodeMeaning"), "LO", meaning)
        regions = of_items([element(tag("CodeMeaning"), "LO", b"Chest "), code], False, False, 0x00082218)
        anatomy = of_items([regions], False, True, 0x00209071)
        shared = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(anatomy)) + anatomy if is_shared else b""
        items = [(b"" if is_shared else anatomy) + plain(z) for z in range(2)]
        content = file_of(of_items(items, False, False, 0x52009230), shared, character_set)
        assert is_quick(content, 2)
        assert read(content, 2, quick=True).count(f"names_head={of_head}") == 2, meaning


def test_everything_that_is_asked_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    from dicomzarr.headers import frame_items

    asked: set[str] = set()
    get = frame_items.FrameItem.get

    def noted(self: Any, keyword: str) -> Any:
        asked.add(keyword)
        return get(self, keyword)

    monkeypatch.setattr(frame_items.FrameItem, "get", noted)
    values = {"DS": b"1 ", "FD": struct.pack("<d", 1), "US": b"\1\0", "UL": b"\1\0\0\0", "SL": b"\1\0\0\0"}
    leaves = [element(tag(k), dictionary_VR(tag(k)), values.get(dictionary_VR(tag(k)), b"X ")) for k in ATTRIBUTES]
    content_of = b"".join(raw for _, raw in sorted(zip(map(tag, ATTRIBUTES), leaves, strict=True)))
    gradient = of_items([content_of], False, False, tag("DiffusionGradientDirectionSequence"))
    number = tag("DiffusionGradientDirectionSequence")
    before = b"".join(raw for t, raw in sorted(zip(map(tag, ATTRIBUTES), leaves, strict=True)) if t < number)
    behind = content_of[len(before) :]
    of_conversion = [name for name in SEQUENCES if name.startswith("Unassigned")]
    for names in (SEQUENCES, of_conversion):  # what functional groups say is not asked for elsewhere
        groups = sorted((tag(k), of_items([before + gradient + behind], False, False, tag(k))) for k in names)
        content = file_of(of_items([b"".join(raw for _, raw in groups)], False, False, 0x52009230))
        assert is_quick(content, 1)
    assert asked <= sequences_read() | attributes_read()
    assert asked >= attributes_read() - {
        "FrameType",
        "CodeValue",
        "CodingSchemeDesignator",
        "CodeMeaning",
    }  # of a code within the item of a sequence


@pytest.mark.parametrize("error", [OSError(5, "x"), MemoryError()])
def test_faults_of_the_machine_are_not_taken_for_unclear_bytes(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pydicom.filereader

    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(pydicom.filereader, "read_partial", fails)
    descriptor = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(type(error)):
            read_frame_items(descriptor, {"has_functional_groups": True})
    finally:
        os.close(descriptor)
