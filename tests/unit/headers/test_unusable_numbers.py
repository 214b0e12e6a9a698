"""Numbers of the header that DICOM does not allow, that cannot be read, or that an attribute cannot have."""

from __future__ import annotations

import struct

import pytest
from headers_of_bytes import both
from made_up_headers import BIG, EXPLICIT, IMPLICIT, Element, file, image, text

from dicomzarr.dicom.facts import ImageFacts


def facts_with(*extra: Element, syntax: str = EXPLICIT) -> ImageFacts:
    tags = {element.tag for element in extra}
    elements = [*(element for element in image(syntax) if element.tag not in tags), *extra]
    answer = both(file(sorted(elements, key=lambda element: element.tag), syntax))
    assert answer.outcome == "image"
    return answer.facts


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_decimal_commas_are_read_and_named(syntax: str) -> None:
    facts = facts_with(
        text(0x00280030, "DS", "0,143\\0,143"),
        text(0x00200032, "DS", "-12,500\\3,25\\7"),
        text(0x00281053, "DS", "2,5"),
        syntax=syntax,
    )
    assert facts["PixelSpacing"] == [0.143, 0.143]
    assert facts["ImagePositionPatient"] == [-12.5, 3.25, 7.0]
    assert facts["RescaleSlope"] == 2.5
    assert facts["nonstandard_numbers"] == ["ImagePositionPatient", "PixelSpacing", "RescaleSlope"]
    assert "unreadable_numbers" not in facts


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
@pytest.mark.parametrize("end", ["\\", "\\ ", "\\\\", " \\\0"])
def test_a_backslash_behind_the_last_number_is_no_number(syntax: str, end: str) -> None:
    facts = facts_with(
        text(0x00180050, "DS", f"2.5{end}"),
        text(0x00200032, "DS", f"-12.5\\3.25\\7{end}"),
        text(0x00200037, "DS", f"1\\0\\0\\0\\1\\0{end}"),
        text(0x00281050, "DS", f"40\\400{end}"),
        syntax=syntax,
    )
    assert facts["SliceThickness"] == 2.5
    assert facts["ImagePositionPatient"] == [-12.5, 3.25, 7.0]
    assert facts["ImageOrientationPatient"] == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    assert facts["WindowCenter"] == [40.0, 400.0]
    keywords = ["ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "WindowCenter"]
    assert facts["nonstandard_numbers"] == keywords
    assert "unreadable_numbers" not in facts


@pytest.mark.parametrize(
    ("tag", "vr", "value", "keyword"),
    [
        (0x00280030, "DS", "1.5 mm\\1.5 mm", "PixelSpacing"),
        (0x00280030, "DS", "1\\\\1", "PixelSpacing"),
        (0x00280030, "DS", "1\\", "PixelSpacing"),
        (0x00280030, "DS", "0,143", "PixelSpacing"),
        (0x00280030, "DS", "0,143\\0,143\\0,143", "PixelSpacing"),
        (0x00200032, "DS", "\\1\\2\\3", "ImagePositionPatient"),
        (0x00200032, "DS", "CANARY", "ImagePositionPatient"),
        (0x00200037, "DS", "1,234,5\\0\\0\\0\\1\\0", "ImageOrientationPatient"),
        (0x00281053, "DS", "1,000", "RescaleSlope"),
        (0x00281050, "DS", "NaN", "WindowCenter"),
        (0x00180081, "DS", "short", "EchoTime"),
        (0x00181060, "DS", "1\\2", "TriggerTime"),
        (0x00200013, "IS", "1,000", "InstanceNumber"),
        # -1024 without its first bytes (PS3.5 6.2: only spaces stand before a number)
        (0x00281052, "DS", "\0\0\0\0\x344 ", "RescaleIntercept"),
        (0x00281052, "DS", "\01024 ", "RescaleIntercept"),
        (0x00200013, "IS", "\012 ", "InstanceNumber"),
        (0x00200032, "DS", "\0\x35\\5\\7", "ImagePositionPatient"),
        (0x00200032, "DS", "15\\\0\x35\\7", "ImagePositionPatient"),
        (0x00281050, "DS", "\0\x30\\400", "WindowCenter"),
        # another count of numbers than the attribute has
        (0x00280030, "DS", "0.2\\0\\0.20000", "PixelSpacing"),
        (0x00280030, "DS", "0.7", "PixelSpacing"),
        (0x00181164, "DS", "0.7", "ImagerPixelSpacing"),
        (0x00200032, "DS", "-10\\5", "ImagePositionPatient"),
        (0x00200037, "DS", "1\\0\\0\\0\\1", "ImageOrientationPatient"),
    ],
)
def test_what_cannot_be_read_is_named_by_attribute(tag: int, vr: str, value: str, keyword: str) -> None:
    facts = facts_with(text(tag, vr, value))
    assert keyword not in facts
    assert facts["unreadable_numbers"] == [keyword]
    assert "CANARY" not in str(facts)


@pytest.mark.parametrize(
    ("tag", "vr", "value", "keyword"),
    [
        (0x00189087, "FD", struct.pack("<d", 20031117.0), "DiffusionBValue"),
        (0x00180081, "DS", b"-5", "EchoTime"),
        (0x00181314, "DS", b"20031117", "FlipAngle"),
        (0x00180081, "DS", b"2,0031117e9 ", "EchoTime"),
        (0x00180081, "DS", b"17081965", "EchoTime"),
        (0x00181242, "IS", b"731000003 ", "ActualFrameDuration"),
        (0x00189089, "FD", struct.pack("<3d", 0.0, 0.0, 1908193.0), "DiffusionGradientOrientation"),
        (0x00200032, "DS", b"0\\0\\1908193", "ImagePositionPatient"),
        (0x3004000C, "DS", b"0\\1\\491510000016", "GridFrameOffsetVector"),
        (0x3004000E, "DS", b"491510000016", "DoseGridScaling"),
        (0x00280030, "DS", b"0\\0 ", "PixelSpacing"),
        (0x00280030, "DS", b"0.5\\0 ", "PixelSpacing"),
        (0x00280030, "DS", b"-0.5\\0.5", "PixelSpacing"),
        (0x00280030, "DS", b"6081972\\6081972 ", "PixelSpacing"),
        # clocks in milliseconds, of which the dataset has seconds
        (0x00181063, "DS", b"19861222", "FrameTime"),
        (0x00181065, "DS", b"0\\19861222 ", "FrameTimeVector"),
    ],
)
def test_what_an_attribute_cannot_have_is_dropped(tag: int, vr: str, value: bytes, keyword: str) -> None:
    facts = facts_with(Element(tag, vr, value))
    assert keyword not in facts
    assert facts["implausible_numbers"] == [keyword]


def test_ordinary_numbers_are_not_named() -> None:
    facts = facts_with(text(0x00280030, "DS", "+0.5\\5e-1"), text(0x00180081, "DS", ""))
    assert facts["PixelSpacing"] == [0.5, 0.5]
    assert not {"unreadable_numbers", "nonstandard_numbers", "implausible_numbers"} & facts.keys()


def test_named_numbers_repeat_in_each_header_of_a_series() -> None:
    # The second and later headers share runs of elements, whose meaning is kept.
    stable = [text(0x00180050 + 2 * n, "DS", "1") for n in range(16)]
    for _ in range(6):
        facts = facts_with(*stable, text(0x00280030, "DS", "0,5\\0,5"), text(0x00281053, "DS", "bad"))
        assert facts["nonstandard_numbers"] == ["PixelSpacing"]
        assert facts["unreadable_numbers"] == ["RescaleSlope"]
