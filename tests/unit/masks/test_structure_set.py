"""Structure sets: what they say of their regions, and the points of their contours."""

from __future__ import annotations

import io
import logging
import struct
from typing import Any

import numpy as np
import pytest
from dicoms import uid
from hypothesis import given
from hypothesis import strategies as st
from made_up_structure_sets import MadeUpContour, MadeUpRoi, code_item, file_of, item, polygon, square, structure_set
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from dicomzarr.masks.model import Code, MaskProblem
from dicomzarr.masks.names import name_of_codes
from dicomzarr.masks.structure_set import StructureSet, points_of, read_structure_set

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)


def read(*rois: MadeUpRoi, syntax: str = ExplicitVRLittleEndian, **more: Any) -> StructureSet:
    return read_structure_set(file_of(structure_set(rois, **more), syntax=syntax))


def problem_of(data: bytes) -> str:
    with pytest.raises(MaskProblem) as caught:
        read_structure_set(data)
    return caught.value.code


# ---- What it says


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_regions_and_their_contours(syntax: str) -> None:
    circle = polygon((12.345678, -98.7), 31.25, -402.5)
    liver = MadeUpRoi(
        "Liver of Hansen^Eva",
        [square(-1.5, 2.25, 3, 4, 10), MadeUpContour(circle, images=["1.2.3", ("1.2.4", [1, 3]), ("1.2.5", 2)])],
        number=7,
        algorithm="SEMIAUTOMATIC",
        label="seen by Olsen",
        description="a description",
        codes=[("SCT", "10200004"), ("SRT", "T-62000")],
    )
    other = MadeUpRoi("empty", [], algorithm="AUTOMATIC", number=3)
    found = read(liver, other, syntax=syntax)
    first, second = found.rois
    description = first.description
    assert (description.kind, description.number) == ("RTSTRUCT", 7)
    assert (description.label, description.description) == ("Liver of Hansen^Eva", "seen by Olsen")
    assert description.algorithm == "semi-automatic"
    assert description.codes == (Code("SCT", "10200004"), Code("SRT", "T-62000"))
    assert first.contours[0].points.tolist() == square(-1.5, 2.25, 3, 4, 10).tolist()
    assert first.contours[1].points == pytest.approx(circle, abs=1e-11)
    assert first.contours[1].points.dtype == np.float64
    assert first.contours[0].images == ()
    assert first.contours[1].images == (("1.2.3", None), ("1.2.4", 0), ("1.2.4", 2), ("1.2.5", 1))
    assert {contour.kind for contour in first.contours} == {"CLOSED_PLANAR"}
    assert (second.description.label, second.description.algorithm, second.contours) == ("empty", "automatic", ())
    assert found.frame_of_reference == first.frame_of_reference == uid("frame of reference")
    assert found.unreadable == 0


@pytest.mark.parametrize(
    ("stated", "algorithm"), [("MANUAL", "manual"), ("manual ", "manual"), ("", ""), (None, ""), ("GUESSED", "")]
)
def test_algorithms_come_from_a_closed_list(stated: str | None, algorithm: str) -> None:
    assert read(MadeUpRoi("a", algorithm=stated)).rois[0].description.algorithm == algorithm


def test_the_most_specific_code_is_first() -> None:
    made = structure_set([MadeUpRoi("a", codes=[("SCT", "1"), ("SCT", "1")])])
    observation = made.RTROIObservationsSequence[0]
    observation.AnatomicRegionSequence = Sequence([code_item("SCT", "3")])
    observation.SegmentedPropertyCategoryCodeSequence = Sequence([code_item("SCT", "4"), code_item("", "5")])
    observation.RTROIIdentificationCodeSequence.append(item(CodingSchemeDesignator="99X", LongCodeValue="2"))
    codes = read_structure_set(file_of(made)).rois[0].description.codes
    assert codes == (Code("SCT", "1"), Code("99X", "2"), Code("SCT", "3"), Code("SCT", "4"))


def test_a_code_for_the_side_follows_what_it_modifies() -> None:
    made = structure_set([MadeUpRoi("a", codes=[("SCT", "64033007")])])
    observation = made.RTROIObservationsSequence[0]
    (kidney,) = observation.RTROIIdentificationCodeSequence
    kidney.SegmentedPropertyTypeModifierCodeSequence = Sequence([code_item("SCT", "24028007")])
    observation.SegmentedPropertyCategoryCodeSequence = Sequence([code_item("SCT", "123037004")])
    codes = read_structure_set(file_of(made)).rois[0].description.codes
    assert codes == (Code("SCT", "64033007"), Code("SCT", "24028007"), Code("SCT", "123037004"))
    assert name_of_codes(codes) == "right_kidney"


def test_thousands_of_codes_take_no_time() -> None:
    made = structure_set([MadeUpRoi("a", codes=[("SCT", f"{number}") for number in range(20_000)])])
    codes = read_structure_set(file_of(made)).rois[0].description.codes
    assert codes == tuple(Code("SCT", f"{number}") for number in range(64))


def test_types_of_contours() -> None:
    kinds = ("POINT", "OPEN_PLANAR", "OPEN_NONPLANAR", "CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
    points = square(0, 0, 2, 2, 1)
    found = read(MadeUpRoi("a", [MadeUpContour(points, kind=kind) for kind in (*kinds, "closed_planar ")])).rois[0]
    assert tuple(contour.kind for contour in found.contours) == (*kinds, "CLOSED_PLANAR")
    assert found.unreadable == 0
    unknown = read(MadeUpRoi("a", [MadeUpContour(points, kind=kind) for kind in ("SPLINE", "", None)])).rois[0]
    assert unknown.contours == () and unknown.unreadable == 3


def test_frames_of_reference() -> None:
    two = read(MadeUpRoi("a", frame_of_reference="1.5"), MadeUpRoi("b"))
    assert [roi.frame_of_reference for roi in two.rois] == ["1.5", uid("frame of reference")]
    assert two.frame_of_reference == ""
    assert read(MadeUpRoi("a", frame_of_reference="1.5")).frame_of_reference == "1.5"
    made = structure_set([MadeUpRoi("a")], ReferencedFrameOfReferenceSequence=None)
    del made.StructureSetROISequence[0].ReferencedFrameOfReferenceUID
    assert read_structure_set(file_of(made)).rois[0].frame_of_reference == uid("frame of reference")
    del made.FrameOfReferenceUID
    assert read_structure_set(file_of(made)).rois[0].frame_of_reference == ""


def test_a_name_with_a_backslash_is_one_text() -> None:
    """ROI Name (3006,0026) is of a VR whose values are split at backslashes, but has one value."""
    made = structure_set([MadeUpRoi("PTV\\60", label="of\\Monday")])
    (roi,) = read_structure_set(file_of(made)).rois
    assert (roi.description.label, roi.description.description) == ("PTV\\60", "of\\Monday")


def test_names_in_other_characters() -> None:
    made = structure_set([MadeUpRoi("Prostata größer", label="肝")], SpecificCharacterSet="ISO_IR 192")
    description = read_structure_set(file_of(made)).rois[0].description
    assert (description.label, description.description) == ("Prostata größer", "肝")


def test_the_structure_set_of_pydicom_has_the_points_that_pydicom_reads() -> None:
    path = get_testdata_file("rtstruct.dcm", download=False)
    expected = [
        [np.array(contour.ContourData, float).reshape(-1, 3).tolist() for contour in region.ContourSequence]
        for region in dcmread(path, force=True).ROIContourSequence
    ]
    with open(path, "rb") as stream:
        found = read_structure_set(stream)
    assert [[contour.points.tolist() for contour in roi.contours] for roi in found.rois] == expected
    assert [[contour.kind for contour in roi.contours] for roi in found.rois] == [
        ["CLOSED_PLANAR"] * 3,
        ["POINT"],
        ["POINT"],
    ]


def test_a_file_object_is_read() -> None:
    data = file_of(structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])]))
    assert len(read_structure_set(io.BytesIO(data)).rois[0].contours) == 1


# ---- What does not fit together


def test_contours_without_a_region_and_regions_of_one_number() -> None:
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)], number=1), MadeUpRoi("b", [square(0, 0, 1, 1, 1)])])
    del made.StructureSetROISequence[1]
    found = read_structure_set(file_of(made))
    assert [(roi.description.number, roi.description.label) for roi in found.rois] == [(1, "a"), (2, "")]
    assert len(found.rois[1].contours) == 1
    same = read(MadeUpRoi("a", [square(0, 0, 2, 2, 1)], number=4), MadeUpRoi("b", [square(0, 0, 2, 2, 2)], number=4))
    (only,) = same.rois
    assert only.description.label == "" and len(only.contours) == 2  # which name is right is not known
    equal = read(MadeUpRoi("a", number=4), MadeUpRoi("a", number=4))
    assert [roi.description.label for roi in equal.rois] == ["a"]


def test_numbers_of_regions_that_are_missing() -> None:
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])])
    del made.ROIContourSequence[0].ReferencedROINumber
    assert problem_of(file_of(made)) == "missing_attribute"  # nothing says whose contours they are


def test_a_region_whose_contours_may_be_those_without_a_region_is_not_empty() -> None:
    """Its number is missing, or that of its contours is another one: an empty mask would say that it is absent."""
    made = structure_set(
        [MadeUpRoi("a", [square(0, 0, 2, 2, 1)]), MadeUpRoi("b"), MadeUpRoi("c", [square(0, 0, 2, 2, 1)])]
    )
    made.ROIContourSequence[0].ReferencedROINumber = 7
    found = [(roi.description.number, roi.problem, len(roi.contours)) for roi in read_structure_set(file_of(made)).rois]
    assert found == [(1, "invalid_attribute", 0), (2, "invalid_attribute", 0), (3, "", 1), (7, "", 1)]
    made.ROIContourSequence[0].ReferencedROINumber = 1
    assert [roi.problem for roi in read_structure_set(file_of(made)).rois] == ["", "", ""]
    del made.StructureSetROISequence[1].ROINumber
    made.StructureSetROISequence[2].ROINumber = 0
    made.ROIContourSequence[2].ReferencedROINumber = 0
    found = [(roi.description.label, roi.problem, len(roi.contours)) for roi in read_structure_set(file_of(made)).rois]
    assert found[:3] == [("a", "", 1), ("b", "missing_attribute", 0), ("c", "", 1)]


def test_contours_of_two_regions_with_one_number_are_not_mixed() -> None:
    made = structure_set(
        [MadeUpRoi("a", [square(0, 0, 2, 2, 1)], number=1), MadeUpRoi("b", [square(1, 1, 3, 3, 1)], number=1)]
    )
    (region,) = read_structure_set(file_of(made)).rois
    assert region.problem == "invalid_attribute"
    for item_of_roi in made.StructureSetROISequence:
        item_of_roi.ROIName = "a"
    (region,) = read_structure_set(file_of(made)).rois  # one region in two parts
    assert (region.problem, len(region.contours)) == ("", 2)


@pytest.mark.parametrize("keyword", ["StructureSetROISequence", "ROIContourSequence"])
def test_without_its_sequences_it_is_no_structure_set(keyword: str) -> None:
    made = structure_set([MadeUpRoi("a")], **{keyword: None})
    assert problem_of(file_of(made)) == "missing_attribute"


def test_sequences_that_may_be_missing() -> None:
    made = structure_set([MadeUpRoi("a"), MadeUpRoi("b")], RTROIObservationsSequence=None)
    del made.ROIContourSequence[0].ContourSequence
    made.StructureSetROISequence[1] = Dataset()
    found = read_structure_set(file_of(made))
    assert [roi.description.number for roi in found.rois] == [1, 0, 2]
    assert all(roi.contours == () and roi.unreadable == 0 for roi in found.rois)


def test_a_structure_set_that_refers_to_itself_is_read_once() -> None:
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])])
    itself = made.SOPInstanceUID
    made = structure_set([MadeUpRoi("a", [MadeUpContour(square(0, 0, 2, 2, 1), images=[itself])])], images=[itself])
    made.RTROIObservationsSequence[0].RTRelatedROISequence = Sequence([item(ReferencedROINumber=1)])
    (roi,) = read_structure_set(file_of(made)).rois
    assert roi.contours[0].images == ((itself, None),)


# ---- Numbers


def test_numbers_as_points() -> None:
    assert points_of(b"1\\-2.5\\+3e1 ").tolist() == [[1, -2.5, 30]]
    assert points_of(b" 1\\ 2\\3\\4 \\5\\6\0").tolist() == [[1, 2, 3], [4, 5, 6]]
    assert points_of(b"0,5\\-2,25\\3").tolist() == [[0.5, -2.25, 3]]  # a decimal comma with one meaning
    assert points_of(b"1\\2\\3.5D1").tolist() == [[1, 2, 35]]


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1", "1\\2", "1\\2\\3\\4", "1\\2\\", "\\1\\2", "1\\\\3", "1\\ \\3", "1\\2\\3\\4\\5\\ ", "1\\2\\3\\"),
        *("1\\2\\nan", "1\\2\\-nan", "inf\\1\\2", "1\\-inf\\2", "1\\2\\1e400", "1\\2\\1e9", "1\\2\\abc", "1\\2 3\\4"),
        *("0x1\\2\\3", "1_0\\2\\3", "1,234\\2\\3", "1.5\\2\\3,5", "١\\2\\3", "1\\2\\--3", "1;2\\3\\4"),
    ],
)
def test_what_is_not_points_is_counted(text: str) -> None:
    assert points_of(text.encode()) is None
    bad = MadeUpContour(text)
    found = read(MadeUpRoi("a", [square(0, 0, 2, 2, 1), bad]), MadeUpRoi("b", [bad, bad]))
    assert [(len(roi.contours), roi.unreadable) for roi in found.rois] == [(1, 1), (0, 2)]
    assert found.unreadable == 3


def test_contour_data_of_another_vr() -> None:
    points = square(0.5, 0, 2, 2, 1)
    for vr in ("UN", "LT", "OB"):
        (roi,) = read(MadeUpRoi("a", [MadeUpContour(points, vr=vr)])).rois
        assert roi.contours[0].points.tolist() == points.tolist(), vr


def test_a_contour_without_data_is_counted() -> None:
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])])
    del made.ROIContourSequence[0].ContourSequence[0].ContourData
    assert read_structure_set(file_of(made)).unreadable == 1


def test_unsound_references_of_a_contour_are_left_out() -> None:
    contour = MadeUpContour(square(0, 0, 2, 2, 1), images=["", ("1.2", [0, 2]), ("1.3", -4)])
    assert read(MadeUpRoi("a", [contour])).rois[0].contours[0].images == (("1.2", 1),)


# ---- Damage


def test_messages_hold_nothing_of_a_file(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    """pydicom quotes values that it does not like, in warnings and logs; the planted name is in all of them."""
    logging.getLogger("pydicom").setLevel(logging.NOTSET)
    contour = MadeUpContour(square(0, 0, 2, 2, 1), kind="Planted^Name", images=["Planted^Name"])
    made = structure_set(
        [MadeUpRoi("Planted^Name" * 30, [contour], algorithm="Planted^Name", label="Planted^Name" * 9)]
    )
    made.SpecificCharacterSet = "ISO_IR 192"
    data = file_of(made).replace(b"ISO_IR 192", b"Planted^Na")
    data = data.replace(b"\x22\x00IS\x02\x001 ", b"\x22\x00IS\x02\x00PN")  # ROI Number (3006,0022)
    caplog.clear()
    assert read_structure_set(data).rois[0].description.number == 0
    for length in range(300, len(data), 50):
        try:
            read_structure_set(data[:length])
        except MaskProblem as problem:
            assert "Planted" not in str(problem)
    assert "Planted" not in caplog.text and "Planted" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_that_is_cut_off_is_no_structure_set_with_fewer_contours(syntax: str) -> None:
    data = file_of(structure_set([MadeUpRoi("a", [square(0, 0, n, n, 1) for n in range(1, 9)])]), syntax=syntax)
    whole = read_structure_set(data)
    end = len(data) if syntax == DeflatedExplicitVRLittleEndian else data.index(b"\\0\\8\\1 ") + 7
    assert len(whole.rois[0].contours) == 8
    for length in range(200, end, 7):
        assert problem_of(data[:length]) in ("unreadable_header", "missing_attribute"), length


@pytest.mark.parametrize("data", [b"", b"DICM", bytes(200), b"\xff" * 500, b"not DICOM at all" * 20])
def test_what_is_no_dicom_file_is_refused(data: bytes) -> None:
    assert problem_of(data) in ("unreadable_header", "missing_attribute")


def test_sequences_within_sequences_without_end() -> None:
    data = file_of(structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])]))
    begin = data.index(b"\x06\x30\x80\x00SQ")
    opened = b"\x06\x30\x30\x00SQ\0\0" + struct.pack("<IHHI", 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
    closed = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    assert len(read_structure_set(data[:begin] + opened * 50 + closed * 50).rois) == 1
    for depth in (5000, 100_000):
        assert problem_of(data[:begin] + opened * depth + closed * depth) == "unreadable_header"


def test_too_many_contours_are_refused_before_they_are_read() -> None:
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])])
    data = file_of(made)
    many = b"\x06\x30\x50\x00DS\x02\x001 "
    assert problem_of(data + many * 200_001) == "too_large"
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    assert problem_of(data + items * 1_000_001) == "too_large"


def test_a_file_that_inflates_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicomzarr.masks.structure_set.MAX_BYTES", 1 << 20)
    made = structure_set([MadeUpRoi("a", [square(0, 0, 2, 2, 1)])])
    made.StructureSetDescription = "x" * 1000
    assert len(read_structure_set(file_of(made, syntax=DeflatedExplicitVRLittleEndian)).rois) == 1
    made.add_new(0x30060006, "UT", "x" * (1 << 21))
    data = file_of(made, syntax=DeflatedExplicitVRLittleEndian)
    assert len(data) < 1 << 14 and problem_of(data) == "too_large"
    assert problem_of(file_of(made)) == "too_large"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_damaged_bytes_give_a_structure_set_or_a_code(syntax: str) -> None:
    """The places of the damage are drawn at random, the same ones each time."""
    contours = [MadeUpContour(square(0, 0, n, n, 1), images=["1.2.3"]) for n in range(1, 4)]
    data = file_of(structure_set([MadeUpRoi("a", contours, codes=[("SCT", "1")])], images=["1.2.3"]), syntax=syntax)
    generator = np.random.default_rng(11)
    for _ in range(150):
        damaged = bytearray(data)
        for place in generator.integers(140, len(data), int(generator.integers(1, 6))).tolist():
            damaged[place] = int(generator.integers(0, 256))
        try:
            found = read_structure_set(bytes(damaged))
        except MaskProblem as problem:
            assert problem.code in ("unreadable_header", "missing_attribute")
            continue
        for contour in (contour for roi in found.rois for contour in roi.contours):
            assert contour.points.shape[1:] == (3,) and np.isfinite(contour.points).all()


def test_the_images_that_are_listed_for_each_series() -> None:
    made = structure_set([MadeUpRoi("a")], images=["1.2.1", "1.2.2"])
    assert read_structure_set(file_of(made)).series == (frozenset({"1.2.1", "1.2.2"}),)
    (space,) = made.ReferencedFrameOfReferenceSequence
    other = item(ContourImageSequence=[item(ReferencedSOPInstanceUID="1.2.3"), item()])
    space.RTReferencedStudySequence[0].RTReferencedSeriesSequence.extend([other, item()])
    listed = (frozenset({"1.2.1", "1.2.2"}), frozenset({"1.2.3"}), frozenset())
    assert read_structure_set(file_of(made)).series == listed
    del made.ReferencedFrameOfReferenceSequence
    assert read_structure_set(file_of(made)).series == ()


@given(st.integers(3, 40), st.integers(0, 45), st.booleans())
def test_contours_that_lost_points_are_known(written: int, stated: int, is_closed: bool) -> None:
    points = polygon((0.0, 0.0), 5.0, 0.0, corners=written)
    points = np.concatenate([points, points[:1]]) if is_closed else points
    made = structure_set([MadeUpRoi("a", [points])])
    contour = made.ROIContourSequence[0].ContourSequence[0]
    contour.NumberOfContourPoints = stated
    ((found,),) = (roi.contours for roi in read_structure_set(file_of(made)).rois)
    assert found.is_as_stated == (stated in {written, written + is_closed})
    assert len(found.points) == len(points)
    del contour.NumberOfContourPoints
    ((found,),) = (roi.contours for roi in read_structure_set(file_of(made)).rois)
    assert found.is_as_stated
