"""Headers that break the rules and hold an image all the same: stray items, several pixel data, ACR-NEMA."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from headers_of_bytes import NATIVE, both, deflated, reason_of
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import BIG, EXPLICIT, IMPLICIT, Element, acr_nema, encode, file, image, meta, number, text

from dicomzarr.headers.attributes import interpret
from dicomzarr.headers.mended_items import mended_file
from dicomzarr.headers.pixel_element import reason_against
from dicomzarr.headers.reading import EXPLICIT_LITTLE, TooLong

# --- stray tags of items and delimiters ----------------------------------------------------------------------------


def stray(element: int, syntax: str, content: bytes = b"") -> bytes:
    """Return the tag (FFFE,element) and a value, which have no place at the top level."""
    return struct.pack((">" if syntax == BIG else "<") + "HHI", 0xFFFE, element, len(content)) + content


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    ("element", "content"), [(0xE00D, b""), (0xE0DD, b""), (0xE000, b""), (0xE000, b"\x10\0\x10\0what is in it")]
)
@pytest.mark.parametrize("place", [1, 8, 17])
def test_a_stray_item_tag_is_passed_over(syntax: str, element: int, content: bytes, place: int) -> None:
    elements = image(syntax)
    before, after = encode(elements[:place], syntax), encode(elements[place:], syntax)
    answer = both(meta(syntax) + before + stray(element, syntax, content) + after)
    whole = both(file(elements, syntax))
    assert (answer.outcome, answer.reason, answer.flags) == ("image", "", ())
    assert answer.facts.pop("pixel")["length"] == whole.facts.pop("pixel")["length"]
    assert answer.facts == whole.facts


@given(
    places=st.lists(st.tuples(st.integers(1, 17), st.sampled_from([0xE000, 0xE00D, 0xE0DD])), max_size=6),
    syntax=st.sampled_from(NATIVE),
)
def test_any_number_of_stray_item_tags_changes_nothing(places: list[tuple[int, int]], syntax: str) -> None:
    elements = [[element] for element in image(syntax, pixels=bytes(range(48)))]
    content = b""
    for index, group in enumerate(elements):
        content += b"".join(stray(element, syntax) for place, element in places if place == index)
        content += encode(group, syntax)
    data = meta(syntax) + content
    answer = both(data)
    pixel = answer.facts.pop("pixel")
    assert data[pixel["offset"] :][: pixel["length"]] == bytes(range(48))
    expected = both(file(image(syntax), syntax)).facts
    expected.pop("pixel")
    assert answer.facts == expected


def test_an_item_without_length_and_a_cut_one_cost_the_file() -> None:
    elements = image()
    before, after = encode(elements[:8], EXPLICIT), encode(elements[8:], EXPLICIT)
    open_item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    assert reason_of(meta() + before + open_item + after) == ("quarantined", "truncated_header")
    assert reason_of(meta() + before + struct.pack("<HHI", 0xFFFE, 0xE000, 5000) + after)[0] == "quarantined"
    assert reason_of(meta() + before + stray(0xE00D, EXPLICIT))[1] in ("truncated_header", "no_pixel_data")


CONTENTS = st.recursive(
    st.just((text(0x00080100, "SH", "A1"), text(0x00100020, "LO", "another"))),
    lambda inner: st.lists(inner, min_size=1, max_size=2).map(
        lambda items: (text(0x00080104, "LO", "x"), Element(0x0040A730, "SQ", tuple(items), True, None, True))
    ),
    max_leaves=4,
)


@given(
    contents=st.lists(CONTENTS, min_size=1, max_size=3),
    place=st.sampled_from((1, 3, 4, 5, 7, 8, 9, 11, 13, 17)),
    syntax=st.sampled_from((EXPLICIT, IMPLICIT)),
    ended=st.booleans(),
)
def test_items_behind_a_sequence_of_length_0_are_passed_over(
    contents: list[tuple[Element, ...]], place: int, syntax: str, ended: bool
) -> None:
    """Dose sheets of GE: the length of the sequence is 0, and its items follow, of undefined length."""
    elements = image(syntax, pixels=bytes(range(48)))
    whole = Element(0x00400555, "SQ", tuple(contents), True, None, True).encode(syntax)
    empty = Element(elements[place].tag - 1, "SQ", b"").encode(syntax)
    items = whole[len(empty) :] if ended else whole[len(empty) : -8]
    before, after = encode(elements[:place], syntax), encode(elements[place:], syntax)
    data = meta(syntax) + before + empty + items + after
    answer, plain = both(data), both(file(elements, syntax))
    assert (answer.outcome, answer.reason, answer.flags) == ("image", "", ())
    pixel = answer.facts.pop("pixel")
    assert data[pixel["offset"] :][: pixel["length"]] == bytes(range(48))
    plain.facts.pop("pixel")
    assert answer.facts == plain.facts
    # what pydicom reads later is the header without the items
    mended = mended_file(lambda length, offset: data[offset : offset + length], len(data), syntax)
    gap = b"" if not ended else items[-8:]
    assert mended == meta(syntax) + before + empty + gap + encode(elements[place:-1], syntax)


# --- elements of a command -----------------------------------------------------------------------------------------

COMMANDS = (
    Element(0x00000000, "UL", struct.pack("<I", 38)),
    text(0x00000002, "UI", "1.2.840.10008.5.1.4.1.1.2"),
    number(0x00000100, 1),
)


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_command_set_before_the_data_set_is_passed_over(syntax: str, count: int) -> None:
    """It is in implicit VR little endian (PS3.7 6.3.1), as it came through the network; pydicom reads such files."""
    command = encode(COMMANDS[:count], IMPLICIT)
    data = meta(syntax) + command + encode(image(syntax), syntax)
    answer, plain = both(data), both(file(image(syntax), syntax))
    assert (answer.outcome, answer.flags) == ("image", ())
    assert answer.facts.pop("pixel")["offset"] == plain.facts.pop("pixel")["offset"] + len(command)
    assert answer.facts == plain.facts
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert (dataset.Rows, dataset.PatientID) == (4, "ID 1")
    assert reason_of(meta(syntax) + command)[0] == "quarantined"


# --- several pixel data elements -----------------------------------------------------------------------------------

FLOATS, DOUBLES = Element(0x7FE00008, "OF", bytes(4 * 24)), Element(0x7FE00009, "OD", bytes(8 * 24))
PIXELS = Element(0x7FE00010, "OW", bytes(48))


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    "pixels",
    [
        (FLOATS, PIXELS),
        (DOUBLES, PIXELS),
        (FLOATS, DOUBLES),
        (FLOATS, DOUBLES, PIXELS),
        (PIXELS, FLOATS),  # out of order
        (FLOATS, Element(0x7FE00010, "OB", struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), undefined=True)),
        (PIXELS, PIXELS),
    ],
)
@pytest.mark.parametrize("bits", [16, 32])
def test_several_pixel_data_elements_are_refused(syntax: str, pixels: tuple[Element, ...], bits: int) -> None:
    elements = [*image(syntax, PixelData=None, BitsAllocated=number(0x00280100, bits, syntax)), *pixels]
    assert reason_of(file(elements, syntax)) == ("quarantined", "several_pixel_data")


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize(
    "end",
    [
        b"",
        bytes(64),
        Element(0xFFFCFFFC, "OB", bytes(20)).encode(EXPLICIT),
        b"\xe0\x7f\x08",
        b"any text at the end of a file",
    ],
)
def test_what_else_follows_pixel_data_is_no_other_pixel_data(syntax: str, end: bytes) -> None:
    assert reason_of(file(image(syntax), syntax) + end) == ("image", "")


def test_several_pixel_data_elements_behind_others_and_deflated() -> None:
    padding = Element(0x7FE00009, "OD", b"")
    elements = [*image(PixelData=None), FLOATS, padding, PIXELS]
    assert reason_of(deflated(encode(elements, EXPLICIT))) == ("quarantined", "several_pixel_data")
    signature = Element(0xFFFAFFFA, "SQ", ((text(0x04000005, "IS", "1"),),))
    assert reason_of(file([*image(), signature, FLOATS])) == ("quarantined", "several_pixel_data")


NAMES = encode([text(0x00281051, "LO", "Doe^John 19570312"), text(0x00281055, "LO", "Doe^John " * 12)], EXPLICIT)


@pytest.mark.parametrize("vr", ["OB", "OW", "OF", "UN"])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_a_text_with_the_tag_of_pixel_data_gives_no_header_as_pixels(syntax: str, vr: str) -> None:
    """The first letters of the text would be a length beyond the end of the file, and the rest of the header voxels."""
    damaged = (
        struct.pack("<HH" if syntax == EXPLICIT else ">HH", 0x7FE0, 0x0010) + vr.encode() + b"\x0c\x00Doe^JohnSmit"
    )
    elements = image(syntax)
    data = meta(syntax) + encode(elements[:-1], syntax) + damaged + NAMES + encode(elements[-1:], syntax)
    assert reason_of(data) == ("quarantined", "unreadable_header")


def test_pixel_data_whose_length_has_two_bytes_are_not_read_from_elsewhere() -> None:
    short = struct.pack("<HH2sH", 0x7FE0, 0x0010, b"OW", 48) + bytes(range(100, 148)) + NAMES
    assert reason_of(meta() + encode(image()[:-1], EXPLICIT) + short) == ("quarantined", "unreadable_header")


@pytest.mark.parametrize("behind", [b"", NAMES, Element(0xFFFCFFFC, "OB", bytes(20)).encode(EXPLICIT)])
@pytest.mark.parametrize("vr", [b"\0W", b"oW", b"\xcfW", b"O\0"])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG])
def test_pixel_data_of_no_known_vr_are_not_read_from_their_length_on(syntax: str, vr: bytes, behind: bytes) -> None:
    data = file(image(syntax), syntax).replace(b"OW\0\0", vr + b"\0\0") + behind
    assert reason_of(data)[0] == "quarantined"


def test_pixel_data_in_implicit_vr_within_an_explicit_header_are_read_if_an_element_follows() -> None:
    header, pixels = encode(image()[:-1], EXPLICIT), Element(0x7FE00010, "OW", bytes(48)).encode(IMPLICIT)
    for behind in (b"", Element(0xFFFCFFFC, "OB", bytes(20)).encode(EXPLICIT)):
        assert reason_of(meta() + header + pixels + behind) == ("image", "")


@pytest.mark.parametrize("vr", ["OB", "OW", "OF", "UN"])
def test_explicit_pixel_data_in_an_implicit_header_are_not_read_from_elsewhere(vr: str) -> None:
    explicit = Element(0x7FE00010, vr, bytes(range(48))).encode(EXPLICIT)
    data = meta(IMPLICIT) + encode(image(IMPLICIT)[:-1], IMPLICIT) + explicit
    assert reason_of(data) == ("quarantined", "unreadable_header")


def test_a_reserved_field_of_pixel_data_may_hold_anything_where_the_value_ends_the_file() -> None:
    data = file(image())
    data = data.replace(b"\xe0\x7f\x10\0OW\0\0", b"\xe0\x7f\x10\0OW\x07\x01")
    assert reason_of(data) == ("image", "")


def test_an_icon_is_no_other_pixel_data() -> None:
    icon = Element(0x00880200, "SQ", ((Element(0x7FE00010, "OW", bytes(8)),),))
    assert reason_of(file(image(Icon=icon))) == ("image", "")


# --- ACR-NEMA ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("ACR-NEMA 2.0", {}),
        ("ACR-NEMA 1.0", {}),
        ("ACR-NEMA 2.0", {"GroupLength": None}),
        ("ACR-NEMA 2.0", {"GroupLength": None, "LengthToEnd": None}),
        ("", {}),  # both lengths
        ("XYZ", {}),
        ("ACR-NEMA 2.0", {"PhotometricInterpretation": text(0x00280004, "CS", "MONOCHROME1")}),
    ],
)
def test_acr_nema_is_read(code: str, changes: dict[str, Element | None]) -> None:
    data = acr_nema(code, **changes)
    answer = both(data)
    assert (answer.outcome, answer.reason) == ("image", "")
    assert answer.flags == ("acr_nema", "assumed_transfer_syntax")
    facts = answer.facts
    assert facts["TransferSyntaxUID"] == IMPLICIT
    assert (facts["Rows"], facts["Columns"], facts["SamplesPerPixel"]) == (4, 6, 1)
    monochrome = "MONOCHROME1" if "PhotometricInterpretation" in changes else "MONOCHROME2"
    assert facts["PhotometricInterpretation"] == monochrome
    pixel = facts["pixel"]
    assert data[pixel["offset"] :][: pixel["length"]] == struct.pack("<24H", *range(24))


@pytest.mark.parametrize(
    "changes",
    [
        {"PixelRepresentation": None},
        {"Rows": None},
        {"SamplesPerPixel": number(0x00280002, 3)},
        {"BitsAllocated": number(0x00280100, 10)},
    ],
)
def test_acr_nema_that_cannot_be_read_has_a_reason_of_its_own(changes: dict[str, Element | None]) -> None:
    assert reason_of(acr_nema(**changes)) == ("quarantined", "acr_nema")


def test_acr_nema_in_big_endian_has_a_reason_of_its_own() -> None:
    def element(tag: int, value: bytes) -> bytes:
        return struct.pack(">HHI", tag >> 16, tag & 0xFFFF, len(value)) + value

    data = element(0x00080000, bytes(4)) + element(0x00080001, bytes(4)) + element(0x00080010, b"ACR-NEMA 2.0")
    data += element(0x00080060, b"MR") + element(0x00280010, b"\0\4") + element(0x7FE00010, bytes(48))
    assert reason_of(data) == ("quarantined", "acr_nema")


def test_acr_nema_without_pixels_or_cut() -> None:
    assert reason_of(acr_nema(PixelData=None)) == ("skipped", "missing_pixel_data")
    assert reason_of(acr_nema()[:-10]) == ("quarantined", "truncated_pixel_data")
    assert reason_of(acr_nema()[:150])[0] == "quarantined"


def test_other_files_that_begin_alike_are_no_acr_nema() -> None:
    without_code = acr_nema("XYZ", LengthToEnd=None)
    assert reason_of(without_code) == ("ignored", "not_dicom")
    assert reason_of(b"\x08\0\x10\0\x0c\0\0\0ACR-NEMA 2.0" + b"no elements follow" * 9) == ("ignored", "not_dicom")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (b"*fl3d1_v150in", "150in"),
        (b"fl2d1_v80rl ", "80rl"),
        (b"fl3d1", None),
        (b"fl3d1_v150", None),
        (b"*tse_vfl128", None),
        (b"ep_b1000#3", None),
        (b"x_v12345in", None),
        (b"x_v150Smith", None),
    ],
)
def test_only_the_velocity_of_a_sequence_name_is_stored(name: bytes, found: str | None) -> None:
    facts, bad = interpret({0x00180024: ("SH", name)}, little=True)
    assert (facts, bad) == ({} if found is None else {"velocity_encoding": found}, frozenset())


def test_a_head_of_no_known_vr_is_refused_where_what_follows_it_is_not_in_memory() -> None:
    def read(length: int, offset: int) -> bytes:
        raise TooLong

    assert reason_against(read, 1 << 30, (0x7FE00010, "QZ", 100, 1 << 20), EXPLICIT_LITTLE) == "unreadable_header"
