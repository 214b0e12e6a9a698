"""Which texts of a header the privacy search knows: all of PS3.6, whatever the file says of their VR."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import EXPLICIT, IMPLICIT, Element, file, image
from pydicom.datadict import DicomDictionary

from dicomzarr.dicom.vr import TEXT_VRS, kind_of
from dicomzarr.headers.classify import read_header
from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.privacy.scanner import Scanner

TEXTS = {tag: row[0] for tag, row in DicomDictionary.items() if row[0] in TEXT_VRS - {"UI", "DA", "DT"}}
TAGS = sorted(tag for tag in TEXTS if 0x00080016 < tag < 0x7FE00000)
FORMS = ["stated", "UN", "implicit"]


def scanner_of(elements: dict[int, str], form: str, *, times: int = 3) -> Scanner:
    """Return a scanner for the texts of a file, read repeatedly, so that its layout is known."""
    syntax = IMPLICIT if form == "implicit" else EXPLICIT
    others = [element for element in image(syntax) if element.tag not in elements]
    named = [
        Element(tag, "UN" if form == "UN" else TEXTS.get(tag, "LO"), value.encode().ljust(len(value) + len(value) % 2))
        for tag, value in elements.items()
    ]
    data = file(sorted([*others, *named], key=lambda element: element.tag), syntax)
    gatherer = Gatherer()
    for _ in range(times):
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
