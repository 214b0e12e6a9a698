"""Encapsulated pixel data: the fragments of each frame, and inconsistent items."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pixels import DELIMITER, encapsulate, even, item

from dicomzarr.dicom.transfer_syntaxes import Family
from dicomzarr.pixels.byte_source import MemorySource
from dicomzarr.pixels.encapsulation import FrameTable, frame_table
from dicomzarr.vocabulary.reasons import NotExtracted

A, B, C = (b"\xff\xd8\xff" + bytes([n]) * 9 + b"\xff\xd9" for n in (1, 2, 3))
A1, A2 = A[:6], A[6:]
SOC = b"\xff\x4f\xff\x51"


def walk(data: bytes, frames: int, *, length: int = -1, family: Family = "jpeg") -> tuple[list[bytes], FrameTable]:
    # The value does not begin at 0, so that offsets are seen to count from where they should.
    source = MemorySource(b"\1" * 5 + data)
    table = frame_table(source, 5, length, frames, family)
    return [table.read(source, frame) for frame in range(len(table))], table


def code(data: bytes, frames: int, **options: int | str) -> tuple[str, int | None, int | None]:
    with pytest.raises(NotExtracted) as caught:
        walk(data, frames, **options)  # type: ignore[arg-type]
    return caught.value.code, caught.value.found, caught.value.needed


@pytest.mark.parametrize("table", [(), (0, 22, 44)])
def test_one_fragment_per_frame(table: tuple[int, ...]) -> None:
    frames, result = walk(encapsulate([A, B, C], table), 3)
    assert frames == [even(A), even(B), even(C)]
    assert result.flags == ()


@pytest.mark.parametrize("table", [(4, 22, 44), (0, 22), (0, 44, 22), (0, 21, 44), (0, 22, 4400), (0, 0, 0)])
def test_a_bad_offset_table_is_flagged_where_the_count_is_clear(table: tuple[int, ...]) -> None:
    frames, result = walk(encapsulate([A, B, C], table), 3)
    assert frames == [even(A), even(B), even(C)]
    assert result.flags == ("bad_offset_table",)


def test_an_offset_table_of_odd_size_is_flagged() -> None:
    data = item(b"\0" * 6) + item(even(A)) + DELIMITER
    assert walk(data, 1)[1].flags == ("bad_offset_table",)


def test_all_fragments_belong_to_the_only_frame() -> None:
    for table, flags in (((), ("joined_fragments",)), ((0,), ())):  # a table that says so leaves no doubt
        frames, result = walk(encapsulate([A1, A2[:4], A2[4:]], table), 1)
        assert (frames, result.flags) == ([A], flags)


def test_the_offset_table_groups_fragments() -> None:
    pieces = [A[:4], A[4:], B, C[:6], C[6:]]
    assert [len(even(p)) + 8 for p in pieces] == [12, 18, 22, 14, 16]
    frames, result = walk(encapsulate(pieces, (0, 30, 52)), 3)
    assert frames == [A[:4] + even(A[4:]), even(B), C[:6] + even(C[6:])]
    assert result.flags == ()


@pytest.mark.parametrize(
    ("table", "flags"), [((), ("joined_fragments",)), ((0, 31, 52), ("bad_offset_table", "joined_fragments"))]
)
def test_start_markers_group_fragments_without_a_table(table: tuple[int, ...], flags: tuple[str, ...]) -> None:
    frames, result = walk(encapsulate([A[:4], A[4:], B, C[:6], C[6:]], table), 3)
    assert frames == [A[:4] + even(A[4:]), even(B), C[:6] + even(C[6:])]
    assert result.flags == flags


def test_empty_fragments_are_not_frames() -> None:
    assert walk(encapsulate([A, B, b""]), 2)[0] == [even(A), even(B)]


def test_a_wrong_frame_count_is_reported_with_both_numbers() -> None:
    assert code(encapsulate([A, B]), 3) == ("frame_count_mismatch", 2, 3)
    # starts that do not follow the end of a frame: one frame was cut off, or the start is chance
    assert code(encapsulate([A1, B, C]), 1) == ("frame_count_mismatch", 3, 1)
    assert code(encapsulate([A, B[:-2], C]), 1) == ("frame_count_mismatch", 3, 1)
    assert code(encapsulate([A, B, C]), 10**9) == ("frame_count_mismatch", 3, 10**9)
    # fragments that nothing distinguishes
    assert code(encapsulate([b"xx", b"yy", b"zz"]), 2) == ("frame_count_mismatch", 3, 2)
    for families in ("rle", "deflated", "uncompressed"):
        assert code(encapsulate([b"xx", b"yy", b"zz"]), 2, family=families)[0] == "frame_count_mismatch"
    # no RLE frame at all
    assert code(encapsulate([b"xx", b"yy"]), 1, family="rle") == ("frame_count_mismatch", 2, 1)


@pytest.mark.parametrize("frames", [1, 2])
def test_whole_frames_beyond_those_declared_are_surplus(frames: int) -> None:
    got, result = walk(encapsulate([A, B, C]), frames)
    assert got == [even(A), even(B), even(C)][:frames]
    assert result.flags == ("surplus_frames",)
    rle = [rle_frame(n) for n in range(3)]
    got, result = walk(encapsulate(rle), frames, family="rle")
    assert (got, result.flags) == (rle[:frames], ("surplus_frames",))
    # in fragments, of the first frame too
    got, result = walk(encapsulate([A1, A2, B, C[:6], C[6:]]), frames)
    assert got == [A, even(B)][:frames]
    assert result.flags == ("surplus_frames", "joined_fragments")
    # a file that is whole has none
    assert walk(encapsulate([A, B, C]), 3)[1].flags == ()


def test_a_table_that_gives_two_streams_to_a_frame_is_said() -> None:
    """An item was doubled, or inserted, and the table is that of before: the last frame is another one."""
    size = 8 + len(even(A))
    got, result = walk(encapsulate([A, A, B], (0, size)), 2)
    assert (got, result.flags) == ([A, A + B], ("surplus_frames",))
    # fragments of one stream, also where one of them happens to begin like a stream
    assert walk(encapsulate([A, B[:6], B[6:]], (0, size)), 2)[1].flags == ()
    assert walk(encapsulate([A, B[:6], C], (0, size)), 2)[1].flags == ()


def rle_frame(number: int, size: int = 300) -> bytes:
    """Return an RLE frame of two segments; its data hold what begins an item, and a header of RLE."""
    inside = DELIMITER + struct.pack("<16I", 1, 60, *[0] * 14)
    content = (bytes([number + 1]) * 30 + inside + bytes(range(256)))[:size]
    return struct.pack("<16I", 2, 64, 64 + size // 2, *[0] * 13) + content


def cut(frame: bytes, places: list[int]) -> list[bytes]:
    """Return a frame in fragments of even length."""
    bounds = sorted({0, *(2 * place for place in places if 2 * place < len(frame)), len(frame)})
    return [frame[a:b] for a, b in zip(bounds, bounds[1:], strict=False)]


J2K, JP2 = (
    start + bytes([n, 0xFF, 0x8F, n] * 7) + b"\xff\xd9"
    for n, start in ((1, b"\xff\x4f\xff\x51"), (2, b"\x00\x00\x00\x0cjP  "))
)
WHOLE: dict[Family, bytes] = {"jpeg": even(A), "jpegls": even(B), "jpeg2000": J2K, "htj2k": JP2, "rle": rle_frame(5)}


@given(
    family=st.sampled_from(sorted(WHOLE)),
    cuts=st.lists(st.lists(st.integers(1, 200), max_size=6), min_size=1, max_size=4),
)
def test_any_cut_of_frames_into_fragments_gives_the_same_frames(family: Family, cuts: list[list[int]]) -> None:
    whole = WHOLE[family]
    pieces = [cut(whole, places) for places in cuts]
    frames, result = walk(encapsulate([piece for frame in pieces for piece in frame]), len(cuts), family=family)
    assert frames == [whole] * len(cuts)
    is_cut = any(len(frame) > 1 for frame in pieces)
    assert result.flags == (("joined_fragments",) if is_cut else ())


@given(places=st.lists(st.integers(1, 200), max_size=9), family=st.sampled_from(["deflated", "uncompressed"]))
def test_one_frame_without_markers_is_joined(places: list[int], family: Family) -> None:
    whole = bytes(range(200))
    frames, result = walk(encapsulate(cut(whole, places)), 1, family=family)
    assert frames == [whole]
    assert ("joined_fragments" in result.flags) == (len(cut(whole, places)) > 1)


def test_a_delimiter_inside_a_fragment_is_data() -> None:
    inside = SOC + DELIMITER + item(b"ab") + DELIMITER
    assert walk(encapsulate([inside]), 1)[0] == [even(inside)]


@pytest.mark.parametrize(
    "end", [b"", b"\0\0\0", b"\0" * 8, b"\0" * 22, b"\0" * 4097, b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0"]
)
def test_a_missing_delimiter_is_flagged(end: bytes) -> None:
    frames, result = walk(encapsulate([A, B], end=end), 2)
    assert frames == [even(A), even(B)]
    assert result.flags == ("missing_sequence_delimiter",)


def test_zeros_before_anything_else_are_no_padding() -> None:
    for end in (b"\0" * 22 + b"\1", b"\0" * 8 + item(b"ab"), b"\0" * ((1 << 20) + 1)):
        assert code(encapsulate([A, B], end=end), 2)[0] == "bad_encapsulation"


ITEM_END = b"\xfe\xff\x0d\xe0\0\0\0\0"


@pytest.mark.parametrize("end", [b"", b"\0" * 22, ITEM_END, b"\xfc\xff\xfc\xffOB\0\0\4\0\0\0\0\0\0\0"])
def test_an_item_delimiter_in_place_of_the_sequence_delimiter_is_flagged(end: bytes) -> None:
    frames, result = walk(encapsulate([A, B], end=ITEM_END + end), 2)
    assert frames == [even(A), even(B)]
    assert result.flags == ("missing_sequence_delimiter",)


@given(counts=st.lists(st.integers(0, 3), min_size=3, max_size=3), odd=st.booleans())
def test_item_delimiters_after_fragments_are_passed_over(counts: list[int], odd: bool) -> None:
    pieces = [piece[:-1] if odd else even(piece) for piece in (A, B, C)]
    data = item(b"") + b"".join(item(p) + ITEM_END * n for p, n in zip(pieces, counts, strict=True)) + DELIMITER
    frames, result = walk(data, 3)
    assert frames == pieces
    assert result.flags == (("odd_fragment",) if odd else ())


@pytest.mark.parametrize("family", ["jpeg", "jpeg2000", "htj2k", "rle"])
@pytest.mark.parametrize("frames", [1, 3])
def test_the_item_of_the_offset_table_may_be_missing(family: Family, frames: int) -> None:
    whole = WHOLE[family]
    got, result = walk(item(whole) * frames + DELIMITER, frames, family=family)
    assert got == [whole] * frames
    assert result.flags == ("bad_offset_table",)
    # in fragments
    pieces = [item(piece) for piece in cut(whole, [34, 40] if family == "rle" else [5, 6])]
    got, result = walk(b"".join(pieces) * frames + DELIMITER, frames, family=family)
    assert got == [whole] * frames
    assert result.flags == ("bad_offset_table", "joined_fragments")


def test_a_defined_length_ends_the_walk() -> None:
    data = encapsulate([A, B], end=b"")
    frames, result = walk(data + b"what follows", 2, length=len(data))
    assert frames == [even(A), even(B)]
    assert result.flags == ()


def test_odd_fragments_with_and_without_a_byte_of_padding() -> None:
    for padding in (b"", b"\0"):
        data = item(b"") + item(A[:-1]) + padding + item(B[:-1]) + padding + DELIMITER
        frames, result = walk(data, 2)
        assert frames == [A[:-1], B[:-1]]
        assert result.flags == ("odd_fragment",)


def test_inconsistent_items_are_not_extracted() -> None:
    assert code(item(b"") + item(even(A), length=6) + DELIMITER, 1)[0] == "bad_encapsulation"
    assert code(item(b"") + item(even(A), length=16) + DELIMITER + bytes(99), 1)[0] == "bad_encapsulation"
    assert code(item(b"") + item(even(A), length=5000), 1) == ("truncated_pixel_data", 14, 5000)
    assert code(item(b"") + item(even(A), length=0xFFFFFFFF) + DELIMITER, 1)[0] == "bad_encapsulation"
    assert code(item(b"", length=999) + item(even(A)), 1) == ("truncated_pixel_data", 22, 999)
    assert code(b"\xff\xd8\xff\xe0" + bytes(20), 1)[0] == "bad_encapsulation"
    assert code(item(b"") + DELIMITER, 1)[0] == "bad_encapsulation"
    assert code(b"", 1) == ("truncated_pixel_data", 0, 8)
    assert code(item(b"") + item(even(A)) + b"\x08\0\x10\0" + bytes(50), 1)[0] == "bad_encapsulation"


def test_every_truncated_file_is_flagged_or_not_extracted() -> None:
    # Cut between two fragments a file can look whole here; a decoder sees that it is not.
    data = encapsulate([A1, A2, B, C[:6], C[6:]], (0, 30, 52))
    assert walk(data, 3)[1].flags == ()
    for end in range(len(data) - 4):
        try:
            assert "missing_sequence_delimiter" in walk(data[:end], 3)[1].flags
        except NotExtracted as error:
            assert error.code in ("truncated_pixel_data", "bad_encapsulation", "frame_count_mismatch")


def test_every_changed_byte_of_the_items_is_understood_or_not_extracted() -> None:
    data = bytearray(encapsulate([A, B, C], (0, 22, 44)))
    for position in range(len(data)):
        for value in (0, 1, 0x7F, 0xFE, 0xFF):
            changed = bytes(data[:position]) + bytes([value]) + bytes(data[position + 1 :])
            try:
                assert len(walk(changed, 3)[0]) == 3
            except NotExtracted as error:
                assert error.code in ("truncated_pixel_data", "bad_encapsulation", "frame_count_mismatch")


def test_an_extended_offset_table_is_not_needed() -> None:
    # Beyond 4 GiB the Basic Offset Table must be empty (PS3.3 C.7.6.3.1.8); the walk needs neither.
    frames, result = walk(item(b"") + b"".join(item(even(x)) for x in (A, B, C)) + DELIMITER, 3)
    assert frames == [even(A), even(B), even(C)]
    assert struct.calcsize("<Q") == result.firsts.itemsize == 8
