"""Numbers within sequences of the header: real world values, radionuclide, detector; digests of others."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from headers_of_bytes import both
from hypothesis import given
from hypothesis import strategies as st
from made_up_headers import BIG, EXPLICIT, IMPLICIT, Element, file, image, text

from dicomzarr.headers.sequence_values import FORMS, Unreadable

FORMS_OF_LENGTHS = [(False, False), (True, False), (False, True), (True, True)]


def fd(tag: int, value: float, syntax: str = EXPLICIT) -> Element:
    return Element(tag, "FD", struct.pack(">d" if syntax == BIG else "<d", value))


def facts_with(tag: int, items: list[list[Element]], syntax: str, undefined: bool, items_undefined: bool) -> Any:
    sequence = Element(tag, "SQ", tuple(map(tuple, items)), undefined, None, items_undefined)
    elements = [*image(syntax), sequence]
    answer = both(file(sorted(elements, key=lambda element: element.tag), syntax))
    assert answer.outcome == "image"
    return answer.facts


def mapping(slope: float, intercept: float, syntax: str) -> list[Element]:
    units = Element(0x004008EA, "SQ", ((text(0x00080100, "SH", "ml/100g"),),), undefined=True)
    return [units, fd(0x00409224, intercept, syntax), fd(0x00409225, slope, syntax)]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(("undefined", "items_undefined"), FORMS_OF_LENGTHS)
def test_one_real_world_mapping(syntax: str, undefined: bool, items_undefined: bool) -> None:
    lengths = (undefined, items_undefined)
    assert facts_with(0x00409096, [mapping(0.5, -3.0, syntax)], syntax, *lengths)["real_world"] == [0.5, -3.0]
    twice = [mapping(0.5, -3.0, syntax)] * 2
    assert facts_with(0x00409096, twice, syntax, *lengths)["real_world"] == [0.5, -3.0]
    two = [mapping(0.5, -3.0, syntax), mapping(0.25, -3.0, syntax)]
    assert "real_world" not in facts_with(0x00409096, two, syntax, *lengths)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(("undefined", "items_undefined"), FORMS_OF_LENGTHS)
@pytest.mark.parametrize("open_code", [False, True])
def test_unit_of_a_real_world_mapping(syntax: str, undefined: bool, items_undefined: bool, open_code: bool) -> None:
    def in_unit(*codes: tuple[str, str]) -> list[Element]:
        items = tuple((text(0x00080100, "SH", value), text(0x00080102, "SH", scheme)) for scheme, value in codes)
        return [Element(0x004008EA, "SQ", items, undefined=open_code), *mapping(0.5, -3.0, syntax)[1:]]

    def read(*items: list[Element]) -> Any:
        return facts_with(0x00409096, list(items), syntax, undefined, items_undefined)["real_world"]

    unit, other = ("UCUM", "Bq/ml"), ("UCUM", "g/ml{SUVbw}")
    assert read(in_unit(unit)) == read(in_unit(unit), in_unit(unit)) == [0.5, -3.0, "UCUM:Bq/ml"]
    for without in ([in_unit(unit), in_unit(other)], [in_unit(unit, other)], [in_unit()], [in_unit(("", "Bq/ml"))]):
        assert read(*without) == [0.5, -3.0]


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(("undefined", "items_undefined"), FORMS_OF_LENGTHS)
def test_half_life_and_dose(syntax: str, undefined: bool, items_undefined: bool) -> None:
    item = [
        text(0x00180031, "LO", "FDG -- CANARY"),
        text(0x00181074, "DS", "3.7e8"),
        text(0x00181075, "DS", "6586.2"),
    ]
    lengths = (undefined, items_undefined)
    facts = facts_with(0x00540016, [item], syntax, *lengths)
    assert facts["radionuclide"] == {"half_life": 6586.2, "dose": 3.7e8}
    assert "CANARY" not in str(facts)
    assert "radionuclide" not in facts_with(0x00540016, [item, item], syntax, *lengths)
    assert facts_with(0x00540016, [item[:2]], syntax, *lengths)["radionuclide"] == {"dose": 3.7e8}


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(("undefined", "items_undefined"), FORMS_OF_LENGTHS)
def test_position_of_the_detector(syntax: str, undefined: bool, items_undefined: bool) -> None:
    def item(z: str) -> list[Element]:
        return [text(0x00200032, "DS", f"-140\\-140\\{z}"), text(0x00200037, "DS", "1\\0\\0\\0\\1\\0")]

    place = {"position": [-140.0, -140.0, 100.5], "orientation": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    lengths = (undefined, items_undefined)
    assert facts_with(0x00540022, [item("100.5")], syntax, *lengths)["detector"] == place
    assert "detector" not in facts_with(0x00540022, [item("100.5"), item("99")], syntax, *lengths)
    silent = [text(0x00200032, "DS", ""), text(0x00200037, "DS", "")]
    for items in ([item("100.5"), silent], [[], item("100.5")]):
        assert facts_with(0x00540022, items, syntax, *lengths)["detector"] == place
    assert "detector" not in facts_with(0x00540022, [silent, silent], syntax, *lengths)
    unreadable = facts_with(0x00540022, [item("100,5x")], syntax, *lengths)
    assert "detector" not in unreadable
    assert unreadable["unreadable_numbers"] == ["ImagePositionPatient"]
    comma = facts_with(0x00540022, [item("100,5")], syntax, *lengths)
    assert comma["detector"] == place
    assert comma["nonstandard_numbers"] == ["detector"]


def test_malformed_items_count_as_absent() -> None:
    good = Element(0x00409096, "SQ", (tuple(mapping(2.0, 0.0, EXPLICIT)),)).encode(EXPLICIT)[12:]
    for cut in range(1, len(good)):
        assert FORMS["real_world"](good[:cut], True, set()) is None
    assert FORMS["real_world"](good, True, set()) == [2.0, 0.0]
    assert FORMS["real_world"](good, False, set()) is None


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_raise(value: bytes, little: bool) -> None:
    for form in FORMS.values():
        for content in (value, b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + value):
            with contextlib.suppress(Unreadable):
                form(content, little, set())


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize(("undefined", "items_undefined"), FORMS_OF_LENGTHS)
def test_a_digest_tells_whether_two_sequences_are_the_same(syntax: str, undefined: bool, items_undefined: bool) -> None:
    def dose_of(beam: str) -> Any:
        beams = Element(0x300C0004, "SQ", ((text(0x300C0006, "IS", beam),),))
        groups = Element(0x300C0020, "SQ", ((beams, text(0x300C0022, "IS", "1")),))
        plan = [text(0x00081155, "UI", "1.2.3"), groups]
        return facts_with(0x300C0002, [plan], syntax, undefined, items_undefined)["dose_references"]

    assert dose_of("1") == dose_of("1") != dose_of("2")
    assert len(dose_of("1")) == 16
