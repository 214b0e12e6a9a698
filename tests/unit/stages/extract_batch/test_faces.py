"""Volumes that may show a face: by header, by geometry; and series that are left out for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import extracted_series
import numpy as np
import pytest
from dicoms import ct_slice, save
from extracted_series import extract_folder
from made_up_scans import multi_frame_scan
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomzarr.dicom import sop_classes
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.stages.extract_batch import faces


def scan(folder: Path, slices: int = 12, **attributes: Any) -> SeriesRecord:
    """Extract a CT of 120 x 120 mm and 5 mm a slice, and return its record."""
    for index in range(slices):
        pixels = np.full((24, 24), index, np.int16)
        place = {"ImagePositionPatient": [0, 0, 5.0 * index], "PixelSpacing": [5.0, 5.0]}
        save(ct_slice("scan", index, pixels=pixels, **place | attributes), folder / f"{index}.dcm")
    return extract_folder(folder).record


@pytest.mark.parametrize(
    ("attributes", "risk"),
    [
        ({}, "geometry"),
        ({"BodyPartExamined": "HEAD"}, "header"),
        ({"BodyPartExamined": "CHEST"}, ""),
        ({"BodyPartExamined": "SHOULDER"}, "geometry"),
        ({"BodyPartExamined": "CHEST", "RecognizableVisualFeatures": "YES"}, "header"),
        ({"BodyPartExamined": "CHEST", "StudyDescription": "CT Hals"}, "header"),
        ({"Modality": "NM", "SOPClassUID": sop_classes.NUCLEAR_MEDICINE}, ""),
        ({"Modality": "MG", "SOPClassUID": sop_classes.BREAST_TOMOSYNTHESIS}, ""),
        ({"Modality": "OT"}, "geometry"),
        ({"Modality": None}, "geometry"),
        ({"Modality": "OT", "BodyPartExamined": "HEAD"}, "header"),
        ({"Modality": "CT", "SOPClassUID": sop_classes.SECONDARY_CAPTURE, "BurnedInAnnotation": "NO"}, "geometry"),
        ({"Modality": "DX", "SOPClassUID": sop_classes.X_RAY_3D_CRANIOFACIAL, "slices": 2}, "header"),
        ({"slices": 9}, ""),
        ({"slices": 1, "BodyPartExamined": "BRAIN"}, "header"),
        ({"slices": 170, "BodyPartExamined": "CHEST"}, "geometry"),
    ],
)
def test_a_series_that_may_show_a_face_is_flagged_with_the_cause(
    tmp_path: Path, attributes: dict[str, Any], risk: str
) -> None:
    (volume,) = scan(tmp_path / "source", **attributes).volumes
    expected = {"": set(), "header": {faces.FACE}, "geometry": {faces.FACE, faces.BY_GEOMETRY}}[risk]
    assert {faces.FACE, faces.BY_GEOMETRY} & set(volume.flags) == expected
    assert faces.flags_of(risk) == expected


def code_of(meaning: str) -> list[Dataset]:
    """Return the items of a code sequence, the second with this meaning."""
    items = []
    for number, text in enumerate(("Abdomen", meaning)):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = f"{number}", "99TEST", text
        items.append(item)
    return items


DESCRIPTIONS = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "AcquisitionProtocolName",
    "AcquisitionProtocolDescription",
    "RequestedProcedureDescription",
    "PerformedProcedureStepDescription",
)
CODES = (
    "ProcedureCodeSequence",
    "AnatomicRegionSequence",
    "RequestedProcedureCodeSequence",
    "PerformedProtocolCodeSequence",
)


@pytest.mark.parametrize("keyword", [*DESCRIPTIONS, *CODES])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_each_description_and_code_may_name_the_head(tmp_path: Path, keyword: str, syntax: UID) -> None:
    """A thin slab, which geometry does not flag, of a body part that excludes the head."""
    for text, risky in (("CT Sch\xe4del nativ", True), ("CT Leber", False)):
        value = text if keyword in DESCRIPTIONS else code_of(text)
        described = ct_slice("scan", 0, BodyPartExamined="CHEST", SpecificCharacterSet="ISO_IR 100", **{keyword: value})
        described.file_meta.TransferSyntaxUID = syntax
        folder = tmp_path / str(risky)
        save(described, folder / "0.dcm")
        (volume,) = extract_folder(folder).record.volumes
        assert (faces.FACE in volume.flags) is risky


@pytest.mark.parametrize("where", ["shared", "second frame"])
def test_a_multi_frame_image_names_the_head_in_its_functional_groups(tmp_path: Path, where: str) -> None:
    """A thin slab; the same words in an image of which no face is rendered say nothing."""
    for text, modality, risky in (("Kopf", "CT", True), ("Leber", "CT", False), ("Kopf", "MG", False)):
        image = multi_frame_scan("scan")
        image.Modality = modality
        if modality == "MG":
            image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = sop_classes.BREAST_TOMOSYNTHESIS
        of_frames = image.PerFrameFunctionalGroupsSequence[1]
        groups = image.SharedFunctionalGroupsSequence[0] if where == "shared" else of_frames
        groups.FrameAnatomySequence = [Dataset()]
        groups.FrameAnatomySequence[0].AnatomicRegionSequence = code_of(text)
        folder = tmp_path / f"{text} {modality}"
        save(image, folder / "0.dcm")
        (volume,) = extract_folder(folder).record.volumes
        assert (faces.FACE in volume.flags) is risky and faces.BY_GEOMETRY not in volume.flags


@pytest.mark.parametrize(("part", "risk"), [("", "geometry"), ("HEAD", "header"), ("CHEST", "")])
def test_with_skip_no_file_of_the_series_is_extracted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, risk: str
) -> None:
    """A duplicate gets the reason of its image; a file that cannot be used keeps its own."""
    source = tmp_path / "source"
    kept = scan(source, BodyPartExamined=part)
    monkeypatch.setattr(extracted_series, "OPTIONS", replace(extracted_series.OPTIONS, faces="skip"))
    (source / "again.dcm").write_bytes((source / "3.dcm").read_bytes())
    cut = save(ct_slice("scan", 50, ImagePositionPatient=[0, 0, 250.0]), tmp_path / "cut").read_bytes()
    (source / "cut.dcm").write_bytes(cut[:-100])
    record = extract_folder(source).record
    reasons = {file.path: (file.outcome, file.reason, file.risk) for file in record.files}
    assert reasons.pop("cut.dcm") == ("quarantined", "truncated_pixel_data", "")
    if not risk:
        assert sorted(reasons.values())[-1] == ("skipped", "duplicate", "") and len(record.volumes) == 1
        return
    assert set(reasons.values()) == {("skipped", "face_risk", risk)} and len(reasons) == 13 and record.volumes == ()
    assert record.options == kept.options  # the policy is not among them


def test_a_record_is_outdated_only_if_its_series_may_show_a_face(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, chest = scan(tmp_path / "head"), scan(tmp_path / "chest", BodyPartExamined="CHEST")
    monkeypatch.setattr(extracted_series, "OPTIONS", replace(extracted_series.OPTIONS, faces="skip"))
    skipped = extract_folder(tmp_path / "head").record
    assert extract_folder(tmp_path / "chest").record == chest
    for record, keep, skip in ((head, False, True), (skipped, True, False), (chest, False, False)):
        assert faces.is_outdated(record, "keep") is keep and faces.is_outdated(record, "skip") is skip
