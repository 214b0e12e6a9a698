"""Data elements as they are encoded: tags, VRs and heads (PS3.5 7.1)."""

from __future__ import annotations

import functools
import struct

UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


def _code(vr: str) -> int:
    """Return the two letters of a VR as a little-endian number, as they are unpacked."""
    return int.from_bytes(vr.encode("ascii"), "little")


# PS3.5 7.1.2: these have a reserved field and a length of 4 bytes, all others a length of 2 bytes.
LONG_VRS = {_code(vr): vr for vr in ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")}
SHORT_VRS = {
    _code(vr): vr
    for vr in (
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    )
}
SQ, OB, OW = _code("SQ"), _code("OB"), _code("OW")

# What may identify a patient or a site stands in these, beside times, which alone tell nobody apart.
TEXT_VRS = frozenset(("AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"))
MAX_VALUE = 1 << 20  # bytes of one wanted value; Grid Frame Offset Vector is the only one that can be long
MAX_TEXT = 1024  # bytes of a text; of a longer one the beginning
# Sequences in which people and requests are named: of physicians and operators, patient, requests, original attributes.
NAMING = frozenset((
    0x00080096, 0x00081049, 0x00081052, 0x00081062, 0x00081072, 0x00081120, 0x00101002, 0x00400275, 0x04000561,
))  # fmt: skip
MAX_NAMING = 16 << 10  # bytes of such a sequence
CHARACTER_SET = 0x00080005  # says how they are to be read; among the texts it is the one of VR CS

EXPLICIT = struct.Struct("<HHHH").unpack_from
IMPLICIT = struct.Struct("<HHI").unpack_from
LENGTH = struct.Struct("<I").unpack_from


def is_text(tag: int, vr: str) -> bool:
    """Say whether an element holds text; where VRs are implicit, by PS3.6, and perhaps if it is private."""
    if vr:
        return vr in TEXT_VRS or tag in SPECIAL
    return bool(tag >> 16 & 1) or tag in standard_texts() or tag in SPECIAL


# What is gathered whatever its VR says, by the kind under which it is.
SPECIAL = {CHARACTER_SET: "CS"} | dict.fromkeys(NAMING, "SQ")


def longest(kind: str) -> int:
    """Return how many bytes of a text of this kind are gathered."""
    return MAX_NAMING if kind == "SQ" else MAX_TEXT


@functools.cache
def standard_texts() -> frozenset[int]:
    """Return the tags of PS3.6 whose VR is one of texts."""
    from pydicom._dicom_dict import DicomDictionary

    return frozenset(tag for tag, row in DicomDictionary.items() if row[0] in TEXT_VRS) | {CHARACTER_SET}
