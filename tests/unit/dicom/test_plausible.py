"""Every number of a header that may be written has a range, so that no date, phone number or id passes for it."""

from __future__ import annotations

import pytest

from dicomzarr.dicom.plausible import RANGES, is_dose, is_half_life, is_plausible
from dicomzarr.headers.attribute_table import ATTRIBUTES
from dicomzarr.volumes import functional_groups

# Numbers without a range, and what bounds them.
BOUNDED_OTHERWISE = {
    # a counter is written as a rank where it is large, or not at all
    **dict.fromkeys(("EchoNumbers", "TemporalPositionIdentifier", "TemporalPositionIndex"), "LARGEST_COUNT"),
    **dict.fromkeys(("InstanceNumber", "AcquisitionNumber", "SeriesNumber", "FrameAcquisitionNumber"), "ranks"),
    **dict.fromkeys(("DimensionIndexValues", "ReferencedSegmentNumber", "InStackPositionNumber"), "ranks, or US"),
    # compared with the values that they are about
    **dict.fromkeys(("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"), "volumes.implausible"),
    **dict.fromkeys(("RealWorldValueSlope", "RealWorldValueIntercept"), "volumes.implausible"),
    **dict.fromkeys(("PixelAspectRatio", "NumberOfFrames"), "never written"),
}
# Milliseconds: what is longer than hours is written as a time from the first, see `acquisition.SHORTEST_CLOCK`.
LONG_TIMES = {"TriggerTime", "NominalCardiacTriggerDelayTime", "FrameReferenceTime"}


def numbers_read() -> set[str]:
    """Return the keywords of numbers that are read of headers and of functional groups."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    found = {k for k, vr, form in ATTRIBUTES.values() if vr in ("DS", "IS", "FD", "FL") and form != "text"}
    found |= functional_groups.attributes_read()
    tags = {keyword: tag for keyword in found if (tag := tag_for_keyword(keyword)) is not None}  # no private elements
    return {k for k, tag in tags.items() if dictionary_VR(tag) in ("DS", "IS", "FD", "FL", "SL", "UL")}


def test_every_number_is_bounded() -> None:
    unbounded = numbers_read() - set(RANGES)
    assert unbounded <= set(BOUNDED_OTHERWISE), unbounded - set(BOUNDED_OTHERWISE)
    assert not set(BOUNDED_OTHERWISE) & set(RANGES)


def test_no_range_holds_a_number_of_eight_digits() -> None:
    """Eight digits are a date or an id: 17081965, 4711081512."""
    wide = {keyword for keyword, limits in RANGES.items() if max(map(abs, limits)) > 1e7}
    assert wide == LONG_TIMES


@pytest.mark.parametrize("keyword", sorted(set(RANGES) - LONG_TIMES))
def test_a_phone_number_is_no_quantity(keyword: str) -> None:
    assert not any(is_plausible(keyword, sign * number) for sign in (1, -1) for number in (491510000016.0, 17081965.0))


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *((75.4, True), (6586.2, True), (692902.0, True), (4.37e6, True)),  # Rb-82, F-18, I-131, Sr-89
        *((23410080.0, True), (23483520.0, True), (948900000.0, True)),  # Ge-68, Co-57, Cs-137
        *((17081965.0, False), (4711081512.0, False), (0.0, False), (-1.0, False)),
    ],
)
def test_half_lives_are_those_of_nuclides(seconds: float, expected: bool) -> None:
    assert is_half_life(seconds) is expected


@pytest.mark.parametrize(("becquerel", "expected"), [(3.7e8, True), (1.1e10, True), (370.0, False), (4.9e11, False)])
def test_doses_are_those_of_patients(becquerel: float, expected: bool) -> None:
    assert is_dose(becquerel) is expected
