"""Multi-frame MR: 65 elements for each frame, and groups that all frames share."""

from __future__ import annotations

import random
import struct

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from .encoding import (
    END_OF_ITEM,
    END_OF_SEQUENCE,
    ENHANCED_MR_IMAGE,
    ITEM,
    ROOT,
    UNDEFINED,
    Header,
    Parts,
    Place,
)
from .image_values import COMMON, common, mixed, time_text
from .shared_values import (
    PEOPLE,
    PROCEDURE,
    RELATION,
    TIMES,
    code,
    fillers,
    pixel_module,
    private,
    set_all,
    undefined,
)

_POSITION, _DOUBLE = b"-0000.0001", struct.pack("<d", 1.23456789e99)
_WHEN, _WINDOW = b"20000101000000.000001", b"4090000.01"
_STACK, _TIME_POINT = b"\x51\x52\x53\x54", b"\x61\x62\x63\x64"


def _frame_item(generator: random.Random) -> Dataset:
    """Return the functional groups of a frame: ten sequences, two of which have another one inside."""
    groups = set_all(Dataset(), {
        "RealWorldValueMappingSequence": {
            "RealWorldValueFirstValueMapped": 0, "RealWorldValueLastValueMapped": 4095, "LUTExplanation": "made up",
            "LUTLabel": "RWV", "RealWorldValueIntercept": 0.0, "RealWorldValueSlope": 1.25,
            "MeasurementUnitsCodeSequence": code("1", "no units", "UCUM"),
        },
        "MREchoSequence": {"EffectiveEchoTime": 30.0},
        "MRAveragesSequence": {"NumberOfAverages": "1"},
        "MRImageFrameTypeSequence": {
            "FrameType": ["ORIGINAL", "PRIMARY", "M_FFE", "M", "FFE"], "PixelPresentation": "MONOCHROME",
            "VolumetricProperties": "VOLUME", "VolumeBasedCalculationTechnique": "NONE",
            "ComplexImageComponent": "MAGNITUDE", "AcquisitionContrast": "T2_STAR",
        },
        "FrameContentSequence": {
            "FrameAcquisitionNumber": 1, "FrameReferenceDateTime": _WHEN.decode(), "FrameAcquisitionDuration": 60.5,
            "FrameAcquisitionDateTime": _WHEN.decode(), "StackID": "1",
            "InStackPositionNumber": int.from_bytes(_STACK, "little"),
            "TemporalPositionIndex": int.from_bytes(_TIME_POINT, "little"),
            "DimensionIndexValues": [int.from_bytes(_STACK, "little"), int.from_bytes(_TIME_POINT, "little")],
        },
        "PlanePositionSequence": {"ImagePositionPatient": ["-120", "-110.25", _POSITION.decode()]},
        "PlaneOrientationSequence": {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        "PixelMeasuresSequence": {
            "SliceThickness": "2.5", "SpacingBetweenSlices": "2.5", "PixelSpacing": [3.75, 3.75],
        },
        "FrameVOILUTSequence": {"WindowCenter": _WINDOW.decode(), "WindowWidth": _WINDOW.decode()},
        "PixelValueTransformationSequence": {"RescaleIntercept": "0", "RescaleSlope": "1.25", "RescaleType": "US"},
    })  # fmt: skip
    inner = Dataset()
    private(inner, 0x2005, "Philips MR Imaging DD 001", fillers(generator, 14, 0x20))
    private(inner, 0x2005, "Philips MR Imaging DD 005", [(0x00, "FD", struct.unpack("<d", _DOUBLE)[0])])
    # This maker's files have in such an item what their classic files have at the top.
    private(groups, 0x2005, "Philips MR Imaging DD 001", [(0x0F, "SQ", Items([inner]))])
    undefined(groups, *(e.tag for e in groups if e.VR == "SQ" and e.keyword not in _DEFINED))
    return groups


_DEFINED = ("PlaneOrientationSequence", "PixelMeasuresSequence", "MREchoSequence", "RealWorldValueMappingSequence")


class Enhanced:
    """Multi-frame MR with functional groups, shared and of each frame.

    Parameters
    ----------
    frames, slices : int
        Number of frames, and of the slices at each time point.
    rows, columns, seed, syntax
        As for `mr`.
    """

    def __init__(
        self,
        frames: int = 500,
        slices: int = 50,
        rows: int = 64,
        columns: int = 64,
        *,
        seed: int = 0,
        syntax: str = ExplicitVRLittleEndian,
    ) -> None:
        if frames % slices:
            raise ValueError(f"{frames} frames are no whole number of time points of {slices} slices")
        generator = random.Random(seed + 3)
        self.frames, self.slices, self._seed = frames, slices, seed
        per_image = {"ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "ImageComments"}
        layout = pixel_module(rows, columns, 12, signed=False)
        for keyword in ("WindowCenter", "WindowWidth", "PixelSpacing"):
            del layout[keyword]
        content = set_all(
            Dataset(),
            TIMES | PEOPLE | {k: v for k, v in RELATION.items() if k not in per_image} | PROCEDURE | layout | {
                "ImageType": ["ORIGINAL", "PRIMARY", "M_FFE", "M"], "SOPClassUID": ENHANCED_MR_IMAGE, "Modality": "MR",
                "Manufacturer": "Philips Medical Systems", "ManufacturerModelName": "Model E",
                "SoftwareVersions": ["5.6.1", "5.6.1.1"],
                "DeviceSerialNumber": str(88_000 + seed), "NumberOfFrames": frames, "AcquisitionDateTime": "20200101",
                "AcquisitionDuration": 125.0, "ResonantNucleus": "1H", "MagneticFieldStrength": "3",
                "PulseSequenceName": "FEEPI", "EchoPulseSequence": "GRADIENT", "MultipleSpinEcho": "NO",
                "ContentQualification": "PRODUCT", "ComplexImageComponent": "MAGNITUDE",
                "PixelPresentation": "MONOCHROME",
                "AcquisitionContrast": "T2_STAR", "VolumetricProperties": "VOLUME", "MultiPlanarExcitation": "NO",
                "VolumeBasedCalculationTechnique": "NONE", "PresentationLUTShape": "IDENTITY",
                "DimensionOrganizationSequence": {"DimensionOrganizationUID": f"{ROOT}.4.1"},
                "DimensionIndexSequence": [
                    {"DimensionOrganizationUID": f"{ROOT}.4.1", "DimensionIndexPointer": pointer,
                     "FunctionalGroupPointer": 0x00209111, "DimensionDescriptionLabel": label}
                    for pointer, label in ((0x00209057, "In-Stack Position"), (0x00209128, "Temporal Position"))
                ],
                "SharedFunctionalGroupsSequence": {
                    "MRTimingAndRelatedParametersSequence": {
                        "RepetitionTime": "2500", "FlipAngle": "90", "EchoTrainLength": "1", "RFEchoTrainLength": 0,
                        "GradientEchoTrainLength": 63,
                        "SpecificAbsorptionRateSequence": {
                            "SpecificAbsorptionRateDefinition": "IEC_WHOLE_BODY", "SpecificAbsorptionRateValue": 0.1,
                        },
                    },
                    "MRFOVGeometrySequence": {"MRAcquisitionFrequencyEncodingSteps": 64, "PercentSampling": "100"},
                    "FrameAnatomySequence": {
                        "FrameLaterality": "U", "AnatomicRegionSequence": code("69536005", "Head", "SCT"),
                    },
                    "MRReceiveCoilSequence": {
                        "ReceiveCoilName": "MULTI COIL", "QuadratureReceiveCoil": "YES",
                        "MultiCoilDefinitionSequence": [
                            {"MultiCoilElementName": f"HEAD {n}", "MultiCoilElementUsed": "YES"} for n in range(8)
                        ],
                    },
                },
                "PerFrameFunctionalGroupsSequence": {},
            },
        )  # fmt: skip
        for creator in (1, 2, 3):
            private(content, 0x2001, f"Philips Imaging DD 00{creator}", fillers(generator, 20, 0x20))
        undefined(content, "SharedFunctionalGroupsSequence")
        varying = {tag: key for tag, key in COMMON.items() if tag in content}
        varying |= {0x52009230: "frames", 0x00321032: "doctor"}
        self._header = Header(content, varying, {}, self._values, syntax)
        slots = {
            _POSITION: "position", _DOUBLE: "double", _WHEN: "when", _WINDOW: "window", _STACK: "stack",
            _TIME_POINT: "time_point",
        }  # fmt: skip
        self._item = Parts(_frame_item(generator), {}, slots, implicit=syntax == ImplicitVRLittleEndian)

    def _values(self, place: Place) -> dict[str, bytes]:
        result = common(place, "MR", 88_000 + self._seed, 125.0)
        items: list[bytes] = []
        for frame in range(self.frames):
            time_point, stack = divmod(frame, self.slices)
            when = result["date"] + time_text(35_000 + time_point * 2.5 + stack * 0.05)[:13]
            items += (
                ITEM + UNDEFINED,
                self._item.join({
                    "position": b"%+010.4f" % (place.spacing * stack - 61.75),
                    "double": struct.pack("<d", mixed(place.series, frame) / 7),
                    "when": when,
                    "window": b"%010.3f" % (500 + mixed(place.series, frame, 3) % 99_999 / 1000),
                    "stack": (stack + 1).to_bytes(4, "little"),
                    "time_point": (time_point + 1).to_bytes(4, "little"),
                }),
                END_OF_ITEM + bytes(4),
            )  # fmt: skip
        result["frames"] = b"".join(items) + END_OF_SEQUENCE + bytes(4)
        return result

    def header(self, place: Place) -> bytes:
        """Return the bytes before the pixel data."""
        return self._header.header(place)

    def file(self, place: Place, pixels: bytes) -> bytes:
        """Return the bytes of a file; `pixels` are those of all frames."""
        return self._header.file(place, pixels)
