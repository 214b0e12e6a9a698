"""Which attributes the header index keeps, and how their bytes become numbers and strings.

One table and one set of rules for every reader, so that two readers of one file cannot disagree on a value.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from dicomzarr.dicom import image_risks
from dicomzarr.dicom.vr import NUMBERS, STRING_VRS
from dicomzarr.headers.repeated_elements import Run

Values: TypeAlias = dict[int, tuple[str, bytes | None]]  # tag to VR and bytes

MAX_TEXT = 4096  # characters of a text; identifiers, which are hashed, may have as many as a short VR can hold
MAX_IDENTIFIER = 65536
MAX_NUMBERS = 65536  # values of one attribute

# Tag: (keyword, VR of PS3.6, form). Forms:
#   text        one string                          id       a string that is only compared or hashed
#   texts       a list of strings                   integer  one integer
#   integers    a list of integers                  real     one finite number
#   reals       a list of finite numbers            pixel    one integer, signed as the pixels are (US or SS)
#   first       the first of several numbers        there    True where the element is there
#   head        True where a text names the head
ATTRIBUTES: dict[int, tuple[str, str, str]] = {
    0x00080008: ("ImageType", "CS", "texts"),
    0x00080016: ("SOPClassUID", "UI", "id"),
    0x00080018: ("SOPInstanceUID", "UI", "id"),
    0x00080022: ("AcquisitionDate", "DA", "text"),
    0x00080023: ("ContentDate", "DA", "text"),
    0x0008002A: ("AcquisitionDateTime", "DT", "text"),
    0x00080032: ("AcquisitionTime", "TM", "text"),
    0x00080033: ("ContentTime", "TM", "text"),
    0x00080060: ("Modality", "CS", "text"),
    0x00080064: ("ConversionType", "CS", "text"),
    0x00080070: ("Manufacturer", "LO", "text"),
    0x00081030: ("describes_head", "LO", "head"),
    0x0008103E: ("describes_head", "LO", "head"),
    0x00100020: ("PatientID", "LO", "id"),
    0x00100021: ("IssuerOfPatientID", "LO", "id"),
    0x00180015: ("BodyPartExamined", "CS", "text"),
    0x00180050: ("SliceThickness", "DS", "real"),
    0x00180081: ("EchoTime", "DS", "first"),
    0x00180082: ("InversionTime", "DS", "real"),
    0x00180086: ("EchoNumbers", "IS", "first"),
    0x00180088: ("SpacingBetweenSlices", "DS", "real"),
    0x00181030: ("describes_head", "LO", "head"),
    0x00181060: ("TriggerTime", "DS", "real"),
    0x00181063: ("FrameTime", "DS", "real"),
    0x00181065: ("FrameTimeVector", "DS", "reals"),
    0x00181164: ("ImagerPixelSpacing", "DS", "reals"),
    0x00182010: ("NominalScannedPixelSpacing", "DS", "reals"),
    0x00189087: ("DiffusionBValue", "FD", "real"),
    0x00189089: ("DiffusionGradientOrientation", "FD", "reals"),
    0x00190010: ("creator_0019", "LO", "text"),
    0x0019100C: ("b_value_siemens", "IS", "integer"),
    0x0020000D: ("StudyInstanceUID", "UI", "id"),
    0x0020000E: ("SeriesInstanceUID", "UI", "id"),
    0x00200011: ("SeriesNumber", "IS", "integer"),
    0x00200012: ("AcquisitionNumber", "IS", "integer"),
    0x00200013: ("InstanceNumber", "IS", "integer"),
    0x00200032: ("ImagePositionPatient", "DS", "reals"),
    0x00200037: ("ImageOrientationPatient", "DS", "reals"),
    0x00200100: ("TemporalPositionIdentifier", "IS", "integer"),
    0x00280002: ("SamplesPerPixel", "US", "integer"),
    0x00280004: ("PhotometricInterpretation", "CS", "text"),
    0x00280006: ("PlanarConfiguration", "US", "integer"),
    0x00280008: ("NumberOfFrames", "IS", "integer"),
    0x00280010: ("Rows", "US", "integer"),
    0x00280011: ("Columns", "US", "integer"),
    0x00280030: ("PixelSpacing", "DS", "reals"),
    0x00280034: ("PixelAspectRatio", "IS", "integers"),
    0x00280100: ("BitsAllocated", "US", "integer"),
    0x00280101: ("BitsStored", "US", "integer"),
    0x00280102: ("HighBit", "US", "integer"),
    0x00280103: ("PixelRepresentation", "US", "integer"),
    0x00280106: ("SmallestImagePixelValue", "US", "pixel"),
    0x00280107: ("LargestImagePixelValue", "US", "pixel"),
    0x00280120: ("PixelPaddingValue", "US", "pixel"),
    0x00280121: ("PixelPaddingRangeLimit", "US", "pixel"),
    0x00280301: ("BurnedInAnnotation", "CS", "text"),
    0x00280302: ("RecognizableVisualFeatures", "CS", "text"),
    0x00281050: ("WindowCenter", "DS", "reals"),
    0x00281051: ("WindowWidth", "DS", "reals"),
    0x00281052: ("RescaleIntercept", "DS", "real"),
    0x00281053: ("RescaleSlope", "DS", "real"),
    0x00281101: ("has_palette", "US", "there"),
    0x00281221: ("has_palette", "OW", "there"),
    0x00282110: ("LossyImageCompression", "CS", "text"),
    0x00283000: ("has_modality_lut", "SQ", "there"),
    0x00430010: ("creator_0043", "LO", "text"),
    0x00431039: ("b_value_ge", "IS", "first"),
    0x00541300: ("FrameReferenceTime", "DS", "real"),
    0x30040002: ("DoseUnits", "CS", "text"),
    0x3004000C: ("GridFrameOffsetVector", "DS", "reals"),
    0x3004000E: ("DoseGridScaling", "DS", "real"),
    0x52009229: ("has_functional_groups", "SQ", "there"),
    0x52009230: ("has_functional_groups", "SQ", "there"),
}
# Read to tell kinds of objects apart, not kept.
DIRECTORY_RECORDS = 0x00041220
WANTED = frozenset(ATTRIBUTES) | {DIRECTORY_RECORDS}
# Kept or not, these may identify a patient.
TEXTS = frozenset(tag for tag, (_, vr, _) in ATTRIBUTES.items() if vr in ("DA", "DT", "LO", "UI"))
PIXEL_REPRESENTATION = 0x00280103

_PADDING = b" \0"


class Bad(Exception):
    """The element is there and its value cannot be what the attribute means; carries nothing of the value."""


def interpret(
    values: Values, *, little: bool, runs: Sequence[Run] = (), singly: Values | None = None
) -> tuple[dict[str, object], frozenset[str]]:
    """Return attributes by keyword, and the keywords whose element is there with an unusable value.

    Parameters
    ----------
    values : dict
        Tag to (VR, bytes), as a reader found them; VR "" means the VR of PS3.6.
    little : bool
        Whether binary values are little endian (PS3.5 7.3).
    runs, singly
        Where the reader met runs of elements again: these, and the values that are in none.

    Notes
    -----
    An empty value is an absent attribute (PS3.5 7.4.5 type 2). NaN and infinity are unusable. Values whose VR is US or
    SS depending on Pixel Representation (0028,0103) follow Pixel Representation, whatever VR is written.
    """
    form = little, _is_signed(values, little)
    if not runs or singly is None:
        facts, bad = _meaning_of(values, form)
    else:
        facts, bad = _meaning_of(singly, form)
        for run in runs:
            known = run.meanings.get(form)
            if known is None:
                found, unusable = _meaning_of(run.values, form)
                known = run.meanings[form] = found, frozenset(unusable)
            facts.update(known[0])
            bad.update(known[1])
    _settle_b_value(facts)
    return facts, frozenset(bad)


def _meaning_of(values: Values, form: tuple[bool, bool]) -> tuple[dict[str, object], set[str]]:
    """Return attributes and unusable keywords of some elements; `form`: little endian, and pixels signed."""
    facts: dict[str, object] = {}
    bad: set[str] = set()
    known = _KNOWN[form]
    recall = known.get
    for item in values.items():
        meaning = recall(item)
        if meaning is None:
            tag, (vr, value) = item
            meaning = _interpret(tag, vr, value, *form)
            if value is not None and len(value) <= _MEMORABLE:
                if len(known) >= _MAX_KNOWN:
                    known.clear()
                known[item] = meaning
        keyword, found = meaning
        if keyword:
            facts[keyword] = found
        elif found:
            bad.add(cast(str, found))
    return facts, bad


# Private elements that hold a b-value where Diffusion b-value (0018,9087) is missing: the fact with the value, the one
# with its private creator, that creator, and how the maker's name begins.
_PRIVATE_B_VALUES = (
    ("b_value_siemens", "creator_0019", "SIEMENS MR HEADER", "SIEMENS"),
    ("b_value_ge", "creator_0043", "GEMS_PARM_01", "GE MEDICAL"),
)
_MAX_B_VALUE = 100_000  # s/mm2
_GE_OFFSET = 1_000_000_000  # which newer software of that maker adds


def _settle_b_value(facts: dict[str, object]) -> None:
    """Replace private elements by the b-value that they hold, if it is one; nothing else of them is kept.

    A private element belongs to its creator (PS3.5 7.8.1). Archives strip creators and leave elements: then the maker
    decides, and a creator of another name always denies.
    """
    maker = str(facts.pop("Manufacturer", "")).upper()
    for name, creator, owner, prefix in _PRIVATE_B_VALUES:
        value, said = facts.pop(name, None), facts.pop(creator, "")
        if value is None or "DiffusionBValue" in facts or facts.get("Modality") != "MR":
            continue
        number = float(cast(float, value))
        number -= _GE_OFFSET if owner == "GEMS_PARM_01" and number >= _GE_OFFSET else 0
        if (said == owner or (not said and maker.startswith(prefix))) and 0 <= number <= _MAX_B_VALUE:
            facts["DiffusionBValue"] = number


# What elements mean that were met before: most values are the same in each file of a series. Keyword and value; ""
# and the keyword where the value is unusable; twice "" where the element says nothing.
_KNOWN: dict[tuple[bool, bool], dict[tuple[int, tuple[str, bytes | None]], tuple[str, object]]] = {
    (little, signed): {} for little in (False, True) for signed in (False, True)
}
_MAX_KNOWN = 1 << 14
_MEMORABLE = 64  # bytes; longer values seldom come again


def _interpret(tag: int, vr: str, value: bytes | None, little: bool, signed: bool) -> tuple[str, object]:
    row = ATTRIBUTES.get(tag)
    if row is None:
        return "", ""
    keyword, standard_vr, form = row
    if form == "there":
        return keyword, True
    if value == b"":
        return "", ""
    if value is None:
        return "", keyword
    if vr == "" or vr == "UN":
        vr = standard_vr
    try:
        found = _FORMS[form](value, vr, little, signed)
    except (Bad, ValueError, OverflowError):
        return "", keyword
    return (keyword, found) if found is not None else ("", "")


def _is_signed(values: dict[int, tuple[str, bytes | None]], little: bool) -> bool:
    element = values.get(PIXEL_REPRESENTATION)
    if element is None or not element[1] or element[1] == b"\0\0":
        return False
    try:
        return _integer(element[1], element[0] if element[0] not in ("", "UN") else "US", little, False) == 1
    except (Bad, ValueError):
        return False


def text_of(value: bytes) -> str:
    """Return a string without padding (PS3.5 6.2: spaces, for UI a NUL); every byte sequence has one.

    Latin-1 maps bytes to characters one to one: what is compared or hashed stays apart exactly where the bytes do.
    """
    return value.strip(_PADDING).decode("latin-1")


def _text(value: bytes, vr: str, little: bool, signed: bool) -> str | None:
    if vr not in STRING_VRS or len(value) > MAX_TEXT:
        raise Bad
    return text_of(value) or None


def _texts(value: bytes, vr: str, little: bool, signed: bool) -> list[str] | None:
    if vr not in STRING_VRS or len(value) > MAX_TEXT:
        raise Bad
    if not text_of(value):
        return None
    return [text_of(part) for part in value.split(b"\\")]


def _id(value: bytes, vr: str, little: bool, signed: bool) -> str | None:
    if len(value) > MAX_IDENTIFIER:
        raise Bad
    return text_of(value) or None


def _numbers(value: bytes, vr: str, little: bool) -> list[float] | list[int]:
    """Return every number of a binary or textual value; empty where it holds padding alone."""
    code = NUMBERS.get(vr)
    if code is not None:
        size = struct.calcsize(code)
        count, rest = divmod(len(value), size)
        if rest or count > MAX_NUMBERS:
            raise Bad
        return list(struct.unpack(("<" if little else ">") + str(count) + code, value))
    if vr not in STRING_VRS:
        raise Bad
    value = value.strip(_PADDING)
    if not value:
        return []
    # Python would read digits grouped by underscores, which no DICOM string has.
    if b"_" in value or value.count(b"\\") >= MAX_NUMBERS:
        raise Bad
    return [float(part.strip(_PADDING)) for part in value.split(b"\\")]


def _reals(value: bytes, vr: str, little: bool, signed: bool) -> list[float] | None:
    numbers = [float(number) for number in _numbers(value, vr, little)]
    for number in numbers:
        if not math.isfinite(number):
            raise Bad
    return numbers or None


def _real(value: bytes, vr: str, little: bool, signed: bool) -> float | None:
    if vr == "DS" and b"\\" not in value and b"_" not in value:
        try:
            number = float(value)
        except ValueError:
            value = value.strip(_PADDING)
            if not value:
                return None
            number = float(value)
        if not math.isfinite(number):
            raise Bad
        return number
    numbers = _reals(value, vr, little, signed)
    if numbers is not None and len(numbers) != 1:
        raise Bad
    return numbers[0] if numbers else None


def _integers(value: bytes, vr: str, little: bool, signed: bool) -> list[int] | None:
    if vr in STRING_VRS:
        value = value.strip(_PADDING)
        if not value:
            return None
        if b"_" in value or value.count(b"\\") >= MAX_NUMBERS:
            raise Bad
        return [_whole(part.strip(_PADDING)) for part in value.split(b"\\")]
    return [_narrow(number) for number in _numbers(value, vr, little)] or None


def _whole(part: bytes) -> int:
    """Return an integer string (IS), or a decimal string without a fraction as some writers put there."""
    try:
        number = int(part)
    except ValueError:
        return _narrow(float(part))
    return _narrow(number)


def _narrow(number: float) -> int:
    """Return a number as an integer of 64 bits, if it is one."""
    if not -(2**63) <= number < 2**63 or number != int(number):  # NaN fails the comparison
        raise Bad
    return int(number)


def _integer(value: bytes, vr: str, little: bool, signed: bool) -> int | None:
    if vr == "US" and len(value) == 2:
        return int.from_bytes(value, "little" if little else "big")
    numbers = _integers(value, vr, little, signed)
    if numbers is not None and len(numbers) != 1:
        raise Bad
    return numbers[0] if numbers else None


def _first(value: bytes, vr: str, little: bool, signed: bool) -> float | int | None:
    # Echo Numbers (0018,0086) has a multiplicity of 1-n.
    whole = vr in ("IS", "US", "SS", "UL", "SL")
    numbers = _integers(value, vr, little, signed) if whole else _reals(value, vr, little, signed)
    return numbers[0] if numbers else None


def _pixel(value: bytes, vr: str, little: bool, signed: bool) -> int | None:
    if vr in ("US", "SS"):
        vr = "SS" if signed else "US"
    elif vr in ("UL", "SL"):
        vr = "SL" if signed else "UL"
    elif vr in ("OW", "OB") and len(value) == 2:
        vr = "SS" if signed else "US"
    return _integer(value, vr, little, signed)


def _head(value: bytes, vr: str, little: bool, signed: bool) -> bool | None:
    """Return whether a description names the head; nothing else of it is kept."""
    text = value[:MAX_TEXT].decode("utf-8", "replace")
    return True if image_risks.names_head(text) or image_risks.names_head(text_of(value[:MAX_TEXT])) else None


_FORMS: dict[str, Callable[[bytes, str, bool, bool], object]] = {
    "text": _text,
    "texts": _texts,
    "id": _id,
    "integer": _integer,
    "integers": _integers,
    "real": _real,
    "reals": _reals,
    "first": _first,
    "pixel": _pixel,
    "head": _head,
}
