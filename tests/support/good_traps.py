"""Good files: they must be extracted exactly, and have a canary in every element that can hold text."""

from __future__ import annotations

import dataclasses
import os
import struct
from functools import cache

import numpy as np
from canaries import DATES, ROOT, STAMP, TIME, WORD
from made_up_headers import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    encode,
    image,
    number,
    text,
)
from made_up_pixels import DICOM, encapsulate, even, picture
from pydicom.datadict import DicomDictionary
from reference_cases import Case, encoded
from traps import (
    FINE,
    PIXEL_DATA,
    Traps,
    compressed_elements,
    deflated,
    described,
    reference,
)

from dicomzarr.headers.attributes import WANTED
from dicomzarr.system.path_text import encode_path

TEXTS = frozenset({"AE", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})


@cache
def text_tags() -> tuple[tuple[int, str], ...]:
    """Return tag and VR of each standard element that holds text (PS3.6), except those that the workflow reads."""
    elements = [(tag, row[0]) for tag, row in DicomDictionary.items() if row[0] in TEXTS]
    return tuple(sorted((tag, vr) for tag, vr in elements if 0x00080000 < tag < PIXEL_DATA and tag not in WANTED))


def planted_text(traps: Traps, tag: int, vr: str) -> str:
    """Return a canary that is valid for a VR; a tag has the same canary in every file."""
    number = f"{tag:08X}".translate(str.maketrans("0123456789", "ghijklmnop")).lower()
    if vr == "DA":
        return traps.plant(DATES[tag % len(DATES)])
    if vr == "TM":
        return traps.plant(f"{TIME}{tag % 100:02d}")
    if vr == "DT":
        return traps.plant(f"{STAMP}.{tag % 1000000:06d}")
    if vr == "UI":
        return traps.plant(f"{ROOT}.1.{tag}")
    if vr == "CS":
        return traps.plant(f"{WORD[:8]}{number[:8]}".upper())
    if vr == "AE":
        return traps.plant(f"{WORD[:8]}{number[:8]}")
    return traps.plant(f"http://{WORD}{number}.example/" if vr == "UR" else f"{WORD}{number}")


def text_elements(traps: Traps) -> list[Element]:
    """Return elements that hold text: each standard one, private ones, overlay, curve, icon, and a nested item."""
    elements = {tag: text(tag, vr, planted_text(traps, tag, vr)) for tag, vr in text_tags()}
    private = traps.word("private")
    icon = (number(0x00280010, 2), number(0x00280011, 2), Element(PIXEL_DATA, "OB", traps.word("icon!").encode() * 2))
    nested = (text(0x00100010, "PN", traps.word("nested")), text(0x00104000, "LT", traps.word("nested")))
    extra = [
        text(0x00090010, "LO", private),
        Element(0x00091001, "UN", even(traps.word("blob").encode())),
        text(0x00091002, "LO", traps.word("private")),
        Element(0x00400275, "SQ", (nested,)),
        Element(0x00880200, "SQ", (icon,)),
        Element(0x50003000, "OW", even(traps.word("curve").encode())),
        number(0x60000010, 8),
        number(0x60000011, 8),
        text(0x60000022, "LO", traps.word("overlay")),
        text(0x60001500, "LO", traps.word("overlay")),
        Element(0x60003000, "OW", even(traps.word("overlay").encode())),
    ]
    return list((elements | {element.tag: element for element in extra}).values())


def preamble(traps: Traps) -> bytes:
    return traps.word("preamble").encode().ljust(128, b".") + b"DICM"


def whole_file(traps: Traps, elements: list[Element], syntax: str = EXPLICIT, uid: str = "") -> bytes:
    """Return a file with canaries in the preamble, the file meta information, the data set and the trailing padding."""
    meta_elements = [
        text(0x00020002, "UI", CT),
        text(0x00020003, "UI", traps.uid()),
        text(0x00020010, "UI", uid or syntax),
        text(0x00020016, "AE", traps.plant(f"{WORD[:8]}AE{traps.count}")),
        text(0x00020100, "UI", traps.uid()),
        Element(0x00020102, "OB", even(traps.word("meta").encode())),
    ]
    group = encode(meta_elements, EXPLICIT)
    start = preamble(traps) + Element(0x00020000, "UL", struct.pack("<I", len(group))).encode(EXPLICIT) + group
    present = {element.tag for element in elements}
    elements = sorted([*elements, *(e for e in text_elements(traps) if e.tag not in present)], key=lambda e: e.tag)
    body = encode(elements, syntax)
    body += Element(0xFFFCFFFC, "OB", even(traps.word("padding").encode())).encode(syntax)
    if uid == DEFLATED:
        return start + deflated(body)
    return start + body


def with_comments(traps: Traps, case: Case) -> bytes:
    """Return the stream of a case with canaries in a comment and an EXIF segment, if its format has them."""
    data = encoded(case)
    comment, exif = traps.word("com").encode(), b"Exif\0\0" + traps.word("exif").encode()
    if data.startswith(b"\xff\xd8"):
        segments = b"".join(
            struct.pack(">HH", marker, 2 + len(body)) + body for marker, body in ((0xFFE1, exif), (0xFFFE, comment))
        )
        return data[:2] + segments + data[2:]
    if data.startswith(b"\xff\x4f\xff\x51"):
        behind = 4 + int.from_bytes(data[4:6], "big")
        return data[:behind] + struct.pack(">HHH", 0xFF64, 4 + len(comment), 1) + comment + data[behind:]
    return data


GOOD_STREAMS = (
    *("rle 8 grey", "rle 16 grey", "rle 8 rgb", "rle 16 signed", "lossless jpeg 8 predictor 1"),
    *("lossless jpeg 12 predictor 1", "lossless jpeg 16 predictor 1", "lossless jpeg 12 predictor 4"),
    *("lossless jpeg 8 rgb", "jpeg-ls 8", "jpeg-ls 16", "jpeg-ls rgb", "jpeg 2000 8 unsigned", "jpeg 2000 16 signed"),
    *("jpeg 2000 rgb by rct", "htj2k 16 unsigned", "htj2k 8 signed", "jpeg xl 8", "jpeg xl 16", "deflated 16"),
    *("uncompressed 8", "uncompressed 16"),
)


def good_files(traps: Traps) -> None:
    folder = f"good {WORD} Wolf, Anna *{DATES[0]}"
    for index, name in enumerate(GOOD_STREAMS):
        case = reference(name)
        elements = compressed_elements(traps, case, encapsulate([with_comments(traps, case)]))
        path = f"{folder}/{traps.word()} {index}.dcm"
        traps.put(path, whole_file(traps, elements, uid=f"{DICOM}{case.syntax}"), FINE)
        traps.voxels[encode_path(os.fsencode(path))] = case.array
    natives = [(syntax, bits) for syntax in (EXPLICIT, IMPLICIT, BIG, DEFLATED) for bits in (8, 16)] + [(EXPLICIT, 32)]
    for index, (syntax, bits) in enumerate(natives):
        array = picture(bits, rows=20, columns=30)
        wire = EXPLICIT if syntax == DEFLATED else syntax
        raw = array.astype(array.dtype.newbyteorder(">" if wire == BIG and bits > 8 else "<")).tobytes()
        pixels = Element(PIXEL_DATA, "OB" if bits == 8 and wire != BIG else "OW", even(raw))
        if wire == BIG and bits == 8:  # bytes in words: swapped in pairs
            pixels = Element(PIXEL_DATA, "OW", np.frombuffer(raw, "<u2").byteswap().tobytes())
        elements = image(wire, **traps.identity(**_in_order(described(array, bits), wire), PixelData=pixels))
        path = f"{folder}/native/{traps.word()} {index}"
        traps.put(path, whole_file(traps, elements, wire, syntax), FINE)
        traps.voxels[encode_path(os.fsencode(path))] = array


def _in_order(elements: dict[str, Element | None], syntax: str) -> dict[str, Element | None]:
    """Return number elements in the byte order of a syntax."""
    if syntax != BIG:
        return elements
    return {
        name: dataclasses.replace(element, value=element.value[::-1]) if element and element.vr == "US" else element
        for name, element in elements.items()
    }
