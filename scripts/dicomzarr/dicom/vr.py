"""Value representations, and data elements as they are encoded: tags and heads (PS3.5 6.2, 7.1)."""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from typing import NamedTuple

UNDEFINED = 0xFFFFFFFF
PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


class VR(NamedTuple):
    """A value representation (PS3.5 6.2).

    Attributes
    ----------
    is_long : bool
        Its length has 4 bytes, after a reserved field; that of all others has 2 (PS3.5 7.1.2).
    is_string : bool
        Its values are characters.
    is_text : bool
        A value may identify a patient or a site, beside times, which alone identify nobody.
    number : str
        How `struct` names a value, where that is a binary number.
    """

    name: str
    is_long: bool = False
    is_string: bool = False
    is_text: bool = False
    number: str = ""


VRS: Mapping[str, VR] = {
    row.name: row
    for row in (
        VR("AE", is_string=True, is_text=True),
        VR("AS", is_string=True),
        VR("AT"),
        VR("CS", is_string=True),
        VR("DA", is_string=True, is_text=True),
        VR("DS", is_string=True),
        VR("DT", is_string=True, is_text=True),
        VR("FD", number="d"),
        VR("FL", number="f"),
        VR("IS", is_string=True),
        VR("LO", is_string=True, is_text=True),
        VR("LT", is_string=True, is_text=True),
        VR("OB", is_long=True),
        VR("OD", is_long=True),
        VR("OF", is_long=True),
        VR("OL", is_long=True),
        VR("OV", is_long=True),
        VR("OW", is_long=True),
        VR("PN", is_string=True, is_text=True),
        VR("SH", is_string=True, is_text=True),
        VR("SL", number="i"),
        VR("SQ", is_long=True),
        VR("SS", number="h"),
        VR("ST", is_string=True, is_text=True),
        VR("SV", is_long=True, number="q"),
        VR("TM", is_string=True),
        VR("UC", is_long=True, is_string=True, is_text=True),
        VR("UI", is_string=True, is_text=True),
        VR("UL", number="I"),
        VR("UN", is_long=True),
        VR("UR", is_long=True, is_string=True, is_text=True),
        VR("US", number="H"),
        VR("UT", is_long=True, is_string=True, is_text=True),
        VR("UV", is_long=True, number="Q"),
    )
}


def _code(vr: str) -> int:
    """Return the two letters of a VR as a little-endian number, as they are unpacked."""
    return int.from_bytes(vr.encode("ascii"), "little")


# By the two letters as a number.
LONG_VRS = {_code(vr.name): vr.name for vr in VRS.values() if vr.is_long}
SHORT_VRS = {_code(vr.name): vr.name for vr in VRS.values() if not vr.is_long}
SQ, OB, OW = _code("SQ"), _code("OB"), _code("OW")
STRING_VRS = frozenset(vr.name for vr in VRS.values() if vr.is_string)
TEXT_VRS = frozenset(vr.name for vr in VRS.values() if vr.is_text)
NUMBERS = {vr.name: vr.number for vr in VRS.values() if vr.number}
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
