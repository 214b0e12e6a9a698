"""Headers as scanners write them, made up: classic MR and CT, and multi-frame MR. The same bytes for the same seed.

    classic = mr()                                        # 361 elements, 17 kB
    data = classic.file(Place(study=3, series=7, index=12), pixels)

A header is encoded once for each kind of scanner. A file is then the join of the parts that all files share and of the
values that differ for each patient, study, series or image. Values differ in length, as they do in
files of scanners, so an element is not at the same byte in each file. That takes about 0.1 ms for each file.

What the headers have in common with real ones: the number of elements, public and private; blocks of several private
creators; the binary blocks of kilobytes that hold the protocol (tag by tag, with names of 64 bytes and remains of
memory behind them); sequences in sequences, of defined and of undefined length; texts of people, places and devices.
All names and numbers are made up, save the words by which private blocks are known.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

Values = Mapping[str, bytes]

ROOT = "1.2.3.12.2.1107.5"  # of all UIDs; not registered
CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
ENHANCED_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4.1"

_LONG_VRS = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")  # four bytes of length: PS3.5 7.1.2
_UNDEFINED = b"\xff\xff\xff\xff"
_ITEM, _END_OF_ITEM, _END_OF_SEQUENCE = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs.

    Attributes
    ----------
    study, series, index : int
        Numbers of the study (one for each patient), of the series (over all studies) and of the image in its series.
    spacing : float
        Distance between slices, mm.
    extremes : tuple of int
        Smallest and largest stored value.
    """

    study: int
    series: int
    index: int
    spacing: float = 2.5
    extremes: tuple[int, int] = (0, 4095)


# ------------------------------------------------------------------------------------------ encode once, join for each


@dataclass(frozen=True, slots=True)
class _Element:
    """An element that is encoded for each file: tag and VR, bytes of its length field, padding, name of the value."""

    head: bytes
    length_bytes: int
    padding: bytes
    key: str


@dataclass(frozen=True, slots=True)
class _Slot:
    """A value of a fixed number of bytes within an element that is otherwise the same in each file."""

    key: str
    size: int


class Parts:
    """A data set, as the parts that stay and the parts that vary.

    Parameters
    ----------
    content : Dataset
        The value of a varying element is not used, but the element must be there.
    varying : mapping of int to str
        Tag of each element of varying length, and the name of its value. A sequence gets all bytes after its header.
    slots : mapping of bytes to str
        Placeholder in the other elements, and the name of the value that takes its place, of equal length.
    implicit : bool
        Encode without VRs.
    """

    def __init__(
        self, content: Dataset, varying: Mapping[int, str], slots: Mapping[bytes, str], *, implicit: bool = False
    ) -> None:
        parts: list[bytes | _Element | _Slot] = []
        missing = set(varying) - {int(element.tag) for element in content}
        unused = dict(slots)
        for element in content:
            raw = encode(element, implicit=implicit)
            if key := varying.get(int(element.tag)):
                parts.append(_element(raw, element, key, implicit=implicit))
                continue
            found = sorted((place, mark) for mark in slots for place in _places(raw, mark))
            for _, mark in found:
                unused.pop(mark, None)
            end = 0
            for place, mark in found:
                parts += [raw[end:place], _Slot(slots[mark], len(mark))]
                end = place + len(mark)
            parts.append(raw[end:])
        if missing or unused:
            raise ValueError(f"not in the header: {sorted(missing)} {sorted(unused.values())}")
        self._parts = list(_merged(parts))

    def join(self, values: Values) -> bytes:
        """Return the encoded data set with these values."""
        out = []
        for part in self._parts:
            if isinstance(part, bytes):
                out.append(part)
            elif isinstance(part, _Slot):
                value = values[part.key]
                if len(value) != part.size:
                    raise ValueError(f"{part.key} has {len(value)} bytes, not {part.size}")
                out.append(value)
            else:
                value = values[part.key]
                if not part.length_bytes:
                    out += (part.head, value)
                    continue
                if len(value) % 2:
                    value += part.padding
                out += (part.head, len(value).to_bytes(part.length_bytes, "little"), value)
        return b"".join(out)


def encode(element: DataElement, *, implicit: bool = False) -> bytes:
    """Return the bytes of an element in little endian."""
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, implicit
    write_data_element(stream, element, ["iso8859"])
    return stream.getvalue()


def _element(raw: bytes, element: DataElement, key: str, *, implicit: bool) -> _Element:
    if element.VR == "SQ":
        return _Element(raw[:4] + (b"" if implicit else b"SQ\0\0") + _UNDEFINED, 0, b"", key)
    padding = b"\0" if element.VR in ("UI", "OB", "UN") else b" "
    if implicit:
        return _Element(raw[:4], 4, padding, key)
    return _Element(raw[:8], 4, padding, key) if element.VR in _LONG_VRS else _Element(raw[:6], 2, padding, key)


def _places(raw: bytes, mark: bytes) -> Iterator[int]:
    place = raw.find(mark)
    while place >= 0:
        yield place
        place = raw.find(mark, place + len(mark))


def _merged(parts: Sequence[bytes | _Element | _Slot]) -> Iterator[bytes | _Element | _Slot]:
    constant = b""
    for part in parts:
        if isinstance(part, bytes):
            constant += part
            continue
        yield constant
        constant = b""
        yield part
    yield constant


class Header:
    """The header of a kind of scanner, and the files with it.

    Parameters
    ----------
    content : Dataset
        Without pixel data; see `Parts` for this and the next two.
    varying, slots : mapping
    values : callable
        Returns the values of the image at a place.
    syntax : str
        Transfer syntax UID.
    """

    def __init__(
        self,
        content: Dataset,
        varying: Mapping[int, str],
        slots: Mapping[bytes, str],
        values: Callable[[Place], dict[str, bytes]],
        syntax: str = ExplicitVRLittleEndian,
    ) -> None:
        self._values, self._implicit = values, syntax == ImplicitVRLittleEndian
        self._compressed = syntax not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
        self._class, self._syntax = str(content.SOPClassUID), str(syntax)
        self._parts = Parts(content, varying, slots, implicit=self._implicit)

    def header(self, place: Place) -> bytes:
        """Return the bytes before the pixel data: preamble, file meta information, data set."""
        values = self._values(place)
        return _meta(self._class, values["instance"], self._syntax) + self._parts.join(values)

    def file(self, place: Place, pixels: bytes) -> bytes:
        """Return the bytes of a file with native pixels, or with one compressed frame."""
        head = self.header(place)
        if self._compressed:
            head += b"\xe0\x7f\x10\x00OB\0\0" + _UNDEFINED
            return head + encapsulate([pixels]) + _END_OF_SEQUENCE + bytes(4)
        return head + self.pixel_data(len(pixels)) + pixels

    def pixel_data(self, size: int) -> bytes:
        """Return the bytes of tag, VR and length of native pixel data of `size` bytes."""
        return b"\xe0\x7f\x10\x00" + (b"" if self._implicit else b"OW\0\0") + size.to_bytes(4, "little")


def _meta(sop_class: str, instance: bytes, syntax: str) -> bytes:
    elements = b"\x02\0\1\0OB\0\0\2\0\0\0\0\1"
    for number, value in ((2, sop_class.encode()), (3, instance), (0x10, syntax.encode()), (0x12, ROOT.encode())):
        value += b"\0" * (len(value) % 2)
        elements += struct.pack("<HH2sH", 2, number, b"UI", len(value)) + value
    elements += struct.pack("<HH2sH", 2, 0x13, b"SH", 16) + b"MADEUP_CONSOLE1 "
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(elements)) + elements


# ------------------------------------------------------------------------------------------------ values of each image


def mixed(*numbers: int) -> int:
    """Return 32 bits that look random, the same for the same numbers."""
    value = 0x9E3779B9
    for number in numbers:
        value = ((value ^ (number & 0xFFFFFFFF)) * 0x85EBCA6B + 0x27D4EB2F) & 0xFFFFFFFF
        value ^= value >> 15
    return value


NAMES = (
    *("ALDER", "BIRCH", "CEDAR", "DOGWOOD", "ELM", "FIR", "GINKGO", "HAZEL", "IVY"),
    *("JUNIPER", "LARCH", "MAPLE", "OAK", "PINE", "ROWAN", "SPRUCE", "TEAK", "YEW"),
)
GIVEN = (
    *("ADA", "BRUNO", "CLARA", "DAVID", "EMMA", "FELIX", "GRETA", "HUGO", "INES"),
    *("JONAS", "KLARA", "LEO", "MARTA", "NILS", "OLGA", "PAUL", "ROSA", "TOM"),
)
DESCRIPTIONS = {
    "MR": (
        b"localizer",
        b"t1_tse_sag",
        b"t2_tse_tra_512",
        b"t2_fl3d_dark-fluid_sag",
        b"ep2d_diff_tra",
        b"t1_mpr_p2_iso",
    ),
    "CT": (b"Scout", b"CHEST 2.5mm STD", b"CHEST 1.25mm LUNG", b"Recon 2: ABD W/C", b"SMART PREP", b"CHEST 5mm SAG"),
}


def _time(seconds: float) -> bytes:
    minutes, second = divmod(seconds % 86400, 60)
    hour, minute = divmod(int(minutes), 60)
    return b"%02d%02d%09.6f" % (hour, minute, second)


def _date(day: int) -> bytes:
    return b"20%02d%02d%02d" % (10 + day % 15, 1 + day // 15 % 12, 1 + day // 180 % 28)


# The elements that differ between patients, studies, series or images, and the names of their values.
COMMON = {
    0x00080012: "date", 0x00080013: "created", 0x00080018: "instance", 0x00080020: "date", 0x00080021: "date",
    0x00080022: "date", 0x00080023: "date", 0x00080030: "study_time", 0x00080031: "series_time",
    0x00080032: "acquired", 0x00080033: "created", 0x00080050: "accession", 0x00080090: "doctor",
    0x0008103E: "description", 0x00081050: "doctor", 0x00081070: "operator", 0x00100010: "name", 0x00100020: "patient",
    0x00100030: "birth", 0x00100040: "sex", 0x00101010: "age", 0x00101030: "weight", 0x00181030: "description",
    0x0020000D: "study", 0x0020000E: "series", 0x00200010: "study_id", 0x00200011: "series_number",
    0x00200012: "acquisition_number", 0x00200013: "number", 0x00200032: "position", 0x00200052: "frame_of_reference",
    0x00201041: "location", 0x00281050: "center", 0x00281051: "width", 0x00400244: "date", 0x00400245: "study_time",
    0x00400253: "study_id",
}  # fmt: skip


def common(place: Place, modality: str, device: int, seconds: float) -> dict[str, bytes]:
    """Return the values of `COMMON` for the image at a place.

    Parameters
    ----------
    place : Place
    modality : str
    device : int
        Number of the scanner; part of the UIDs.
    seconds : float
        Between two images.
    """
    study, series, index = place.study, place.series, place.index
    person = mixed(study, 1)
    date, start = _date(study), 25_000 + person % 40_000
    begin = start + 90 + series % 12 * 240
    acquired = begin + index * seconds
    depth = place.spacing * index - 123.4567
    low, high = place.extremes
    uid = b"%s.%d.%s" % (ROOT.encode(), device, date)
    family, given = NAMES[person % len(NAMES)], GIVEN[person // 32 % len(GIVEN)]
    return {
        "date": date,
        "created": _time(acquired + 31.25 + mixed(series, index) % 1000 / 1000),
        "instance": b"%s%05d.%d.%d.%d" % (uid, start, study, series, index + 1),
        "study_time": _time(start),
        "series_time": _time(begin),
        "acquired": _time(acquired),
        "accession": b"A%09d" % (study * 7919 + 1234),
        "doctor": f"{NAMES[person // 7 % len(NAMES)]}^{GIVEN[person // 11 % len(GIVEN)]}^^DR".encode(),
        "operator": GIVEN[person // 13 % len(GIVEN)].encode(),
        "description": DESCRIPTIONS[modality][series % len(DESCRIPTIONS[modality])],
        "name": f"{family}^{given}".encode(),
        "patient": b"PAT%07d" % study,
        "birth": b"19%02d%02d%02d" % (20 + person % 70, 1 + person % 12, 1 + person % 28),
        "sex": b"FM"[person % 2 : person % 2 + 1],
        "age": b"%03dY" % (20 + person % 70),
        "weight": b"%d" % (45 + person % 60),
        "study": b"%s%05d.%d" % (uid, start, study),
        "series": b"%s%05d.%d.%d.0.0.0" % (uid, start, study, series),
        "study_id": b"%d" % (study + 1),
        "series_number": b"%d" % (series % 12 + 1),
        "acquisition_number": b"1",
        "number": b"%d" % (index + 1),
        "position": f"-119.53125\\-{110 + series % 9}.25\\{depth:.10g}".encode(),
        "frame_of_reference": b"%s%05d.%d.0.0.0.0.1" % (uid, start, study),
        "location": f"{depth:.8g}".encode(),
        "center": b"%d" % ((low + high) // 2 + mixed(series, index, 3) % 7),
        "width": b"%d" % max(1, (high - low) * 3 // 4 + mixed(series, index, 4) % 9),
    }


# ------------------------------------------------------------------------------------------- texts of data that repeat


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


def _references(sop_class: str, count: int) -> list[dict[str, Any]]:
    return [
        {"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": f"{ROOT}.2.1.20200101{number:04d}"}
        for number in range(count)
    ]


_RELATED = bytes(f"{ROOT}.2.77.1000000000000000001", "ascii")  # a UID that differs between images, in a sequence


def _related(series: int, index: int) -> bytes:
    return b"%s.2.77.1%018d" % (ROOT.encode(), 1_000_000 * series + index + 100)


# ---------------------------------------------------------------------------------------------------------- classic MR

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
            "ReferencedStudySequence": _references("1.2.840.10008.3.1.2.3.1", 1),
            "ReferencedPerformedProcedureStepSequence": _references("1.2.840.10008.3.1.2.3.3", 1),
            "ReferencedImageSequence": [
                {**item, "PurposeOfReferenceCodeSequence": code("121311", "Localizer")}
                for item in _references(MR_IMAGE, 3)
            ],
            "SourceImageSequence": [
                {"ReferencedSOPClassUID": MR_IMAGE, "ReferencedSOPInstanceUID": _RELATED.decode(),
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
        (0x0C, "UI", _RELATED.decode()), (0x1A, "SH", "A32"), (0x1B, "LO", "normal"),
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
    cuts = [_all_places(block, start) for start in starts]

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
            "related": _related(place.series, place.index),
        }
        return result

    varying = COMMON | {
        0x00181060: "trigger", 0x00280106: "smallest", 0x00280107: "largest", 0x00191016: "since",
        0x00291010: "image_block", 0x0051100D: "where", 0x00321032: "doctor",
    }  # fmt: skip
    return Header(content, varying, {_RELATED: "related"}, values, syntax)


def _all_places(raw: bytes, mark: bytes) -> list[int]:
    return list(_places(raw, mark))


def elements_of(content: Dataset) -> int:
    """Return the number of elements before the pixel data, those of nested data sets included."""
    return sum(1 + sum(elements_of(item) for item in element.value) if element.VR == "SQ" else 1 for element in content)


# ---------------------------------------------------------------------------------------------------------- classic CT


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
            "ReferencedStudySequence": _references("1.2.840.10008.3.1.2.3.1", 1),
            "SourceImageSequence": _references(CT_IMAGE, 1),
            "ProcedureCodeSequence": code("CHEST", "Chest routine", "99MADEUP"),
            "IrradiationEventUID": f"{ROOT}.3.1",
        } | more,
    )  # fmt: skip
    numbers = ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue")
    for keyword in (keyword for keyword in numbers if keyword in content):
        content[keyword].VR = "SS" if signed else "US"
    content.SourceImageSequence[0].ReferencedSOPInstanceUID = _RELATED.decode()
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
            "related": _related(place.series, place.index),
        }

    varying = COMMON | {
        0x00181151: "current", 0x00181152: "exposure", 0x00280106: "smallest", 0x00280107: "largest",
        0x0019105A: "midscan", 0x00271050: "table",
    }  # fmt: skip
    varying = {tag: key for tag, key in varying.items() if tag in content}
    return Header(content, varying, {_RELATED: "related"}, values, syntax)


# ------------------------------------------------------------------------------------------------------ multi-frame MR

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
            when = result["date"] + _time(35_000 + time_point * 2.5 + stack * 0.05)[:13]
            items += (
                _ITEM + _UNDEFINED,
                self._item.join({
                    "position": b"%+010.4f" % (place.spacing * stack - 61.75),
                    "double": struct.pack("<d", mixed(place.series, frame) / 7),
                    "when": when,
                    "window": b"%010.3f" % (500 + mixed(place.series, frame, 3) % 99_999 / 1000),
                    "stack": (stack + 1).to_bytes(4, "little"),
                    "time_point": (time_point + 1).to_bytes(4, "little"),
                }),
                _END_OF_ITEM + bytes(4),
            )  # fmt: skip
        result["frames"] = b"".join(items) + _END_OF_SEQUENCE + bytes(4)
        return result

    def header(self, place: Place) -> bytes:
        """Return the bytes before the pixel data."""
        return self._header.header(place)

    def file(self, place: Place, pixels: bytes) -> bytes:
        """Return the bytes of a file; `pixels` are those of all frames."""
        return self._header.file(place, pixels)
