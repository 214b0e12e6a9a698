"""A source folder full of traps: broken, hostile and good files, with canaries wherever a text can hide.

Deterministic; nothing is taken from the network. Each path has its expected outcome and the reasons that fit it, each
good file its voxels. Every canary holds one of `MARKS`, so that a scan for those finds each of them.
"""

from __future__ import annotations

import dataclasses
import os
import re
import socket
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from made_up_headers import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    encode,
    file,
    head,
    image,
    meta,
    number,
    text,
)
from made_up_pixels import DELIMITER, DICOM, encapsulate, even, item, picture
from pydicom.datadict import DicomDictionary
from reference_cases import CASES, Case, encoded

from dicomzarr.headers.attributes import WANTED
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.reasons import REASONS

WORD = "Qzxwvkcanary"
ROOT = "1.2.826.0.1.3680043.90210.77"
TIME, STAMP = "071539.4711", "18370203071539"
DATES = [f"1837020{day}" for day in range(3, 9)]
MARKS = (WORD[:8], ROOT, TIME, STAMP, *DATES)
TEXTS = frozenset({"AE", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
PIXEL_DATA = 0x7FE00010
PWNED = "pwned"  # a file of this name appears where something planted was run

# What fits, by kind of damage; a set of reasons, among them "" for a file that is extracted after all.
HEADER = frozenset({"unreadable_header", "truncated_header", "not_dicom", "too_large"})
ATTRIBUTE = frozenset({"invalid_attribute", "missing_attribute", "unsupported_pixel_layout", "unreadable_header"})
SIZE = frozenset({"too_large", "truncated_pixel_data", "frame_count_mismatch", "frame_size_mismatch"})
STREAM = frozenset(
    {"decode_error", "decoder_died", "bad_encapsulation", "frame_count_mismatch", "frame_size_mismatch"}
) | {"truncated_pixel_data", "unsupported_pixel_layout", "too_large"}
ANY = HEADER | ATTRIBUTE | SIZE | STREAM | {"missing_pixel_data", "unsupported_transfer_syntax", "no_pixel_data"}
FINE = frozenset({""})


@dataclasses.dataclass
class Traps:
    """What was written.

    Attributes
    ----------
    expected : dict
        Percent-encoded path to the reasons that fit; "" is extracted.
    voxels : dict
        Percent-encoded path to the one frame, for good files.
    canaries : set of str
        All texts planted.
    """

    source: Path
    expected: dict[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    voxels: dict[str, Any] = dataclasses.field(default_factory=dict)
    canaries: set[str] = dataclasses.field(default_factory=set)
    made: int = 0

    @property
    def hostile(self) -> int:
        return len(self.expected) - len(self.voxels)

    def word(self, what: str = "") -> str:
        """Return a canary that was not used before."""
        self.made += 1
        return self.keep(f"{WORD}{what}{self.made}")

    def uid(self) -> str:
        self.made += 1
        return self.keep(f"{ROOT}.{self.made}")

    def keep(self, canary: str) -> str:
        self.canaries.add(canary)
        return canary

    def put(self, name: str | bytes, content: bytes, reasons: Iterable[str]) -> Path:
        """Write a file; a reason may be a code, or "" where extraction is right."""
        raw = os.fsencode(name)
        path = os.path.join(os.fsencode(self.source), raw)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "xb") as stream:
            stream.write(content)
        self.expect(raw, reasons)
        return Path(os.fsdecode(path))

    def expect(self, name: str | bytes, reasons: Iterable[str]) -> None:
        reasons = frozenset(reasons)
        assert reasons <= {*REASONS, ""}, reasons
        self.expected[encode_path(os.fsencode(name))] = reasons

    def identity(self, **changes: Element | None) -> dict[str, Element | None]:
        """Return elements of one instance of a series of its own, full of canaries."""
        return {
            "SpecificCharacterSet": text(0x00080005, "CS", "ISO_IR 100"),
            "SOPInstanceUID": text(0x00080018, "UI", self.uid()),
            "StudyDate": text(0x00080020, "DA", DATES[self.made % len(DATES)]),
            "InstitutionName": text(0x00080080, "LO", self.word("Hospital")),
            "PatientName": text(0x00100010, "PN", f"{self.word()}^{self.word()}"),
            "PatientID": text(0x00100020, "LO", self.word("ID")),
            "StudyInstanceUID": text(0x0020000D, "UI", self.uid()),
            "SeriesInstanceUID": text(0x0020000E, "UI", self.uid()),
            "ImageComments": text(0x00204000, "LT", self.word("comment")),
            **changes,
        }

    def bad(self, name: str, reasons: Iterable[str], syntax: str = EXPLICIT, **changes: Element | None) -> None:
        """Write an otherwise plain image with elements replaced, added or (None) dropped."""
        self.put(f"bad {WORD}/{name}", file(image(syntax, **self.identity(**changes)), syntax), reasons)

    def compressed(
        self, name: str, content: bytes, reasons: Iterable[str], case: Case | None = None, **changes: Element | None
    ) -> None:
        """Write an image of a case's transfer syntax whose pixel data is `content`, a whole encapsulation."""
        case = case or reference("rle 16 grey")
        elements = compressed_elements(self, case, content, **changes)
        self.put(f"bad {WORD}/{name}", meta(f"{DICOM}{case.syntax}") + encode(elements, EXPLICIT), reasons)


def reference(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def undefined(content: bytes) -> Element:
    """Return Pixel Data of undefined length; `content` brings its own delimiter."""
    return Element(PIXEL_DATA, "OB", content, length=0xFFFFFFFF)


def described(array: Any, bits: int) -> dict[str, Element | None]:
    """Return the image pixel elements of an array of one frame."""
    size = 8 * array.dtype.itemsize
    colour = array.ndim == 3
    return {
        "SamplesPerPixel": number(0x00280002, 3 if colour else 1),
        "PhotometricInterpretation": text(0x00280004, "CS", "RGB" if colour else "MONOCHROME2"),
        **({"PlanarConfiguration": number(0x00280006, 0)} if colour else {}),
        "Rows": number(0x00280010, array.shape[0]),
        "Columns": number(0x00280011, array.shape[1]),
        "BitsAllocated": number(0x00280100, size),
        "BitsStored": number(0x00280101, bits),
        "HighBit": number(0x00280102, bits - 1),
        "PixelRepresentation": number(0x00280103, int(array.dtype.kind == "i")),
    }


def compressed_elements(traps: Traps, case: Case, content: bytes, **changes: Element | None) -> list[Element]:
    more: dict[str, Element | None] = {}
    for keyword, value in case.header:
        assert keyword == "PhotometricInterpretation"
        more[keyword] = text(0x00280004, "CS", value)
    pixels = described(case.array, case.bits) | more | {"PixelData": undefined(content)}
    return image(**traps.identity(**(pixels | changes)))


# --- good files -----------------------------------------------------------------------------------------------------


@cache
def text_tags() -> tuple[tuple[int, str], ...]:
    """Return tag and VR of each standard element that holds text (PS3.6), but those that the flow reads."""
    found = [(tag, row[0]) for tag, row in DicomDictionary.items() if row[0] in TEXTS]
    return tuple(sorted((tag, vr) for tag, vr in found if 0x00080000 < tag < PIXEL_DATA and tag not in WANTED))


def planted_text(traps: Traps, tag: int, vr: str) -> str:
    """Return a canary of the form that a VR asks for; the same for a tag in every file."""
    number = f"{tag:08X}".translate(str.maketrans("0123456789", "ghijklmnop")).lower()
    if vr == "DA":
        return traps.keep(DATES[tag % len(DATES)])
    if vr == "TM":
        return traps.keep(f"{TIME}{tag % 100:02d}")
    if vr == "DT":
        return traps.keep(f"{STAMP}.{tag % 1000000:06d}")
    if vr == "UI":
        return traps.keep(f"{ROOT}.1.{tag}")
    if vr == "CS":
        return traps.keep(f"{WORD[:8]}{number[:8]}".upper())
    if vr == "AE":
        return traps.keep(f"{WORD[:8]}{number[:8]}")
    return traps.keep(f"http://{WORD}{number}.example/" if vr == "UR" else f"{WORD}{number}")


def everywhere(traps: Traps) -> list[Element]:
    """Return elements that hold text: each standard one, private ones, overlay, curve, icon, and a nested item."""
    found = {tag: text(tag, vr, planted_text(traps, tag, vr)) for tag, vr in text_tags()}
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
    return list((found | {element.tag: element for element in extra}).values())


def preamble(traps: Traps) -> bytes:
    return traps.word("preamble").encode().ljust(128, b".") + b"DICM"


def whole_file(traps: Traps, elements: list[Element], syntax: str = EXPLICIT, uid: str = "") -> bytes:
    """Return a file with text in preamble, meta information, trailing padding and behind the end."""
    said = [
        text(0x00020002, "UI", CT),
        text(0x00020003, "UI", traps.uid()),
        text(0x00020010, "UI", uid or syntax),
        text(0x00020016, "AE", traps.keep(f"{WORD[:8]}AE{traps.made}")),
        text(0x00020100, "UI", traps.uid()),
        Element(0x00020102, "OB", even(traps.word("meta").encode())),
    ]
    group = encode(said, EXPLICIT)
    start = preamble(traps) + Element(0x00020000, "UL", struct.pack("<I", len(group))).encode(EXPLICIT) + group
    seen = {element.tag for element in elements}
    elements = sorted([*elements, *(e for e in everywhere(traps) if e.tag not in seen)], key=lambda e: e.tag)
    body = encode(elements, syntax)
    body += Element(0xFFFCFFFC, "OB", even(traps.word("padding").encode())).encode(syntax)
    if uid == DEFLATED:
        return start + deflated(body)
    return start + body


def deflated(body: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return even(squeeze.compress(body) + squeeze.flush())


def with_comments(traps: Traps, case: Case) -> bytes:
    """Return a case's stream with text in a comment and an EXIF segment, where its format has such."""
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


# --- hostile headers ------------------------------------------------------------------------------------------------


def cut_files(traps: Traps) -> None:
    plain = file(image(**traps.identity()))
    for share in range(0, 64):
        length = len(plain) * share // 64
        traps.put(f"cut/native {share:02d}", plain[:length], HEADER | {"empty_file", "truncated_pixel_data"})
    case = reference("jpeg-ls 16")
    whole = meta(f"{DICOM}{case.syntax}") + encode(
        compressed_elements(traps, case, encapsulate([encoded(case)])), EXPLICIT
    )
    start = len(whole) - len(encoded(case))
    for share in range(16):
        length = start + (len(whole) - start - 9) * share // 16
        traps.put(f"cut/{WORD} compressed {share:02d}", whole[:length], STREAM)
    traps.put("cut/magic", bytes(128) + b"DICM", {"truncated_header"})
    traps.put("cut/magic only", b"DICM", {"not_dicom"})
    traps.put("cut/preamble", bytes(128), {"not_dicom"})
    traps.put("cut/almost", bytes(128) + b"DIC", {"not_dicom"})
    traps.put("cut/empty", b"", {"empty_file"})
    traps.put("cut/zeros", bytes(100_000), {"not_dicom"})
    traps.put("cut/ones", b"\xff" * 100_000, {"not_dicom"})


def absurd_numbers(traps: Traps) -> None:
    tags = {
        "Rows": 0x00280010,
        "Columns": 0x00280011,
        "BitsAllocated": 0x00280100,
        "BitsStored": 0x00280101,
        "HighBit": 0x00280102,
        "SamplesPerPixel": 0x00280002,
        "PixelRepresentation": 0x00280103,
    }
    wrong = ATTRIBUTE | SIZE
    for name, tag in tags.items():
        fits = wrong | FINE if name in ("HighBit", "SamplesPerPixel") else wrong  # which may be assumed
        for value in (2, 65535) if name == "PixelRepresentation" else (0, 65535):
            traps.bad(f"{name} {value}", fits, **{name: number(tag, value)})
        traps.bad(f"{name} negative", wrong, **{name: number(tag, -5, vr="SS")})
        traps.bad(f"{name} as text", wrong, **{name: text(tag, "LO", f"%s{WORD}")})
        traps.bad(f"{name} as a sequence", wrong, **{name: Element(tag, "SQ", ((text(0x00100010, "PN", WORD),),))})
        traps.bad(f"{name} of one byte", wrong, **{name: Element(tag, "US", b"\x04", length=1)})
        traps.bad(f"{name} empty", fits, **{name: Element(tag, "US", b"")})
        traps.bad(f"{name} missing", fits, **{name: None})
    for bits in (0, 7, 13, 255):
        traps.bad(f"bits {bits}", ATTRIBUTE | SIZE, BitsAllocated=number(tags["BitsAllocated"], bits))
    counts = ("0", "-3", "99999999999", "1e9", "2147483647", "1\\2", "abc", "NaN", "9" * 24, "2")
    for index, value in enumerate(counts):
        fits = wrong | FINE if value == "1\\2" else wrong
        traps.bad(f"frames {index}", fits, NumberOfFrames=text(0x00280008, "IS", value))
    whole = encapsulate([encoded(reference("rle 16 grey"))])
    for index, value in enumerate(("65535", "4294967295", "0", "-1")):
        frames = text(0x00280008, "IS", value)
        traps.compressed(f"compressed frames {index}", whole, wrong | STREAM, NumberOfFrames=frames)


def contradictions(traps: Traps) -> None:
    for photometric, samples in (
        ("RGB", 1),
        ("MONOCHROME2", 3),
        ("PALETTE COLOR", 3),
        ("YBR_FULL", 4),
        ("CMYK", 3),
        ("ARGB", 2),
    ):
        changes = {
            "PhotometricInterpretation": text(0x00280004, "CS", photometric),
            "SamplesPerPixel": number(0x00280002, samples),
        }
        traps.bad(f"{photometric} of {samples}", ATTRIBUTE | SIZE, **changes)
    odd = traps.word("photometric").upper()
    traps.bad("unknown photometric", ATTRIBUTE | SIZE | FINE, PhotometricInterpretation=text(0x00280004, "CS", odd))
    for value in ("NaN", "inf", "-1e400", "1e-320", "0", "abc", "1,5"):
        traps.bad(f"position {value}", ATTRIBUTE | FINE, ImagePositionPatient=text(0x00200032, "DS", f"{value}\\2\\3"))
        traps.bad(f"spacing {value}", ATTRIBUTE | FINE, PixelSpacing=text(0x00280030, "DS", f"{value}\\1"))
        traps.bad(f"slope {value}", ATTRIBUTE | FINE, RescaleSlope=text(0x00281053, "DS", value))
    traps.bad(
        "orientation of zeros", ATTRIBUTE | FINE, ImageOrientationPatient=text(0x00200037, "DS", "0\\0\\0\\0\\0\\0")
    )
    floats = np.array([np.nan, np.inf, -np.inf, 1.5] * 6, "<f4")
    traps.bad(
        "floats",
        FINE,
        PixelData=Element(0x7FE00008, "OF", floats.tobytes()),
        BitsAllocated=number(0x00280100, 32),
        BitsStored=None,
        HighBit=None,
        PixelRepresentation=None,
    )
    for name, value in (
        ("path", "../../x"),
        ("absolute", "/etc/passwd"),
        ("shell", f"$(touch {PWNED})`touch {PWNED}`;touch {PWNED}"),
        ("format", "%s%n{0}{batch}%(x)s"),
        ("newline", "1.2\n3"),
        ("escape", "\x1b[2J\x1b]0;x\x07"),
        ("long", "1." * 500),
        ("nul", "1.2\0\x003"),
        ("empty", ""),
        ("word", WORD),
    ):
        for keyword, tag in (
            ("SOPInstanceUID", 0x00080018),
            ("SeriesInstanceUID", 0x0020000E),
            ("PatientID", 0x00100020),
        ):
            traps.bad(
                f"{keyword} {name}", ATTRIBUTE | FINE, **{keyword: text(tag, "UI" if "UID" in keyword else "LO", value)}
            )
    for charset in ("ISO_IR 999", "..\\..", "$(id)", "utf-7", WORD.upper(), "ISO 2022 IR 87\\ISO_IR 192"):
        traps.bad(
            f"character set {charset.replace('/', '')}", FINE, SpecificCharacterSet=text(0x00080005, "CS", charset)
        )


def broken_structure(traps: Traps) -> None:
    item_start, nothing = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF), head(0x00081140, "SQ", 0xFFFFFFFF, EXPLICIT)

    def plain() -> list[Element]:
        return image(**traps.identity())

    def early_and_late() -> tuple[bytes, bytes]:
        elements = plain()
        early = encode([e for e in elements if e.tag < 0x00081140], EXPLICIT)
        return early, encode([e for e in elements if e.tag > 0x00081140], EXPLICIT)

    def within(name: str, middle: bytes, reasons: Iterable[str], syntax: str = EXPLICIT) -> None:
        traps.put(f"bad {WORD}/{name}", meta(syntax) + middle.join(early_and_late()), reasons)

    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    within("20000 nested", (nothing + item_start) * 20_000 + end * 20_000, HEADER | ATTRIBUTE | FINE)
    within("20000 nested, never ended", (nothing + item_start) * 20_000, HEADER | ATTRIBUTE | {"no_pixel_data"})
    nested = b""
    for _ in range(2000):
        nested = head(0x00081140, "SQ", len(nested) + 8, EXPLICIT) + item(nested)
    within("2000 nested of known length", nested, FINE)
    implicit = (struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + item_start) * 20_000
    traps.put(f"bad {WORD}/20000 nested, implicit", meta(IMPLICIT) + implicit, HEADER | ATTRIBUTE | {"no_pixel_data"})
    within("sequence never ended", nothing + item_start, HEADER | ATTRIBUTE | {"no_pixel_data"})
    within("text of undefined length", head(0x00081140, "UT", 0xFFFFFFFF, EXPLICIT), HEADER | ATTRIBUTE | FINE)
    within(
        "unknown of undefined length",
        head(0x00081140, "UN", 0xFFFFFFFF, EXPLICIT),
        HEADER | ATTRIBUTE | {"no_pixel_data"},
    )
    within("longer than the file", head(0x00081140, "UT", 0xFFFFFFFE, EXPLICIT), HEADER)
    within("odd length", head(0x00081140, "LO", 7, EXPLICIT) + b"odd one", HEADER | FINE)
    within("unknown VR", struct.pack("<HH2sH", 0x0008, 0x1140, b"QQ", 4) + b"abcd", HEADER | FINE)
    within("binary VR", struct.pack("<HH2sH", 0x0008, 0x1140, b"\0\0", 4) + b"abcd", HEADER | ATTRIBUTE | FINE)
    within(
        "stray delimiter",
        struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        HEADER | ATTRIBUTE | {"no_pixel_data", "missing_pixel_data"},
    )
    within("stray item", item(b"abcd"), HEADER | ATTRIBUTE | {"no_pixel_data", "missing_pixel_data"})
    many = b"".join(head(0x00090000 + n, "UN", 0, EXPLICIT) for n in range(0x1000, 0xF000))
    within("50000 empty elements", many, FINE)
    within("much text", Element(0x00081140, "UT", traps.word().encode() * 50_000).encode(EXPLICIT), FINE)
    traps.put(
        f"bad {WORD}/unordered", meta() + encode(plain()[::-1], EXPLICIT), HEADER | ATTRIBUTE | FINE | {"no_pixel_data"}
    )
    elements = plain()
    shuffled = [elements[i] for i in np.random.default_rng(1).permutation(len(elements) - 1)] + elements[-1:]
    traps.put(f"bad {WORD}/shuffled", meta() + encode(shuffled, EXPLICIT), HEADER | FINE)
    elements = plain()
    twice = [*elements[:-1], number(0x00280010, 8), elements[-1]]
    traps.put(f"bad {WORD}/Rows twice", meta() + encode(twice, EXPLICIT), HEADER | ATTRIBUTE)
    elements = plain()
    same = [*elements[:-1], elements[-2], elements[-1]]
    traps.put(f"bad {WORD}/the same twice", meta() + encode(same, EXPLICIT), HEADER | FINE)
    elements = plain()
    short = dataclasses.replace(elements[-1], length=0xFFFFFFFE)
    traps.put(
        f"bad {WORD}/pixels longer than the file", meta() + encode([*elements[:-1], short], EXPLICIT), FINE | SIZE
    )
    traps.put(
        f"bad {WORD}/pixels as text",
        meta() + encode([*plain()[:-1], Element(PIXEL_DATA, "UT", bytes(48))], EXPLICIT),
        ATTRIBUTE,
    )
    as_items = Element(PIXEL_DATA, "SQ", ((text(0x00100010, "PN", WORD),),))
    traps.put(
        f"bad {WORD}/pixels as a sequence", meta() + encode([*plain()[:-1], as_items], EXPLICIT), ATTRIBUTE | SIZE
    )
    traps.put(f"bad {WORD}/no pixels", meta() + encode(plain()[:-1], EXPLICIT), {"missing_pixel_data"})
    broken_meta = meta().replace(b"\x02\x00\x10\x00UI", b"\x02\x00\x10\x00\xff\xff")
    traps.put(f"bad {WORD}/meta", broken_meta + encode(plain(), EXPLICIT), HEADER | FINE)


def wrong_syntaxes(traps: Traps) -> None:
    for name, declared in (
        ("implicit", IMPLICIT),
        ("big", BIG),
        ("deflated", DEFLATED),
        ("jpeg", f"{DICOM}.4.50"),
        ("jpeg 2000", f"{DICOM}.4.90"),
        ("rle", f"{DICOM}.5"),
        ("mpeg", f"{DICOM}.4.100"),
        ("unknown", f"{ROOT}.99"),
        ("path", "../../x"),
        ("format", "%s%n"),
        ("long", "1." * 300),
    ):
        fits = HEADER | STREAM | {"unsupported_transfer_syntax"} | (FINE if name in ("implicit", "big") else set())
        traps.put(f"bad {WORD}/declared {name}", meta(declared) + encode(image(**traps.identity()), EXPLICIT), fits)
    for stream, declared in (
        ("jpeg-ls 16", "jpeg 2000 16 unsigned"),
        ("jpeg 2000 16 unsigned", "jpeg-ls 16"),
        ("jpeg-ls 16", "lossless jpeg 16 predictor 1"),
        ("jpeg xl 16", "rle 16 grey"),
        ("rle 16 grey", "jpeg xl 16"),
        ("lossless jpeg 16 predictor 1", "htj2k 16 unsigned"),
    ):
        traps.compressed(
            f"{stream} as {declared}", encapsulate([encoded(reference(stream))]), STREAM, reference(declared)
        )


# --- hostile pixels -------------------------------------------------------------------------------------------------


def bombs(traps: Traps) -> None:
    body = encode(image(**traps.identity()), EXPLICIT)
    bomb = deflated(encode(image(**traps.identity()), EXPLICIT)[:-48] + bytes(400 << 20))
    traps.put(f"bad {WORD}/deflate bomb", meta(DEFLATED) + bomb, {"too_large"})
    header_bomb = Element(0x00081140, "UT", bytes(300 << 20)).encode(EXPLICIT)
    traps.put(f"bad {WORD}/deflate bomb in the header", meta(DEFLATED) + deflated(header_bomb + body), {"too_large"})
    traps.put(f"bad {WORD}/deflate cut", meta(DEFLATED) + deflated(body)[:40], HEADER | SIZE)
    traps.put(f"bad {WORD}/deflate broken", meta(DEFLATED) + b"\xff" * 500, HEADER)
    for name, (rows, columns, bits) in {
        "wide": (65535, 65535, 16),
        "deep": (65535, 65535, 32),
        "large": (20000, 20000, 8),
    }.items():
        size = {
            "Rows": number(0x00280010, rows),
            "Columns": number(0x00280011, columns),
            "BitsAllocated": number(0x00280100, bits),
            "BitsStored": number(0x00280101, bits),
            "HighBit": number(0x00280102, bits - 1),
        }
        traps.bad(f"{name} of nothing", SIZE, **size)
        segments = bits // 8
        offsets = [64 + 2 * n for n in range(segments)] + [0] * (15 - segments)
        small = struct.pack("<16I", segments, *offsets) + b"\x81\x00" * segments
        traps.compressed(f"{name} rle of nothing", encapsulate([small]), STREAM, **size)
    case = reference("rle 16 grey")
    runs = b"\x81\xff" * (4 << 20)
    expanding = struct.pack("<16I", 2, 64, 64 + len(runs), *[0] * 13) + runs * 2
    traps.compressed("rle that expands", encapsulate([expanding]), STREAM, case)
    for name, header in {
        "segments 0": [0, 64],
        "segments 15": [15, *range(64, 64 + 15)],
        "segments many": [0xFFFFFFFF, 64],
        "offsets beyond": [2, 64, 0x7FFFFFFF],
        "offsets backward": [2, 5000, 64],
        "offsets inside": [2, 0, 4],
    }.items():
        lying = struct.pack("<16I", *(header + [0] * 16)[:16]) + encoded(case)[64:]
        traps.compressed(f"rle {name}", encapsulate([lying]), STREAM, case)
    for name, marker in (
        ("lossless jpeg 16 predictor 1", b"\xff\xc3"),
        ("jpeg-ls 16", b"\xff\xf7"),
        ("jpeg 8", b"\xff\xc0"),
    ):
        stream = bytearray(encoded(reference(name)))
        place = stream.index(marker) + 5
        stream[place : place + 4] = b"\xff\xff\xff\xff"
        traps.compressed(f"{name} of 65535", encapsulate([bytes(stream)]), STREAM, reference(name))
        traps.compressed(
            f"{name} of 65535, as the header says",
            encapsulate([bytes(stream)]),
            STREAM,
            reference(name),
            Rows=number(0x00280010, 65535),
            Columns=number(0x00280011, 65535),
        )
    for name in ("jpeg 2000 16 unsigned", "htj2k 16 unsigned"):
        for what, place, value in (
            ("image", 8, b"\x7f\xff\xff\xff"),
            ("tile", 24, b"\0\0\0\1\0\0\0\1"),
            ("components", 40, b"\x40\x00"),
        ):
            stream = bytearray(encoded(reference(name)))
            stream[place : place + len(value)] = value
            traps.compressed(f"{name} {what}", encapsulate([bytes(stream)]), STREAM, reference(name))


def lying_fragments(traps: Traps) -> None:
    case = reference("rle 16 grey")
    data = encoded(case)
    whole = encapsulate([data])
    table = struct.pack("<2I", 0, 0x7FFFFFF0)
    for name, content, reasons in (
        ("no items", b"", STREAM),
        ("only a delimiter", DELIMITER, STREAM),
        ("only a table", item(b"") + DELIMITER, STREAM),
        ("table beyond", item(table) + item(even(data)) + DELIMITER, STREAM | FINE),
        ("table of three bytes", item(b"abc") + item(even(data)) + DELIMITER, STREAM | FINE),
        ("table longer than the file", item(b"", 0x7FFFFFF0) + item(even(data)) + DELIMITER, STREAM),
        ("fragment longer than the file", item(b"") + item(even(data), 0x7FFFFFF0), STREAM),
        ("fragment of undefined length", item(b"") + item(even(data), 0xFFFFFFFF), STREAM),
        ("fragment a little short", item(b"") + item(even(data), len(data) - 20), STREAM),
        ("no delimiter", whole[:-8], STREAM | FINE),
        ("no delimiter, rubbish behind", whole[:-8] + b"rubbish!" * 9, STREAM | FINE),
        ("two frames", encapsulate([data, data]), STREAM),
        ("cut in 300", encapsulate([data[i : i + 20] for i in range(0, len(data), 20)]), STREAM | FINE),
        ("2000 empty", item(b"") + item(b"") * 2000 + item(even(data)) + DELIMITER, STREAM | FINE),
        ("empty frame", encapsulate([b""]), STREAM),
        ("not items at all", b"rubbish!" * 100, STREAM),
    ):
        traps.compressed(f"fragments, {name}", content, reasons, case)
    for name in (
        "rle 16 grey",
        "lossless jpeg 16 predictor 1",
        "jpeg-ls 16",
        "jpeg 2000 16 unsigned",
        "htj2k 16 unsigned",
        "jpeg xl 16",
        "deflated 16",
        "jpeg 12",
    ):
        stream = encoded(reference(name))
        traps.compressed(f"{name}, half", encapsulate([stream[: len(stream) // 2]]), STREAM, reference(name))
        traps.compressed(f"{name}, zeros", encapsulate([bytes(len(stream))]), STREAM, reference(name))
        traps.compressed(
            f"{name}, head and zeros", encapsulate([stream[:60] + bytes(len(stream))]), STREAM | FINE, reference(name)
        )


def lying_tables(traps: Traps) -> None:
    palette = {"PhotometricInterpretation": text(0x00280004, "CS", "PALETTE COLOR")}
    for name, descriptor, size in (
        ("empty", (0, 0, 16), 0),
        ("longer", (0, 0, 16), 512),
        ("odd bits", (256, 0, 7), 512),
        ("first", (4, 65535, 16), 8),
    ):
        tables = {
            f"{colour}{kind}": Element(tag, vr, value)
            for colour, low in (("Red", 1), ("Green", 2), ("Blue", 3))
            for kind, tag, vr, value in (
                ("Descriptor", 0x00281100 + low, "US", struct.pack("<3H", *descriptor)),
                ("Data", 0x00281200 + low, "OW", bytes(size)),
            )
        }
        traps.bad(f"palette {name}", ATTRIBUTE | SIZE | FINE, **palette, **tables)
    lut = (Element(0x00283002, "US", struct.pack("<3H", 0, 0, 16)), Element(0x00283006, "OW", b"\1\2"))
    traps.bad("modality LUT", ATTRIBUTE | SIZE | FINE, ModalityLUTSequence=Element(0x00283000, "SQ", (lut,)))
    frames = text(0x00280008, "IS", "2")
    pixels = Element(PIXEL_DATA, "OW", bytes(96))
    empty: tuple[tuple[Element, ...], ...] = ((),)
    for name, groups in {
        "empty": empty * 2,
        "too few": empty,
        "too many": empty * 50,
        "of rubbish": ((text(0x00209113, "SQ", "rubbish!"),), ()),
        "of words": ((Element(0x00209113, "SQ", ((text(0x00200032, "DS", f"a\\b\\{WORD}"),),)),), ()),
    }.items():
        traps.bad(
            f"functional groups {name}",
            ANY | FINE,
            NumberOfFrames=frames,
            PixelData=pixels,
            PerFrame=Element(0x52009230, "SQ", groups),
        )


# --- names, kinds of entry, other files -----------------------------------------------------------------------------


ODD_NAMES = (
    *(f"new\nline {WORD}", f"quote' \" {WORD}", f"$(touch {PWNED})", f"`touch {PWNED}`", f"; touch {PWNED};"),
    *(f"-rf {WORD}", "--help", f"\x1b[31m{WORD}\x1b[0m", b"invalid \xff\xfe " + WORD.encode(), WORD + "n" * 243),
    *(
        "{batch}",
        "{0}",
        "%s%n",
        "*",
        "?",
        "[a-z]",
        "~",
        "...",
        " ",
        "\t",
        "a=b",
        "@x",
        "+x",
        "%41",
        "\\",
        "a\\nb",
        "C:",
    ),
    *(unicodedata.normalize(form, f"Müller {WORD}") for form in ("NFC", "NFD")),
    *("\u202etxt.dcm", "\u2028", "\U0001f600", "con", "NUL.dcm", "a,b;c", "<script>alert(1)</script>", "&amp;", "#"),
)


def odd_names(traps: Traps) -> None:
    for index, name in enumerate(ODD_NAMES):
        raw = os.fsencode(name)
        if index % 2:
            traps.put(b"names/" + raw, WORD.encode() * 3, {"not_dicom"})
        else:
            traps.put(b"names/" + raw + b"/" + raw, file(image(**traps.identity())), FINE)


def other_files(traps: Traps) -> None:
    run = f"import os\nopen(os.path.join(os.getcwd(), {PWNED!r}), 'w')\n"
    for name in ("Snakefile", "sitecustomize.py", "usercustomize.py", "numpy.py", "dicomzarr/__init__.py", "run"):
        traps.put(name, run.encode(), {"not_dicom"})
    traps.put("config.yaml", b"results: /tmp/elsewhere\nburned_in: skip\n", {"not_dicom"})
    traps.put("profiles/default/config.yaml", f"shell-exec: touch {PWNED}\n".encode(), {"not_dicom"})
    directory = [text(0x00041130, "CS", "SET"), Element(0x00041220, "SQ", ((text(0x00041500, "CS", "..\\..\\ETC"),),))]
    raw = meta(EXPLICIT, "1.2.840.10008.1.3.10") + encode(directory, EXPLICIT)
    traps.put("DICOMDIR", raw, {"dicomdir"})
    for kind, uid in (
        ("structured_report", "88.11"),
        ("encapsulated_document", "104.1"),
        ("presentation_state", "11.1"),
    ):
        of = text(0x00080016, "UI", f"1.2.840.10008.5.1.4.1.1.{uid}")
        elements = [e for e in image(**traps.identity(SOPClassUID=of)) if e.tag < 0x00280000]
        traps.put(f"other/{kind}", meta() + encode(elements, EXPLICIT), {kind})
    (traps.source / "archives").mkdir()
    with zipfile.ZipFile(traps.source / "archives" / f"{WORD}.zip", "w") as made:
        info = zipfile.ZipInfo("../../x", (1990, 1, 1, 0, 0, 0))
        made.writestr(info, file(image(**traps.identity())))
    traps.expect(f"archives/{WORD}.zip", {"archive"})
    traps.put("archives/gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + zlib.compress(bytes(1000))[2:], {"archive"})
    traps.put("archives/empty zip", b"PK\5\6" + bytes(18), {"archive"})


def entries(traps: Traps, outside: Path) -> None:
    folder = traps.source / "entries"
    folder.mkdir()
    outside.mkdir()
    (outside / f"outside {WORD}.dcm").write_bytes(file(image(**traps.identity())))
    for name, target in {
        "loop": "loop",
        "round a": "round b",
        "round b": "round a",
        "up": "..",
        "out": outside,
        "out of the root": "/",
        "file out": outside / f"outside {WORD}.dcm",
        "dangling": f"nowhere {WORD}",
        "within": "../cut/zeros",
        "proc": "/proc/self/environ",
    }.items():
        (folder / name).symlink_to(target)
        traps.expect(f"entries/{name}", {"symbolic_link"})
    os.mkfifo(folder / "fifo")
    traps.expect("entries/fifo", {"special_file"})
    with socket.socket(socket.AF_UNIX) as bound:  # a path of a socket is short
        handle = os.open(folder, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{handle}/socket")
        os.close(handle)
    traps.expect("entries/socket", {"special_file"})
    plain = file(image(**traps.identity()))
    traps.put("entries/unreadable", plain, {"unreadable_file", ""}).chmod(0)
    for name, mode in (("closed", 0), ("listed only", 0o444)):
        traps.put(f"entries/{name}/file", file(image(**traps.identity())), {"unreadable_file", ""})
        (folder / name).chmod(mode)
    sparse_files(traps)


def sparse_files(traps: Traps) -> None:
    """Two files of 2 GB that take no room on a disk: of nothing, and of one frame that is too large."""
    os.truncate(traps.put("entries/sparse", b"", {"not_dicom"}), 2 << 30)
    size = {"Rows": number(0x00280010, 32768), "Columns": number(0x00280011, 32767)}
    elements = image(**traps.identity(**size, PixelData=Element(PIXEL_DATA, "OW", b"", length=(2 << 30) - 65536)))
    os.truncate(traps.put("entries/sparse image", meta() + encode(elements, EXPLICIT), SIZE), 2 << 30)


def write(source: Path) -> Traps:
    """Fill a new folder; beside it, `outside` is what links lead to."""
    source.mkdir(parents=True)
    traps = Traps(source)
    makers = (good_files, cut_files, absurd_numbers, contradictions, broken_structure, wrong_syntaxes, bombs)
    for make in (*makers, lying_fragments, lying_tables, odd_names, other_files):
        make(traps)
    entries(traps, source.parent / "outside")
    return traps


# --- finding canaries -----------------------------------------------------------------------------------------------


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what stays the same of a text in base64, wherever it begins and whatever stands around it."""
    import base64

    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw)
        yield whole[-(-8 * shift // 6) : len(whole) - 4 if (shift + len(raw)) % 3 else len(whole)]


@cache
def pattern(extra: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    """Return what finds a mark, or one of the extra texts, in plain, UTF-16, base64 and hex."""
    forms: set[bytes] = set()
    for mark in (*MARKS, *extra):
        raw = mark.encode()
        forms |= {raw, mark.encode("utf-16-le"), mark.encode("utf-16-be"), raw.hex().encode(), *_base64(raw)}
    return re.compile(b"|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and what they hold where they are compressed."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield zlib.decompressobj(31).decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        from numcodecs.zstd import Zstd

        yield bytes(Zstd().decode(data))


def leaks(folders: Iterable[Path], private: Path, extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the files and folders that show a canary, in name or content, but what lies in `private`."""
    find, found = pattern(extra), {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if private in (path, *path.parents):
                continue
            name = str(path.relative_to(folder))
            hit = find.search(os.fsencode(name))
            if not hit and path.is_file() and not path.is_symlink():
                hit = next(filter(None, map(find.search, unpacked(path.read_bytes()))), None)
            if hit:
                found[name] = hit.group().decode("latin-1")
    return found
