"""Classic MR: 361 elements, 17 kB."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian

from .encoding import (
    MR_IMAGE,
    Header,
    Place,
    places_of,
)
from .image_values import COMMON, common, mixed
from .shared_values import (
    PEOPLE,
    PROCEDURE,
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
    tagged,
    undefined,
)

# Tags of the binary block of each image, and how many values they have. Those in `_IMAGE_VALUES` vary.
_IMAGE_TAGS = (
    ("EchoLinePosition", "IS", 1), ("ICE_Dims", "LO", 1), ("SlicePosition_PCS", "FD", 3), ("TimeAfterStart", "DS", 1),
    ("ProtocolSliceNumber", "IS", 1), ("UsedChannelString", "UT", 1), ("BandwidthPerPixelPhase", "FD", 0),
    ("PhaseEncodingDirectionPositive", "IS", 1), ("SliceMeasurementDuration", "DS", 1), ("MosaicRefAcqTimes", "FD", 0),
    ("B_value", "IS", 0), ("DiffusionGradientDirection", "FD", 0), ("RealDwellTime", "IS", 1),
    ("RFSWDDataType", "SH", 0),
    ("ImaRelTablePosition", "IS", 0), ("Actual3DImaPartNumber", "IS", 0), ("ImaCoilString", "LO", 1),
    ("ReadoutOS", "FD", 0), ("Filter1", "IS", 0), ("GSWDDataType", "SH", 0), ("MeasDuration", "IS", 1),
    ("t_puls_max", "DS", 1), ("CsiGridshiftVector", "FD", 0), ("SpectroscopyAcquisitionDwellTime", "FD", 0),
)  # fmt: skip
_IMAGE_VALUES = ("ICE_Dims", "SlicePosition_PCS", "TimeAfterStart", "ProtocolSliceNumber", "SliceMeasurementDuration")
_NOISE = 1 << 16


def _image_block(numbers: Sequence[bytes], remains: bytes) -> bytes:
    """Return the binary block of one image; `numbers` are texts of 12 bytes for the tags that vary."""
    tags = []
    for name, vr, count in _IMAGE_TAGS:
        values = [numbers[_IMAGE_VALUES.index(name)]] if name in _IMAGE_VALUES else [b"%012d" % len(name)]
        tags.append((name, vr, values * count))
    return tagged(tags) + remains


def _series_block(generator: random.Random, size: int) -> bytes:
    protocol = b'### ASCCONV BEGIN ###\nulVersion = 0x14b44b6\ntSequenceFileName = "%SiemensSeq%\\tse"\n'
    number = 0
    while len(protocol) < size:
        protocol += b"sSliceArray.asSlice[%d].sPosition.dTra = %.6f\n" % (number, generator.uniform(-200, 200))
        number += 1
    names = (
        "CoilForGradient",
        "Isocentered",
        "MrProtocolVersion",
        "TablePositionOrigin",
        "GradientMode",
        "Laterality4MF",
    )
    return tagged([(name, "SH", [b"%d" % len(name)] if len(name) < 12 else []) for name in names]) + protocol


def mr(
    rows: int = 64, columns: int = 64, *, seed: int = 0, syntax: str = ExplicitVRLittleEndian, **more: Any
) -> Header:
    """Return a header of classic MR: 361 elements before the pixel data, of all levels, in about 17 kB.

    Parameters
    ----------
    rows, columns : int
    seed : int
        Of what is the same in all files. Headers of two seeds differ in their private elements too.
    syntax : str
        Transfer syntax UID, of little endian.
    more
        Further attributes by keyword, or other values of those that all files share; None leaves one out.
    """
    generator = random.Random(seed)
    noise = random.Random(seed + 1).randbytes(_NOISE)
    content = set_all(
        Dataset(),
        TIMES | PEOPLE | RELATION | PROCEDURE | pixel_module(rows, columns, 12, signed=False) | {
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"], "SOPClassUID": MR_IMAGE, "Modality": "MR",
            "Manufacturer": "SIEMENS", "ManufacturerModelName": "Model 3T", "DeviceSerialNumber": str(66_000 + seed),
            "SoftwareVersions": ["made up", "VE11C"], "BodyPartExamined": "HEAD", "ScanningSequence": ["SE", "IR"],
            "SequenceVariant": ["SK", "SP", "MP"], "ScanOptions": ["PFP", "FS"], "MRAcquisitionType": "2D",
            "SequenceName": "*tse2d1_16", "AngioFlag": "N", "SliceThickness": "2.5", "RepetitionTime": "6000",
            "EchoTime": "98.5", "InversionTime": "2100", "NumberOfAverages": "1", "ImagingFrequency": "123.250471",
            "ImagedNucleus": "1H", "EchoNumbers": "1", "MagneticFieldStrength": "3", "SpacingBetweenSlices": "2.5",
            "NumberOfPhaseEncodingSteps": "259", "EchoTrainLength": "16", "PercentSampling": "80",
            "PercentPhaseFieldOfView": "100", "PixelBandwidth": "223", "TransmitCoilName": "Body",
            "AcquisitionMatrix": [0, 320, 256, 0], "InPlanePhaseEncodingDirection": "ROW", "FlipAngle": "150",
            "VariableFlipAngleFlag": "N", "SAR": "0.76120484", "dBdt": "0", "TriggerTime": "", "NominalInterval": "0",
            "ContrastBolusAgent": "made up", "ReceiveCoilName": "HeadNeck_20",
            "ReferencedStudySequence": references("1.2.840.10008.3.1.2.3.1", 1),
            "ReferencedPerformedProcedureStepSequence": references("1.2.840.10008.3.1.2.3.3", 1),
            "ReferencedImageSequence": [
                {**item, "PurposeOfReferenceCodeSequence": code("121311", "Localizer")}
                for item in references(MR_IMAGE, 3)
            ],
            "SourceImageSequence": [
                {"ReferencedSOPClassUID": MR_IMAGE, "ReferencedSOPInstanceUID": RELATED.decode(),
                 "PurposeOfReferenceCodeSequence": code("121320", "Uncompressed predecessor")},
            ],
            "SmallestImagePixelValue": 0, "LargestImagePixelValue": 0,
        } | more,
    )  # fmt: skip
    content["SmallestImagePixelValue"].VR = content["LargestImagePixelValue"].VR = "US"
    private(content, 0x0019, "SIEMENS MR HEADER", [
        (0x08, "CS", "IMAGE NUM 4"), (0x09, "LO", "1.0"), (0x0B, "DS", "2082.5"), (0x0F, "SH", "Normal"),
        (0x11, "SH", "No"), (0x12, "SL", [0, 0, -1207]), (0x13, "SL", [0, 0, -1207]), (0x14, "IS", ["0", "0", "0"]),
        (0x15, "FD", [0.0, 0.0, 0.0]), (0x16, "DS", ""), (0x17, "DS", "1"), (0x18, "IS", "4300"),
    ])  # fmt: skip
    details = [
        (0x01, "LO", "SET"), (0x04, "CS", "SLICE"), (0x05, "IS", "1"), (0x06, "DS", "0.0"), (0x0B, "FD", 0.0),
        (0x0C, "UI", RELATED.decode()), (0x1A, "SH", "A32"), (0x1B, "LO", "normal"),
    ]  # fmt: skip
    coils = []
    for number in range(5):
        coil = Dataset()
        private(coil, 0x0021, "SIEMENS MR SDI 02", [(0x75, "SH", f"HE{number}"), (0x76, "IS", str(number))])
        coils.append(coil)
    for creator, count in (("SIEMENS MR SDS 01", 3), ("SIEMENS MR SDI 02", 2)):
        items = []
        for _ in range(count):
            item = Dataset()
            elements = fillers(generator, 7, 0x20)
            private(item, 0x0021, creator, details + elements)
            items.append(item)
        items[0].add_new((0x0021, 0x1090), "SQ", Items(coils if count == 3 else coils[:2]))
        private(content, 0x0021, creator, [(0xFE, "SQ", Items(items))])
    private(content, 0x0029, "SIEMENS CSA HEADER", [
        (0x08, "CS", "IMAGE NUM 4"), (0x09, "LO", "20200101"), (0x10, "OB", b""),
        (0x18, "CS", "MR"), (0x19, "LO", "20200101"), (0x20, "OB", _series_block(generator, 4930)),
    ])  # fmt: skip
    private(content, 0x0029, "SIEMENS MEDCOM HEADER2", [(0x60, "LO", "com"), (0x61, "UN", generator.randbytes(64))])
    private(content, 0x0051, "SIEMENS MR HEADER", [
        (0x08, "CS", "IMAGE NUM 4"), (0x09, "LO", "1.0"), (0x0A, "LO", "TA 02:08"), (0x0B, "LO", "259p*320s"),
        (0x0C, "LO", "FoV 240*240"), (0x0D, "SH", ""), (0x0E, "LO", "Tra"), (0x0F, "LO", "HE1-4;NE1,2"),
        (0x11, "LO", "p2"), (0x12, "SH", "TP 0"), (0x13, "SH", "+LPH"), (0x16, "LO", "p2 M/NORM/DIS2D"),
        (0x17, "SH", "SL 2.5"), (0x19, "LO", "A1/FS"),
    ])  # fmt: skip
    private(content, 0x0095, "SIEMENS SYNGO VIEW", fillers(generator, 12, 0x20))
    undefined(content, "SourceImageSequence", "RequestAttributesSequence", 0x002110FE)
    spare = 361 - elements_of(content)
    first = spare // 2 - 5 * (seed % 3)
    private(content, 0x0099, "MADEUP QUALITY 1.0", fillers(generator, first - 1))
    private(content, 0x0099, "MADEUP ARCHIVE 2.0", fillers(generator, spare - first - 1))

    starts = [f"#{number:011d}".encode() for number in range(len(_IMAGE_VALUES))]
    block = _image_block(starts, b"")
    cuts = [[*places_of(block, start)] for start in starts]

    def values(place: Place) -> dict[str, bytes]:
        result = common(place, "MR", 66_000 + seed, 0.152)
        low, high = place.extremes
        depth, since = place.spacing * place.index - 123.4567, place.index * 0.152
        image = bytearray(block)
        duration = 41 + mixed(place.series, place.index, 5) % 99_999 / 7
        texts = (
            *(b"X_1_1_1_%04d" % (place.index % 10_000), b"%012.7f" % depth, b"%012.7f" % since),
            *(b"%012d" % place.index, b"%012.6f" % duration),
        )
        for places, text in zip(cuts, texts, strict=True):
            for cut in places:
                image[cut : cut + 12] = text
        start = mixed(place.series, place.index, 6) % (_NOISE - 1024)
        image += noise[start : start + 1024]
        result |= {
            "image_block": bytes(image),
            "trigger": b"%.6g" % (12.5 + place.index * 152),
            "smallest": (low & 0xFFFF).to_bytes(2, "little"),
            "largest": (high & 0xFFFF).to_bytes(2, "little"),
            "since": b"%.7g" % since,
            "where": b"SP %c%.1f" % (b"FH"[depth > 0], abs(depth)),
            "related": related(place.series, place.index),
        }
        return result

    varying = COMMON | {
        0x00181060: "trigger", 0x00280106: "smallest", 0x00280107: "largest", 0x00191016: "since",
        0x00291010: "image_block", 0x0051100D: "where", 0x00321032: "doctor",
    }  # fmt: skip
    return Header(content, varying, {RELATED: "related"}, values, syntax)
