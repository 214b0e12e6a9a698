"""What the headers of one scanner have in common: attributes, private blocks, sequences."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

from .encoding import ROOT


def set_all(target: Dataset, values: Mapping[str, Any]) -> Dataset:
    """Set attributes by keyword; return the data set. A mapping or a list of them is a sequence; None is left out."""
    for keyword, value in values.items():
        if value is None:
            continue
        if isinstance(value, dict):
            value = [value]
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = Items([set_all(Dataset(), item) for item in value])
        setattr(target, keyword, value)
    return target


def undefined(content: Dataset, *tags: int | str) -> None:
    """Give sequences, and what is nested in them, undefined lengths (PS3.5 7.5.1)."""
    for tag in tags:
        element = content[tag]
        element.is_undefined_length = True
        for item in element.value:
            item.is_undefined_length_sequence_item = True
            undefined(item, *(inner.tag for inner in item if inner.VR == "SQ"))


def private(
    content: Dataset, group: int, creator: str, elements: Sequence[tuple[int, str, Any]], block: int | None = None
) -> None:
    """Add private elements: the last two digits of the element number, VR and value of each."""
    number = block or next(n for n in range(0x10, 0x100) if Tag(group, n) not in content)
    content.add_new((group, number), "LO", creator)
    for element, vr, value in elements:
        content.add_new((group, number << 8 | element), vr, value)


WORDS = (
    *("tse", "spc", "dark", "fluid", "head", "coil", "body", "array", "gain", "shim"),
    *("table", "adj", "slab", "grad", "ramp", "echo", "flow", "comp", "fat", "water"),
)


def fillers(generator: random.Random, count: int, start: int = 0) -> list[tuple[int, str, Any]]:
    """Return private elements of the VRs that scanners use most."""
    result: list[tuple[int, str, Any]] = []
    for number in range(start, start + count):
        vr = ("DS", "IS", "SH", "LO", "US", "FD", "SL", "CS", "FL", "UL", "DS", "SH")[number % 12]
        value: Any = {
            "DS": f"{generator.uniform(-500, 500):.6g}",
            "IS": str(generator.randrange(10_000)),
            "SH": " ".join(generator.sample(WORDS, 2)),
            "LO": "_".join(generator.sample(WORDS, 4)),
            "CS": generator.choice(WORDS).upper(),
        }.get(vr) or generator.randrange(1, 30_000)
        result.append((number, vr, value))
    return result


def code(value: str, meaning: str, scheme: str = "DCM") -> dict[str, Any]:
    """Return an item of a code sequence (PS3.3 8)."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def tagged(tags: Sequence[tuple[str, str, Sequence[bytes]]]) -> bytes:
    """Return a binary block of tags with names and values as text, as MR scanners of one maker have it."""
    result = b"SV10\4\3\2\1" + struct.pack("<II", len(tags), 77)
    for name, vr, values in tags:
        places = max(len(values), 6 if values else 0)
        result += struct.pack("<64si4siii", name.encode(), len(values), vr.encode(), 6, places, 77)
        for number in range(places):
            value = values[number] + b"\0" if number < len(values) else b""
            result += struct.pack("<4i", len(value), len(value), 77, len(value)) + value + b"\0" * (-len(value) % 4)
    return result + bytes(4)


PEOPLE = {
    "InstitutionName": "HOSPITAL OF NOWHERE", "InstitutionAddress": "No Street 1,Nowhere,District,XX,00000",
    "ReferringPhysicianName": "", "StationName": "MADEUP001", "StudyDescription": "Head^Routine with contrast",
    "InstitutionalDepartmentName": "Department of Nothing", "PerformingPhysicianName": "", "OperatorsName": "",
    "PatientName": "", "PatientID": "", "PatientBirthDate": "", "PatientSex": "", "PatientAge": "",
    "PatientWeight": "", "PatientSize": "1.75", "PatientComments": "none", "AdditionalPatientHistory": "made up",
    "EthnicGroup": "unknown", "PregnancyStatus": 4, "MedicalAlerts": "none", "Allergies": "none",
}  # fmt: skip
TIMES = {
    "SpecificCharacterSet": "ISO_IR 100", "InstanceCreationDate": "", "InstanceCreationTime": "", "SOPInstanceUID": "",
    "StudyDate": "", "SeriesDate": "", "AcquisitionDate": "", "ContentDate": "", "StudyTime": "", "SeriesTime": "",
    "AcquisitionTime": "", "ContentTime": "", "AccessionNumber": "", "SeriesDescription": "", "ProtocolName": "",
}  # fmt: skip
RELATION = {
    "PatientPosition": "HFS", "StudyInstanceUID": "", "SeriesInstanceUID": "", "StudyID": "", "SeriesNumber": "",
    "AcquisitionNumber": "", "InstanceNumber": "", "ImagePositionPatient": "", "FrameOfReferenceUID": "",
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PositionReferenceIndicator": "", "SliceLocation": "",
    "ImageComments": "made up",
}  # fmt: skip
PROCEDURE = {
    "RequestingPhysician": "", "RequestedProcedureDescription": "MR Head", "ScheduledProcedureStepDescription": "Head",
    "PerformedProcedureStepStartDate": "", "PerformedProcedureStepStartTime": "", "PerformedProcedureStepID": "",
    "PerformedProcedureStepDescription": "Head^Routine", "CommentsOnThePerformedProcedureStep": "none",
    "ProcedureCodeSequence": code("HEADROUT", "Head routine", "99MADEUP"),
    "PerformedProtocolCodeSequence": [code("P1", "Protocol one", "99MADEUP"), code("P2", "Protocol two", "99MADEUP")],
    "RequestAttributesSequence": {
        "RequestedProcedureDescription": "Head", "ScheduledProcedureStepDescription": "Head",
        "ScheduledProcedureStepID": "SPS0001", "RequestedProcedureID": "RP0001",
        "ScheduledProtocolCodeSequence": {
            **code("HEADROUT", "Head routine", "99MADEUP"),
            "ProtocolContextSequence": {
                "ValueType": "TEXT", "TextValue": "nothing", "ConceptNameCodeSequence": code("122083", "Drug given"),
            },
        },
    },
}  # fmt: skip


def pixel_module(rows: int, columns: int, bits: int, *, signed: bool) -> dict[str, Any]:
    """Return the Image Pixel Module (PS3.3 C.7.6.3) of monochrome images, and the window."""
    return {
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": rows, "Columns": columns,
        "PixelSpacing": [0.9375, 0.9375], "BitsAllocated": 16, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": int(signed), "WindowCenter": "", "WindowWidth": "", "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
    }  # fmt: skip


def references(sop_class: str, count: int) -> list[dict[str, Any]]:
    """Return items that refer to some instances."""
    return [
        {"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": f"{ROOT}.2.1.20200101{number:04d}"}
        for number in range(count)
    ]


RELATED = bytes(f"{ROOT}.2.77.1000000000000000001", "ascii")  # a UID that differs between images, in a sequence


def related(series: int, index: int) -> bytes:
    """Return the UID that takes the place of `RELATED` in the file of an image."""
    return b"%s.2.77.1%018d" % (ROOT.encode(), 1_000_000 * series + index + 100)


def elements_of(content: Dataset) -> int:
    """Return the number of elements before the pixel data, those of nested data sets included."""
    return sum(1 + sum(elements_of(item) for item in element.value) if element.VR == "SQ" else 1 for element in content)
