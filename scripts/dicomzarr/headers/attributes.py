"""The attributes that the header index stores, and the conversion of their bytes to numbers and strings.

Both readers use this table and these rules, so that they cannot disagree on a value.
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

MAX_TEXT = 4096  # bytes of a text; an identifier, which is hashed, may be as long as a 16-bit length allows
MAX_IDENTIFIER = 65536
MAX_NUMBERS = 65536  # values of one attribute

# Tag: (keyword, VR of PS3.6, form). Forms:
#   text        one string                          id       a string that is only compared or hashed
#   texts       a list of strings                   integer  one integer
#   integers    a list of integers                  real     one finite number
#   reals       a list of finite numbers            pixel    one integer, signed as the pixels are (US or SS)
#   first       the first of several numbers        present  True where the element is present
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
    0x00281101: ("has_palette", "US", "present"),
    0x00281221: ("has_palette", "OW", "present"),
    0x00282110: ("LossyImageCompression", "CS", "text"),
    0x00283000: ("has_modality_lut", "SQ", "present"),
    0x00430010: ("creator_0043", "LO", "text"),
    0x00431039: ("b_value_ge", "IS", "first"),
    0x00541300: ("FrameReferenceTime", "DS", "real"),
    0x30040002: ("DoseUnits", "CS", "text"),
    0x3004000C: ("GridFrameOffsetVector", "DS", "reals"),
    0x3004000E: ("DoseGridScaling", "DS", "real"),
    0x52009229: ("has_functional_groups", "SQ", "present"),
    0x52009230: ("has_functional_groups", "SQ", "present"),
}
# Directory Record Sequence: only read to recognise a DICOMDIR.
DIRECTORY_RECORDS = 0x00041220
WANTED = frozenset(ATTRIBUTES) | {DIRECTORY_RECORDS}
# Wanted attributes whose text may identify a patient: the privacy search gets them too.
TEXTS = frozenset(tag for tag, (_, vr, _) in ATTRIBUTES.items() if vr in ("DA", "DT", "LO", "UI"))
PIXEL_REPRESENTATION = 0x00280103

_PADDING = b" \0"


class Bad(Exception):
    """The element is present and its value is not valid for the attribute; holds nothing of the value."""


def interpret(
    values: Values, *, little: bool, runs: Sequence[Run] = (), singles: Values | None = None
) -> tuple[dict[str, object], frozenset[str]]:
    """Return attributes by keyword, and the keywords whose element has an unusable value.

    Parameters
    ----------
    values : dict
        Tag to (VR, bytes) as read; VR "" means the VR of PS3.6; bytes None means a sequence or too long a value.
    little : bool
        Whether binary values are little endian (PS3.5 7.3).
    runs : sequence of Run
        Cached runs of elements that the header repeats; what they mean is cached with them.
    singles : dict, optional
        Those of `values` that are in no run.

    Returns
    -------
    facts : dict
        Keyword to value, as the forms of `ATTRIBUTES` say.
    bad : frozenset of str
        Keywords of unusable values.

    Notes
    -----
    An empty value is an absent attribute (PS3.5 7.4.5 type 2). NaN and infinity are unusable. Values whose VR is US or
    SS depending on Pixel Representation (0028,0103) follow Pixel Representation, whatever VR is written.

    References
    ----------
    DICOM PS3.5 6.2 (VR), PS3.6 6 (attributes).
    """
    form = little, _is_signed(values, little)
    if not runs or singles is None:
        facts, bad = _interpret_all(values, form)
    else:
        facts, bad = _interpret_all(singles, form)
        for run in runs:
            meaning = run.meanings.get(form)
            if meaning is None:
                run_facts, run_bad = _interpret_all(run.values, form)
                meaning = run.meanings[form] = run_facts, frozenset(run_bad)
            facts.update(meaning[0])
            bad.update(meaning[1])
    _replace_private_b_values(facts)
    return facts, frozenset(bad)


def _interpret_all(values: Values, form: tuple[bool, bool]) -> tuple[dict[str, object], set[str]]:
    """Return attributes by keyword, and unusable keywords; `form` is (little endian, pixels are signed)."""
    facts: dict[str, object] = {}
    bad: set[str] = set()
    cache = _CACHE[form]
    cached = cache.get
    for item in values.items():
        meaning = cached(item)
        if meaning is None:
            tag, (vr, value) = item
            meaning = _interpret(tag, vr, value, *form)
            if value is not None and len(value) <= _MAX_CACHED_VALUE:
                if len(cache) >= _MAX_CACHED:
                    cache.clear()
                cache[item] = meaning
        keyword, content = meaning
        if keyword:
            facts[keyword] = content
        elif content:
            bad.add(cast(str, content))
    return facts, bad


# Private elements that hold a b-value where Diffusion b-value (0018,9087) is missing: key of the value, key of its
# private creator, the name of that creator, and the beginning of Manufacturer (0008,0070).
_PRIVATE_B_VALUES = (
    ("b_value_siemens", "creator_0019", "SIEMENS MR HEADER", "SIEMENS"),
    ("b_value_ge", "creator_0043", "GEMS_PARM_01", "GE MEDICAL"),
)
_MAX_B_VALUE = 100_000  # s/mm2
_GE_OFFSET = 1_000_000_000  # added by newer GE software


def _replace_private_b_values(facts: dict[str, object]) -> None:
    """Replace the private elements among the facts by DiffusionBValue, if they hold a valid b-value.

    A private element belongs to its private creator (PS3.5 7.8.1). Some archives remove the creator but not the
    element: then Manufacturer (0008,0070) decides. A creator of another name always rules the element out.
    """
    manufacturer = str(facts.pop("Manufacturer", "")).upper()
    for name, creator, owner, prefix in _PRIVATE_B_VALUES:
        value, private_creator = facts.pop(name, None), facts.pop(creator, "")
        if value is None or "DiffusionBValue" in facts or facts.get("Modality") != "MR":
            continue
        number = float(cast(float, value))
        number -= _GE_OFFSET if owner == "GEMS_PARM_01" and number >= _GE_OFFSET else 0
        is_owner = private_creator == owner or (not private_creator and manufacturer.startswith(prefix))
        if is_owner and 0 <= number <= _MAX_B_VALUE:
            facts["DiffusionBValue"] = number


# Cache of interpreted elements: most values are the same in each file of a series. The result is (keyword, value),
# ("", keyword) where the value is unusable, and ("", "") where the element is unwanted or empty.
_CACHE: dict[tuple[bool, bool], dict[tuple[int, tuple[str, bytes | None]], tuple[str, object]]] = {
    (little, signed): {} for little in (False, True) for signed in (False, True)
}
_MAX_CACHED = 1 << 14
_MAX_CACHED_VALUE = 64  # bytes; longer values seldom repeat


def _interpret(tag: int, vr: str, value: bytes | None, little: bool, signed: bool) -> tuple[str, object]:
    row = ATTRIBUTES.get(tag)
    if row is None:
        return "", ""
    keyword, standard_vr, form = row
    if form == "present":
        return keyword, True
    if value == b"":
        return "", ""
    if value is None:
        return "", keyword
    if vr == "" or vr == "UN":
        vr = standard_vr
    try:
        content = _FORMS[form](value, vr, little, signed)
    except (Bad, ValueError, OverflowError):
        return "", keyword
    return (keyword, content) if content is not None else ("", "")


def _is_signed(values: dict[int, tuple[str, bytes | None]], little: bool) -> bool:
    element = values.get(PIXEL_REPRESENTATION)
    if element is None or not element[1] or element[1] == b"\0\0":
        return False
    try:
        return _integer(element[1], element[0] if element[0] not in ("", "UN") else "US", little, False) == 1
    except (Bad, ValueError):
        return False


def text_of(value: bytes) -> str:
    """Return a value as a string without padding: spaces, or for UI a NUL.

    Decoding as Latin-1 maps bytes to characters one to one, so that it never fails and two strings are equal only where
    the bytes are.

    Parameters
    ----------
    value : bytes
        A value of a string VR.

    Returns
    -------
    str
        One character for each byte, padding removed.

    References
    ----------
    DICOM PS3.5 6.2.
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
    """Return the numbers of a binary or textual value; an empty list where it holds nothing but padding."""
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
    # Python accepts underscores between digits, DICOM does not (PS3.5 6.2).
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
    """Return the integer of an IS value; some writers put a decimal string without a fraction there."""
    try:
        number = int(part)
    except ValueError:
        return _narrow(float(part))
    return _narrow(number)


def _narrow(number: float) -> int:
    """Return a number as a 64-bit integer; raise `Bad` if it is none."""
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
    """Return True where a description names the head, else None; the text itself is not stored."""
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
