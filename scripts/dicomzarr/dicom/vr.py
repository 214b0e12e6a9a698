"""Value representations, and the encoding of data elements: tags, VRs and lengths (PS3.5 6.2, 7.1)."""

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
        The length field has 4 bytes, after a reserved field; that of all others has 2 (PS3.5 7.1.2).
    is_string : bool
        Values are characters.
    is_text : bool
        A value may identify a patient or a site. TM is not among them: a time alone identifies nobody.
    number : str
        `struct` format character of a value, if it is a binary number.
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
    """Return the two letters of a VR as a little-endian number, as `struct` unpacks them."""
    return int.from_bytes(vr.encode("ascii"), "little")


# VRs by their two letters as a number.
LONG_VRS = {_code(vr.name): vr.name for vr in VRS.values() if vr.is_long}
SHORT_VRS = {_code(vr.name): vr.name for vr in VRS.values() if not vr.is_long}
SQ, OB, OW = _code("SQ"), _code("OB"), _code("OW")
STRING_VRS = frozenset(vr.name for vr in VRS.values() if vr.is_string)
TEXT_VRS = frozenset(vr.name for vr in VRS.values() if vr.is_text)
NUMBERS = {vr.name: vr.number for vr in VRS.values() if vr.number}
MAX_VALUE = 1 << 20  # bytes of one wanted value; Grid Frame Offset Vector is the only one that can be long
MAX_TEXT = 1024  # bytes of a text; a longer one is cut
# Sequences that name people and requests: directory records, physicians and operators, patient, requests, original
# attributes. Of those of segments and ROIs only labels and the like count: their codes are public.
_LABELLING = frozenset((0x00620002, 0x30060020, 0x30060080))
NAMING = _LABELLING | frozenset((
    0x00041220, 0x00080096, 0x00081049, 0x00081052, 0x00081062, 0x00081072, 0x00081120, 0x00101002, 0x00400275,
    0x04000561,
))  # fmt: skip
LABELS = "labels"  # the kind of the sequences of segments and ROIs
# Segment Label, Segment Description, Tracking ID, ROI Name, ROI Description, ROI Observation Label, ROI Observation
# Description and ROI Interpreter.
LABEL_TAGS = frozenset((
    0x00620005, 0x00620006, 0x00620020, 0x30060026, 0x30060028, 0x30060085, 0x30060088, 0x300600A6,
))  # fmt: skip
MAX_NAMING = 256 << 10  # bytes of such a sequence: some hundred segments
CHARACTER_SET = 0x00080005  # Specific Character Set: decodes the texts; the only element of VR CS among them

EXPLICIT = struct.Struct("<HHHH").unpack_from
IMPLICIT = struct.Struct("<HHI").unpack_from
LENGTH = struct.Struct("<I").unpack_from


def is_text(tag: int, vr: str) -> bool:
    """Return whether an element is collected as text that may identify somebody.

    Parameters
    ----------
    tag : int
        Group and element number.
    vr : str
        One of `UNSTATED`: PS3.6 decides, and every private element may be text.

    Returns
    -------
    bool
    """
    if vr not in UNSTATED:
        return vr in TEXT_VRS or tag in SPECIAL
    return bool(tag >> 16 & 1) or tag in standard_texts() or tag in SPECIAL


UNSTATED = ("", "UN")  # VRs are implicit, or whoever converted the file did not know this one (PS3.5 6.2.2)


def kind_of(tag: int, vr: str) -> str:
    """Return the kind as which an element is collected.

    Parameters
    ----------
    tag : int
        Group and element number.
    vr : str
        As the file states it; one of `UNSTATED` where it does not.

    Returns
    -------
    str
        Kind of `SPECIAL`, else the VR, else that of PS3.6; empty if it is no text there.
    """
    return SPECIAL.get(tag) or (standard_texts().get(tag, "") if vr in UNSTATED else vr)


# Elements that are collected whatever their VR: tag -> kind, which is the VR that they are treated as.
SPECIAL = {CHARACTER_SET: "CS"} | dict.fromkeys(NAMING, "SQ") | dict.fromkeys(_LABELLING, LABELS)


def max_bytes(kind: str) -> int:
    """Return how many bytes of a text are collected.

    Parameters
    ----------
    kind : str
        VR, or kind of `SPECIAL`.

    Returns
    -------
    int
    """
    return MAX_NAMING if kind in ("SQ", LABELS) else MAX_TEXT


@functools.cache
def standard_texts() -> dict[int, str]:
    """Return the VR of each tag of PS3.6 for which it is in `TEXT_VRS`, and of Specific Character Set (0008,0005).

    Those of curves and overlays are repeated in 16 groups (PS3.5 7.6).
    """
    from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary

    texts = {tag: row[0] for tag, row in DicomDictionary.items() if row[0] in TEXT_VRS or tag == CHARACTER_SET}
    for mask, row in RepeatersDictionary.items():
        if row[0] in TEXT_VRS and mask[2:4] == "xx":
            texts |= {int(mask.replace("xx", f"{group:02x}"), 16): row[0] for group in range(0, 32, 2)}
    return texts
