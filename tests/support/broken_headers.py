"""Hostile headers: cut, absurd, contradictory, malformed, or in another transfer syntax than declared."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterable

import numpy as np
from canaries import ROOT, WORD
from made_up_headers import (
    BIG,
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
from made_up_pixels import DICOM, encapsulate, item
from reference_cases import encoded
from traps import (
    ATTRIBUTE,
    FINE,
    HEADER,
    PIXEL_DATA,
    PWNED,
    SIZE,
    STREAM,
    Traps,
    compressed_elements,
    reference,
)


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
    reasons = ATTRIBUTE | SIZE
    for name, tag in tags.items():
        reasons_of_value = reasons | FINE if name in ("HighBit", "SamplesPerPixel") else reasons  # which may be assumed
        for value in (2, 65535) if name == "PixelRepresentation" else (0, 65535):
            traps.bad(f"{name} {value}", reasons_of_value, **{name: number(tag, value)})
        traps.bad(f"{name} negative", reasons, **{name: number(tag, -5, vr="SS")})
        traps.bad(f"{name} as text", reasons, **{name: text(tag, "LO", f"%s{WORD}")})
        traps.bad(f"{name} as a sequence", reasons, **{name: Element(tag, "SQ", ((text(0x00100010, "PN", WORD),),))})
        traps.bad(f"{name} of one byte", reasons, **{name: Element(tag, "US", b"\x04", length=1)})
        traps.bad(f"{name} empty", reasons_of_value, **{name: Element(tag, "US", b"")})
        traps.bad(f"{name} missing", reasons_of_value, **{name: None})
    for bits in (0, 7, 13, 255):
        traps.bad(f"bits {bits}", ATTRIBUTE | SIZE, BitsAllocated=number(tags["BitsAllocated"], bits))
    counts = ("0", "-3", "99999999999", "1e9", "2147483647", "1\\2", "abc", "NaN", "9" * 24, "2")
    for index, value in enumerate(counts):
        reasons_of_value = reasons | FINE if value == "1\\2" else reasons
        traps.bad(f"frames {index}", reasons_of_value, NumberOfFrames=text(0x00280008, "IS", value))
    whole = encapsulate([encoded(reference("rle 16 grey"))])
    for index, value in enumerate(("65535", "4294967295", "0", "-1")):
        frames = text(0x00280008, "IS", value)
        traps.compressed(f"compressed frames {index}", whole, reasons | STREAM, NumberOfFrames=frames)


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
    photometric_word = traps.word("photometric").upper()
    traps.bad(
        "unknown photometric",
        ATTRIBUTE | SIZE | FINE,
        PhotometricInterpretation=text(0x00280004, "CS", photometric_word),
    )
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

    def put_inside(name: str, middle: bytes, reasons: Iterable[str], syntax: str = EXPLICIT) -> None:
        traps.put(f"bad {WORD}/{name}", meta(syntax) + middle.join(early_and_late()), reasons)

    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    put_inside("20000 nested", (nothing + item_start) * 20_000 + end * 20_000, HEADER | ATTRIBUTE | FINE)
    put_inside("20000 nested, never ended", (nothing + item_start) * 20_000, HEADER | ATTRIBUTE | {"no_pixel_data"})
    nested = b""
    for _ in range(2000):
        nested = head(0x00081140, "SQ", len(nested) + 8, EXPLICIT) + item(nested)
    put_inside("2000 nested of known length", nested, FINE)
    implicit = (struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + item_start) * 20_000
    traps.put(f"bad {WORD}/20000 nested, implicit", meta(IMPLICIT) + implicit, HEADER | ATTRIBUTE | {"no_pixel_data"})
    put_inside("sequence never ended", nothing + item_start, HEADER | ATTRIBUTE | {"no_pixel_data"})
    put_inside("text of undefined length", head(0x00081140, "UT", 0xFFFFFFFF, EXPLICIT), HEADER | ATTRIBUTE | FINE)
    put_inside(
        "unknown of undefined length",
        head(0x00081140, "UN", 0xFFFFFFFF, EXPLICIT),
        HEADER | ATTRIBUTE | {"no_pixel_data"},
    )
    put_inside("longer than the file", head(0x00081140, "UT", 0xFFFFFFFE, EXPLICIT), HEADER)
    put_inside("odd length", head(0x00081140, "LO", 7, EXPLICIT) + b"odd one", HEADER | FINE)
    put_inside("unknown VR", struct.pack("<HH2sH", 0x0008, 0x1140, b"QQ", 4) + b"abcd", HEADER | FINE)
    put_inside("binary VR", struct.pack("<HH2sH", 0x0008, 0x1140, b"\0\0", 4) + b"abcd", HEADER | ATTRIBUTE | FINE)
    put_inside("stray delimiter", struct.pack("<HHI", 0xFFFE, 0xE0DD, 0), FINE)
    put_inside("stray item", item(b"abcd"), FINE)
    put_inside("stray item ends", struct.pack("<HHI", 0xFFFE, 0xE00D, 0) * 20_000, FINE)
    many = b"".join(head(0x00090000 + n, "UN", 0, EXPLICIT) for n in range(0x1000, 0xF000))
    put_inside("50000 empty elements", many, FINE)
    put_inside("much text", Element(0x00081140, "UT", traps.word().encode() * 50_000).encode(EXPLICIT), FINE)
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
        reasons_of_value = (
            HEADER | STREAM | {"unsupported_transfer_syntax"} | (FINE if name in ("implicit", "big") else set())
        )
        traps.put(
            f"bad {WORD}/declared {name}",
            meta(declared) + encode(image(**traps.identity()), EXPLICIT),
            reasons_of_value,
        )
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
