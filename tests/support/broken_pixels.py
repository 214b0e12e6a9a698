"""Hostile pixel data: decompression bombs, false fragments and offset tables, broken lookup tables."""

from __future__ import annotations

import struct

from canaries import WORD
from made_up_headers import (
    DEFLATED,
    EXPLICIT,
    Element,
    encode,
    image,
    meta,
    number,
    text,
)
from made_up_pixels import DELIMITER, encapsulate, even, item
from reference_cases import encoded
from traps import (
    ANY,
    ATTRIBUTE,
    FINE,
    HEADER,
    PIXEL_DATA,
    SIZE,
    STREAM,
    Traps,
    deflated,
    reference,
)


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
        false_header = struct.pack("<16I", *(header + [0] * 16)[:16]) + encoded(case)[64:]
        traps.compressed(f"rle {name}", encapsulate([false_header]), STREAM, case)
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
        for field, place, value in (
            ("image", 8, b"\x7f\xff\xff\xff"),
            ("tile", 24, b"\0\0\0\1\0\0\0\1"),
            ("components", 40, b"\x40\x00"),
        ):
            stream = bytearray(encoded(reference(name)))
            stream[place : place + len(value)] = value
            traps.compressed(f"{name} {field}", encapsulate([bytes(stream)]), STREAM, reference(name))


def false_fragments(traps: Traps) -> None:
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
        ("two frames", encapsulate([data, data]), FINE),
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


def false_tables(traps: Traps) -> None:
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
