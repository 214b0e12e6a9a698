"""Classic CT: 160 elements, 8 kB."""

from __future__ import annotations

import random
import struct
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from .encoding import (
    CT_IMAGE,
    ROOT,
    Header,
    Place,
)
from .image_values import COMMON, common, mixed
from .shared_values import (
    PEOPLE,
    RELATED,
    RELATION,
    TIMES,
    code,
    elements_of,
    fillers,
    pixel_module,
    private,
    references,
    related,
    set_all,
    undefined,
)


def ct(
    rows: int = 512,
    columns: int = 512,
    *,
    seed: int = 0,
    signed: bool = True,
    syntax: str = ExplicitVRLittleEndian,
    **more: Any,
) -> Header:
    """Return a header of classic CT: 160 elements before the pixel data, of all levels, in about 8 kB.

    The parameters are those of `mr`; `signed` chooses between 16 bits with a sign and 12 bits without.
    """
    generator = random.Random(seed + 2)
    content = set_all(
        Dataset(),
        TIMES | PEOPLE | RELATION | pixel_module(rows, columns, 16 if signed else 12, signed=signed) | {
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SOPClassUID": CT_IMAGE, "Modality": "CT",
            "Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Model 64",
            "DeviceSerialNumber": str(77_000 + seed), "SoftwareVersions": "made up 07MW18.4",
            "BodyPartExamined": "CHEST", "ScanOptions": "HELICAL MODE",
            "SliceThickness": "2.5", "KVP": "120", "DataCollectionDiameter": "500", "ReconstructionDiameter": "350",
            "DistanceSourceToDetector": "949.075", "DistanceSourceToPatient": "541", "GantryDetectorTilt": "0",
            "TableHeight": "157.5", "RotationDirection": "CW", "ExposureTime": "500", "XRayTubeCurrent": "",
            "Exposure": "", "FilterType": "BODY FILTER", "GeneratorPower": "36000", "FocalSpots": [1.2],
            "ConvolutionKernel": "STANDARD", "RevolutionTime": 0.5, "SingleCollimationWidth": 0.625,
            "TotalCollimationWidth": 40.0, "TableSpeed": 78.75, "TableFeedPerRotation": 39.375,
            "SpiralPitchFactor": 0.984375, "ContrastBolusAgent": "none", "PixelPaddingValue": -2000 if signed else 0,
            "RescaleIntercept": "0" if signed else "-1024", "RescaleSlope": "1", "RescaleType": "HU",
            "SmallestImagePixelValue": 0, "LargestImagePixelValue": 0, "CTDIvol": 11.25,
            "ReferencedStudySequence": references("1.2.840.10008.3.1.2.3.1", 1),
            "SourceImageSequence": references(CT_IMAGE, 1),
            "ProcedureCodeSequence": code("CHEST", "Chest routine", "99MADEUP"),
            "IrradiationEventUID": f"{ROOT}.3.1",
        } | more,
    )  # fmt: skip
    numbers = ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue")
    for keyword in (keyword for keyword in numbers if keyword in content):
        content[keyword].VR = "SS" if signed else "US"
    content.SourceImageSequence[0].ReferencedSOPInstanceUID = RELATED.decode()
    undefined(content, "SourceImageSequence")
    private(content, 0x0009, "GEMS_IDEN_01", fillers(generator, 6 + seed % 3, 1))
    private(content, 0x0019, "GEMS_ACQU_01", [*fillers(generator, 22, 2), (0x5A, "FL", 0.0)])
    private(content, 0x0025, "GEMS_SERS_01", [(0x1B, "OB", generator.randbytes(4800))])
    private(content, 0x0027, "GEMS_IMAG_01", [*fillers(generator, 8, 6), (0x50, "FL", 0.0)])
    spare = 160 - elements_of(content)
    private(
        content, 0x0043, "GEMS_PARM_01", [*fillers(generator, spare - 2, 0x10), (0x80, "LO", ["HIR", "made up"] * 8)]
    )

    def values(place: Place) -> dict[str, bytes]:
        result = common(place, "CT", 77_000 + seed, 0.25)
        low, high = place.extremes
        current = 180 + mixed(place.series, place.index, 5) % 240
        depth = place.spacing * place.index - 123.4567
        return result | {
            "current": b"%d" % current,
            "exposure": b"%d" % (current // 2),
            "smallest": (low & 0xFFFF).to_bytes(2, "little"),
            "largest": (high & 0xFFFF).to_bytes(2, "little"),
            "midscan": struct.pack("<f", place.index * 0.25),
            "table": struct.pack("<f", depth),
            "related": related(place.series, place.index),
        }

    varying = COMMON | {
        0x00181151: "current", 0x00181152: "exposure", 0x00280106: "smallest", 0x00280107: "largest",
        0x0019105A: "midscan", 0x00271050: "table",
    }  # fmt: skip
    varying = {tag: key for tag, key in varying.items() if tag in content}
    return Header(content, varying, {RELATED: "related"}, values, syntax)
