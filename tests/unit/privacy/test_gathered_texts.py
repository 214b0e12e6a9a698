"""Which texts of a header the privacy search knows: all of PS3.6, whatever the file says of their VR."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, encode, file, head, image, text
from pydicom.datadict import DicomDictionary, dictionary_VR

from dicomzarr.dicom.vr import TEXT_VRS, kind_of
from dicomzarr.headers.classify import read_header
from dicomzarr.headers.cut_off import facts_before_the_end, texts_before_the_end
from dicomzarr.headers.reading import EXPLICIT_LITTLE, TooLong
from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.privacy.scanner import Scanner

TEXTS = {tag: row[0] for tag, row in DicomDictionary.items() if row[0] in TEXT_VRS - {"UI", "DA", "DT"}}
TAGS = sorted(tag for tag in TEXTS if 0x00080016 < tag < 0x7FE00000)
# Curve Description, Axis Units, Curve Label; Overlay Description, Overlay Label, Overlay Comments (PS3.5 7.6).
REPEATED = {
    start | group << 16: dictionary_VR(start)
    for start in (0x50000022, 0x50000030, 0x50002500, 0x60000022, 0x60001500, 0x60004000)
    for group in range(0, 32, 2)
}
FORMS = ["stated", "UN", "implicit"]


def scanner_of(elements: dict[int, str], form: str, *, times: int = 3) -> Scanner:
    """Return a scanner for the texts of a file, read repeatedly, so that its layout is known."""
    syntax = IMPLICIT if form == "implicit" else EXPLICIT
    others = [element for element in image(syntax) if element.tag not in elements]
    named = [
        Element(
            tag,
            "UN" if form == "UN" else REPEATED.get(tag) or TEXTS.get(tag, "LO"),
            value.encode().ljust(len(value) + len(value) % 2),
        )
        for tag, value in elements.items()
    ]
    data = file(sorted([*others, *named], key=lambda element: element.tag), syntax)
    for _ in range(times - 1):
        read_header(lambda size, at: data[at : at + size], len(data), [])
    return scanner_of_file(data)


def scanner_of_file(data: bytes) -> Scanner:
    """Return a scanner for the texts of a file, whatever can be read of it."""
    texts: list[tuple[str, bytes]] = []
    read_header(lambda size, at: data[at : at + size], len(data), texts)
    gatherer = Gatherer()
    gatherer.add(b"a.dcm", texts)
    return Scanner(frozenset(gatherer.take()), frozenset())


@pytest.mark.parametrize("form", FORMS)
def test_each_text_of_the_dictionary_is_searched_for(form: str) -> None:
    words = {
        tag: f"kubi{chr(97 + number // 676)}{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}"
        for number, tag in enumerate(TAGS)
    }
    scanner = scanner_of(words, form)
    missed = [f"{tag:08x}" for tag, word in words.items() if scanner.name(word) is None]
    assert len(words) > 500 and not missed


@pytest.mark.parametrize("form", FORMS)
def test_a_text_that_reads_as_a_measure_is_searched_for(form: str) -> None:
    """An id or a date with a point; private elements of no VR are measures more often."""
    ids = {tag: f"48151.{62342 + number}" for number, tag in enumerate(TAGS)}
    scanner = scanner_of(ids, form)
    assert [f"{tag:08x}" for tag, value in ids.items() if scanner.name(value) is None] == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("tag", [tag for tag in TAGS if TEXTS[tag] == "PN"])
def test_names_are_names_whatever_the_file_says_of_their_vr(form: str, tag: int) -> None:
    scanner = scanner_of({0x00080005: "ISO_IR 192", tag: "Zyxwolf^Canaria=山田^太郎丸"}, form, times=1)
    for leak in ("Zyxwolf Canaria", "canaria_zyxwolf", "ZYXWOLF", "山田太郎丸"):
        assert scanner.name(leak) is not None, leak


@pytest.mark.parametrize("form", FORMS)
@given(value=st.sampled_from(["Untagolir text", "Wolfang\\Bertolin"]), block=st.integers(0x10, 0xFF))
def test_private_texts_are_searched_for(form: str, value: str, block: int) -> None:
    scanner = scanner_of({0x00210000 | block: "ACME", 0x00210001 | block << 8: value}, form, times=1)
    assert scanner.name(value.split("\\", maxsplit=1)[0]) is not None


def test_a_value_of_bytes_is_no_text() -> None:
    assert kind_of(0x00211001, "UN") == kind_of(0x00211001, "") == kind_of(0x00280010, "UN") == ""
    gatherer = Gatherer()
    gatherer.add(b"", [("UN", b"Zyxwolf\0Canaria"), ("", b"Zyxwolf\1Canaria")])
    assert len(gatherer.take()) == 0


@pytest.mark.parametrize("form", FORMS)
def test_texts_of_repeating_groups_are_searched_for(form: str) -> None:
    words = {tag: f"kubi{chr(97 + number // 26)}{chr(97 + number % 26)}" for number, tag in enumerate(REPEATED)}
    scanner = scanner_of(words, form)
    assert [f"{tag:08x}" for tag, word in words.items() if scanner.name(word) is None] == []


# A name, an id, a private text, and a name within a sequence that names people, in the order of their tags.
PEOPLE = ("Zyxwolf^Canaria", "Quorblin^Tesk", "ID-QUORBLIN77", "Wolfang Bertolin", "Vexmor Tallin")


def of_people(syntax: str, *, undefined: bool) -> list[Element]:
    """Return a header of an image with `PEOPLE`."""
    operator, name, patient_id, private, requester = PEOPLE
    item = (text(0x00404101, "LO", "Vexmor"), text(0x00401101, "LO", operator))
    people = [
        Element(0x00081052, "SQ", (tuple(sorted(item, key=lambda one: one.tag)),), undefined=undefined),
        text(0x00100010, "PN", name),
        text(0x00100020, "LO", patient_id),
        text(0x00110010, "LO", "ACME"),
        text(0x00111001, "LO", private),
        text(0x00321032, "PN", requester),
    ]
    tags = {element.tag for element in people}
    others = [element for element in image(syntax) if element.tag not in tags]
    return sorted([*others, *people], key=lambda element: element.tag)


@given(
    syntax=st.sampled_from([EXPLICIT, IMPLICIT]),
    undefined=st.booleans(),
    odd=st.sampled_from(["cut", "repeated", "group 2", "unknown VR", "long"]),
    place=st.floats(0, 1),
)
def test_texts_before_what_cannot_be_read_are_searched_for(
    syntax: str, undefined: bool, odd: str, place: float
) -> None:
    elements = of_people(syntax, undefined=undefined)
    number = 1 + int(place * (len(elements) - 2))  # of the element that is odd
    before = file(elements[:number], syntax)
    rest = encode(elements[number:], syntax)
    whole = encode(elements[number : number + 1], syntax)
    data = {
        "cut": before + whole[: len(whole) // 2],
        "repeated": before + encode([text(elements[number - 1].tag, "LO", "another")], syntax) + rest,
        "group 2": before + encode([text(0x00020013, "SH", "late")], syntax) + rest,
        "unknown VR": before + head(elements[number].tag, "ZZ", 4, syntax) + b"abcd" + rest,
        "long": before + head(elements[number].tag, "OB", 1 << 31, syntax) + rest,
    }[odd]
    scanner = scanner_of_file(data)
    for words in PEOPLE:
        if words.encode() in before:
            assert scanner.name(words.replace("^", " ")) is not None, words


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("cut", [0, 30])
def test_directory_records_are_searched_for(syntax: str, undefined: bool, cut: int) -> None:
    record = (
        text(0x00041430, "CS", "PATIENT "),
        text(0x00100010, "PN", "Zyxwolf^Canaria"),
        text(0x00100020, "LO", "1"),
    )
    last = (text(0x00041430, "CS", "SERIES"), text(0x0008103E, "LO", "a series of somebody else, which is long"))
    records = Element(0x00041220, "SQ", (record, last), undefined=undefined)
    data = file([text(0x00041130, "CS", "CD"), records], syntax)
    assert scanner_of_file(data[: len(data) - cut]).name("canaria_zyxwolf") is not None


def test_the_part_of_a_deflated_header_that_is_in_memory_counts() -> None:
    first = Element(0x00100010, "PN", b"Wolfang^Bertolin")
    data = encode([first, Element(0x00104000, "LT", b"a" * 2000), Element(0x0020000D, "UI", b"1.2\0")], EXPLICIT)

    def read(size: int, at: int) -> bytes:
        if at + size > 1000:
            raise TooLong
        return data[at : at + size]

    assert texts_before_the_end(read, len(data), 0, EXPLICIT_LITTLE) == [("PN", b"Wolfang^Bertolin")]
    assert facts_before_the_end(read, len(data), 0, EXPLICIT_LITTLE) == {}
