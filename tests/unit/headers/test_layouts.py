"""Layouts make the reading of headers faster and change no result: facts, texts, reasons, whatever the bytes."""

from __future__ import annotations

import contextlib
import random
import struct
from collections.abc import Iterator
from dataclasses import replace
from unittest import mock

import pytest
from conftest import FULL
from header_mutations import mutated
from headers_by_layout import alone, as_before, by_layout, forget
from hypothesis import event, given, settings
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, encode, file, image, meta, number, text

from dicomzarr.dicom.vr import NAMING
from dicomzarr.headers import data_set, fast_reader, item_shapes, item_walk, layouts, reading
from dicomzarr.headers.attribute_table import ATTRIBUTES, CREATOR, PRIVATE_TAGS, SEQUENCES
from dicomzarr.headers.attributes import WANTED
from dicomzarr.headers.item_shapes import Shapes


@pytest.fixture(autouse=True)
def nothing_learned() -> Iterator[None]:
    forget()
    yield
    forget()


# --- any headers -----------------------------------------------------------------------------------------------------

# Wanted, not wanted and of text, not wanted and of numbers, private, and sequences that name people.
TAGS = sorted(
    {*sorted(WANTED)[1:30], 0x00080005, 0x00080050, 0x00100010, 0x00100030, 0x00181000, 0x00181150, 0x00190010}
    | {0x0019100C, 0x00191008, 0x00082112, 0x00082218, 0x00181210, *sorted(NAMING)[:2], *sorted(SEQUENCES)}
    | {tag for tag, (keyword, _, _) in ATTRIBUTES.items() if keyword == "describes_head"}
)
VALUES = (b"", b"AB", b"CD", b"HEAD", b"1.2.840 ", b"12\\-3.5 ", b"SIEMENS MR HEADER ", b"x" * 1500)
LEAVES = (0x00080100, 0x00080102, 0x00080104, 0x00081150, 0x00081155, 0x00181074, 0x00200032)


def any_element(tag: int, random_: random.Random, depth: int = 2) -> Element:
    """Return an element with a value of its own; sequences are up to three deep, of defined and of undefined length."""
    if not depth or tag not in (0x00082112, 0x0040A730, *NAMING, *SEQUENCES):
        return Element(
            tag,
            random_.choice(["LO"] * 12 + ["US", "OB", "UT", "UN"]),
            random_.choice(VALUES if depth == 2 else VALUES[:-1]),
        )
    tags = sorted(random_.sample(LEAVES, random_.randrange(1, 4))) + [0x0040A730] * random_.randrange(2)
    items = tuple(
        tuple(any_element(inner, random_, depth - 1) for inner in tags) for _ in range(random_.choice((0, 1, 2, 3, 9)))
    )
    return Element(tag, "SQ", items, random_.random() < 0.7, item_lengths_undefined=random_.random() < 0.7)


def varied(element: Element, random_: random.Random) -> Element:
    """Return an element with other values, mostly with the same VR and the same items."""
    if not random_.randrange(8):
        return any_element(element.tag, random_)
    if isinstance(element.value, bytes):
        return replace(element, value=random_.choice(VALUES))
    items = tuple(
        tuple(varied(inner, random_) if not random_.randrange(3) else inner for inner in item) for item in element.value
    )
    return replace(element, value=items)


def similar_files(random_: random.Random, syntax: str) -> list[bytes]:
    """Return files whose headers differ little from the first, most of them in values alone."""
    first = {element.tag: element for element in image(syntax)}
    first |= {tag: any_element(tag, random_) for tag in TAGS if random_.randrange(3)}
    changing = random_.sample(sorted(first), random_.randrange(1, 6))
    files = []
    for index in range(random_.randrange(3, 8)):
        header = dict(first)
        if index:
            header |= {tag: varied(first[tag], random_) for tag in changing}
        header[0x00280103] = number(0x00280103, random_.randrange(4) == 0, syntax)
        header[0x00280120] = number(0x00280120, 65000, syntax)
        header[0x7FE00010] = first[0x7FE00010]
        files.append(file(sorted(header.values(), key=lambda e: e.tag), syntax))
    return files


def learn_each(implicit: bool) -> None:
    """Let the next header be learned, however often that was in vain."""
    layouts.LAYOUTS[implicit]._left = 0
    for shapes in item_shapes._SHAPES.values():
        shapes._left = 0


@pytest.mark.parametrize("block", [reading.BLOCK, 900])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@settings(max_examples=2000 if FULL else 100)
@given(seed=st.integers(0, 1 << 32))
def test_layouts_change_no_result(syntax: str, block: int, seed: int) -> None:
    forget()
    random_ = random.Random(seed)
    files = similar_files(random_, syntax)
    with contextlib.ExitStack() as stack:
        for module in (data_set, fast_reader, item_walk, layouts):
            stack.enter_context(mock.patch.object(module, "BLOCK", block))
        for data in [*files, *files]:
            learn_each(syntax == IMPLICIT)
            assert as_before(data) == alone(data)
        for _ in range(6):
            data = random_.choice(files)
            changed = mutated(data, random_)
            assert as_before(changed) == alone(changed)
            assert as_before(data) == alone(data)
        with mock.patch.object(fast_reader, "read_raw", side_effect=reading.Unclear) as needed:
            as_before(files[0])
    event(f"read by its layout: {not needed.called}")


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_header_cut_anywhere(syntax: str) -> None:
    sequence = Element(0x00082112, "SQ", (tuple(image(syntax)[:4]),) * 3, True, item_lengths_undefined=True)
    files = [
        file(image(syntax, Source=sequence, InstanceNumber=text(0x00200013, "IS", str(7**index))), syntax)
        for index in range(9)
    ]
    for data in files:
        as_before(data)
    by_layout(files[-1])
    for length in range(len(meta(syntax)), len(files[-1])):
        assert as_before(files[-1][:length]) == alone(files[-1][:length])


def test_repeated_values_follow_the_pixel_representation_of_their_file() -> None:
    for syntax in (EXPLICIT, IMPLICIT):
        alike = {
            "SmallestImagePixelValue": number(0x00280106, 65000, syntax),
            "PixelPaddingValue": number(0x00280120, 65001, syntax),
            "RescaleIntercept": text(0x00281052, "DS", "NaN"),
        }
        found = []
        for turn in range(20):
            signed = number(0x00280103, turn % 2, syntax)
            elements = image(
                syntax, InstanceNumber=text(0x00200013, "IS", str(turn)), PixelRepresentation=signed, **alike
            )
            data = file(elements, syntax)
            read = as_before(data) if turn < 5 else by_layout(data)
            assert read == alone(data)
            found.append((read[0].facts["PixelPaddingValue"], read[0].facts["InstanceNumber"]))
        assert found == [((65001, -535)[turn % 2], turn) for turn in range(20)]


def test_a_length_that_becomes_undefined_is_no_jump_of_four_gigabytes() -> None:
    blob = Element(0x00091010, "OB", bytes(3000))
    for index in range(6):
        as_before(file(image(Private=blob, InstanceNumber=text(0x00200013, "IS", str(index)))))
    data = file(image(Private=blob, InstanceNumber=text(0x00200013, "IS", "8")))
    by_layout(data)
    at = data.index(struct.pack("<I", 3000)) + 4
    behind, size = data[at + 3000 :], at + 0xFFFFFFFF + len(data) - at - 3000
    hostile = data[: at - 4] + b"\xff" * 4

    def sparse(length: int, offset: int) -> bytes:
        return (hostile + bytes(length))[offset : offset + length] if offset < at else behind[:length]

    assert layouts.LAYOUTS[False].find(sparse, size, len(meta()), sparse(reading.BLOCK, 0)) is None
    assert layouts.LAYOUTS[False].find(lambda n, i: data[i : i + n], len(data), len(meta()), data) is not None


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_headers_that_differ_at_their_end_are_compared_with_one_layout(syntax: str) -> None:
    def header(index: int) -> bytes:
        private = Element(0x00510010 + index % 3, "LO", b"SCANNER ")
        return file(image(syntax, Private=private, InstanceNumber=text(0x00200013, "IS", str(7**index))), syntax)

    for index in range(30):
        learn_each(syntax == IMPLICIT)
        as_before(header(index))
    read = layouts.Layout._read
    with mock.patch.object(layouts.Layout, "_read", autospec=True, side_effect=read) as compared:
        for index in range(30, 45):
            assert by_layout(header(index)) == alone(header(index))
    assert compared.call_count == 15


# --- what is bounded -------------------------------------------------------------------------------------------------


def test_few_layouts_are_kept_and_headers_with_nothing_in_common_are_learned_seldom() -> None:
    with mock.patch.object(layouts, "_fields_of", side_effect=layouts._fields_of) as learned:
        for index in range(600):
            tags = [0x00091000 + place for place in range(10) if index >> place & 1]
            data = file(
                [
                    *image()[:3],
                    *(text(tag, "LO", "A") for tag in tags),
                    *image()[3:],
                ]
            )
            as_before(data)
    assert learned.call_count < 20
    assert len(layouts.LAYOUTS[False]._known) <= layouts.MAX_LAYOUTS


def test_long_values_and_headers_of_many_elements_are_not_kept() -> None:
    many = [text(0x00091000 + place, "LO", "A") for place in range(layouts.MAX_FIELDS)]
    for elements in ([*image()[:3], *many, *image()[3:]], image(Long=Element(0x3004000C, "DS", b"1\\" * 9000))):
        data = file(sorted(elements, key=lambda e: e.tag))
        for _ in range(3):
            assert as_before(data) == alone(data)
        assert not any(
            len(field.value) > 1 << 14 for layout in layouts.LAYOUTS[False]._known for field in layout._fields
        )
    with pytest.raises(AssertionError, match="no layout"):
        by_layout(file([*image()[:3], *many, *image()[3:]]))


def test_attributes_of_several_tags_have_one_possible_content() -> None:
    """A layout changes the content of a keyword in place, so no other element may give it another one."""
    tags: dict[str, list[int]] = {}
    for tag, (keyword, _, _) in ATTRIBUTES.items():
        if tag not in PRIVATE_TAGS and keyword != CREATOR:
            tags.setdefault(keyword, []).append(tag)
    several = {ATTRIBUTES[tag][2] for found in tags.values() if len(found) > 1 for tag in found}
    assert several <= {"present", "head", "head_codes"}


# --- items -----------------------------------------------------------------------------------------------------------


def frames(count: int, random_: random.Random, implicit: bool) -> bytes:
    """Return the items of functional groups, of undefined length, whose positions differ in length."""
    syntax = IMPLICIT if implicit else EXPLICIT
    items = []
    for frame in range(count):
        position = text(0x00200032, "DS", f"-120\\{random_.uniform(-99, 99):.{random_.randrange(5)}f}\\{frame}")
        content = Element(0x00209113, "SQ", ((position,),), True, item_lengths_undefined=True)
        number_ = Element(
            0x00209111, "SQ", ((Element(0x00209157, "UL", struct.pack("<2I", frame, 1)),),), frame % 7 > 0
        )
        items.append((number_, content))
    return Element(0x52009230, "SQ", tuple(items), True, item_lengths_undefined=True).encode(syntax)


@pytest.mark.parametrize("implicit", [False, True])
def test_items_that_repeat_a_shape_end_where_walking_them_ends(implicit: bool) -> None:
    random_ = random.Random(5)
    syntax = IMPLICIT if implicit else EXPLICIT
    prefix, suffix = encode(image(syntax)[:-1], syntax), encode(image(syntax)[-1:], syntax)
    for turn in range(400 if FULL else 60):
        groups = frames(random_.choice((1, 3, 20, 90)), random_, implicit)
        data = meta(syntax) + prefix + groups + suffix
        assert as_before(data) == alone(data)
        changed = meta(syntax) + prefix + mutated(groups, random_) + suffix
        assert as_before(changed) == alone(changed), turn


def test_frames_are_mostly_skipped_by_their_shape() -> None:
    groups = frames(400, random.Random(1), False)[12:]
    with mock.patch.object(Shapes, "learn", autospec=True, side_effect=Shapes.learn) as learned:
        end = item_walk.skip_items(lambda length, offset: groups[offset : offset + length], len(groups), 0, False)
    assert end == len(groups)
    assert learned.call_count < 100


def test_the_limit_of_parsed_bytes_holds_with_and_without_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = frames(200, random.Random(2), False)[12:]

    def ends(limit: int) -> bool:
        monkeypatch.setattr(item_walk, "MAX_WALKED", limit)
        try:
            item_walk.skip_items(lambda length, offset: groups[offset : offset + length], len(groups), 0, False)
        except reading.TooLong:
            return False
        return True

    for limit in (1000, len(groups) // 2, len(groups) - 1, len(groups)):
        with mock.patch.object(Shapes, "skip", lambda self, data, position: position):
            without = ends(limit)
        assert ends(limit) is without is (limit >= len(groups))
