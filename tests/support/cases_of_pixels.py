"""Made-up cases of every transfer syntax, pixel layout, colour model and palette."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from case_writer import (
    BIG,
    DEFLATED,
    LITTLE,
    add_case,
    dataset_of,
    refused,
    single,
    written,
)
from jpeg_markers import ADOBE_YBR, with_colour_markers
from made_up_headers import acr_nema
from made_up_pixels import DICOM, encapsulate, even, picture
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as DicomSequence
from reference_cases import CASES as REFERENCE
from reference_cases import Case, by, deflate, encoded, jpeg, rle


def _reference(entry: Case) -> None:
    """Add a case of the table that tests the decoders."""
    syntax = DICOM + entry.syntax
    lossy = entry.tolerance > 0 or syntax == f"{DICOM}.4.112"  # of JPEG XL the syntax and the header tell
    header = {"BitsStored": entry.bits, **dict(entry.header)}
    single(
        entry.name,
        [entry.array],
        syntax,
        fragments=[encoded(entry)],
        flags=set(entry.flags),
        facts={"transfer_syntax": [syntax], "lossy": lossy, "bits_stored": entry.bits},
        tolerance=entry.tolerance,
        **header,
    )


def _native() -> None:
    for syntax, name in ((DICOM, "implicit"), (LITTLE, "explicit"), (BIG, "big endian"), (DEFLATED, "deflated")):
        for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
            limits = np.iinfo(kind)
            values = np.random.default_rng(1).integers(limits.min, limits.max, (2, 5, 7), kind, endpoint=True)
            facts = {
                "transfer_syntax": [syntax],
                "decoder": ["native"],
                "lossy": False,
                "bits_allocated": 8 * int(kind[1]),
            }
            single(f"{name} {kind}", [values[0]], syntax, facts=facts)
        colour = [picture(8, colour=True), picture(8, colour=True)[::-1].copy()]
        single(f"{name} rgb", colour, syntax, axes="tcyx", facts={"photometric": "RGB"})
    for name, implicit, little in (("implicit", True, True), ("explicit", False, True), ("big endian", False, False)):
        title = f"headerless {name}"
        order = "<" if little else ">"
        expected = picture(12)
        dataset = dataset_of(title, [expected], BitsStored=12, data=expected.astype(f"{order}u2").tobytes())
        del dataset.file_meta
        stream = io.BytesIO()
        dcmwrite(stream, dataset, implicit_vr=implicit, little_endian=little)
        case = add_case(title, flags={"assumed_transfer_syntax"})
        case.put("one", stream.getvalue(), [expected])
    refused(
        "mpeg",
        "unsupported_transfer_syntax",
        dataset_of("mpeg", [picture(8)], f"{DICOM}.4.102", fragments=[b"\0\0\1\xb3"]),
    )
    refused(
        "jpip",
        "unsupported_transfer_syntax",
        dataset_of("jpip", [picture(8)], f"{DICOM}.4.94", fragments=[b"\0\0\1\xb3"]),
    )


# Pixel layouts --------------------------------------------------------------------------------------------------------


def _layouts() -> None:
    random = np.random.default_rng(7)
    bits = [random.integers(0, 2, (3, 7), dtype="u1") for _ in range(5)]
    packed = even(np.packbits(np.stack(bits).ravel(), bitorder="little").tobytes())
    one_bit = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    single("1 bit odd frames", bits, data=packed, facts={"bits_allocated": 1, "bits_stored": 1}, **one_bit)
    swapped = np.frombuffer(packed, "<u2").byteswap().tobytes()
    single("1 bit odd frames big endian", bits, BIG, data=swapped, **one_bit)
    frames = [np.packbits(f.ravel(), bitorder="little").tobytes() for f in bits]
    rle_bits = [struct.pack("<16I", 1, 64, *[0] * 14) + b"".join(bytes([0, b]) for b in f) for f in frames]
    single("1 bit rle", bits, f"{DICOM}.5", fragments=rle_bits, **one_bit)

    expected = [random.integers(0, 4096, (3, 3)).astype("<u2") for _ in range(3)]
    nibbles = np.stack([np.stack(expected).ravel() >> shift & 15 for shift in (0, 4, 8)], axis=1).ravel()
    nibbles = np.append(nibbles, [0] * (-len(nibbles) % 4))
    twelve = even((nibbles[0::2] | nibbles[1::2] << 4).astype("u1").tobytes())
    single("12 bits allocated", expected, data=twelve, BitsAllocated=12, BitsStored=12, facts={"bits_allocated": 12})

    for keyword, tag, kind in (("FloatPixelData", 0x7FE00008, "f4"), ("DoubleFloatPixelData", 0x7FE00009, "f8")):
        floats = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-40, -1e30]], kind)
        dataset = dataset_of(keyword, [floats], PixelData=None)
        for absent in ("BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
            if absent in dataset:
                delattr(dataset, absent)
        dataset.add_new(tag, "OF" if kind == "f4" else "OD", floats.tobytes())
        case = add_case(keyword, facts={"bits_stored": 8 * floats.itemsize})
        case.put("one.dcm", dataset, [floats])

    want12 = picture(12)
    signed = picture(12, signed=True)
    cells = {
        "overlay above bits stored": (want12, want12 | 0xA000, {}, {"unused_bits_set"}),
        "high bit 15 of 12": (want12, want12 << 4, {"HighBit": 15}, {"high_bit_shifted"}),
        "high bit 13 of 12 and junk": (
            want12,
            want12 << 2 | 0xC001,
            {"HighBit": 13},
            {"high_bit_shifted", "unused_bits_set"},
        ),
        "high bit 15 of 12 signed": (signed, signed.view("<u2") << 4, {"HighBit": 15}, {"high_bit_shifted"}),
        "sign extended already": (signed, signed.view("<u2"), {}, set()),
        "sign not extended": (signed, signed.view("<u2") & 0xFFF, {}, {"sign_extended"}),
        "signed with junk": (signed, signed.view("<u2") & 0xFFF | 0x3000, {}, {"unused_bits_set"}),
    }
    for name, (voxels, stored, header, flags) in cells.items():
        for syntax, kind in ((LITTLE, "<u2"), (BIG, ">u2")):
            single(
                f"{name} {'big' if syntax == BIG else 'little'}",
                [voxels],
                syntax,
                data=stored.astype(kind).tobytes(),
                flags=flags,
                facts={"bits_stored": 12},
                **{"BitsStored": 12} | header,
            )
    shifted = (want12 << 4).astype("<u2")
    for syntax, stream in ((".5", rle(shifted)), (".4.80", by("jpegls_encode")(shifted)), (".8.1", deflate(shifted))):
        flags = {"high_bit_shifted"} | ({"precision_mismatch"} if syntax == ".4.80" else set())
        single(
            f"high bit 15 of 12 {syntax}",
            [want12],
            DICOM + syntax,
            fragments=[stream],
            flags=flags,
            BitsStored=12,
            HighBit=15,
        )
    out = picture(8)
    single("outside the declared range", [out], SmallestImagePixelValue=5, LargestImagePixelValue=200)
    single("padding", [picture(16, signed=True)], PixelPaddingValue=-32768, facts={"padding_value": -32768})
    single("monochrome1", [picture(8)], PhotometricInterpretation="MONOCHROME1", facts={"photometric": "MONOCHROME1"})
    window = {"WindowCenter": [40, 300], "WindowWidth": [400, 1500]}
    single("window and rescale", [picture(8)], **window, facts={"window": [40.0, 400.0], "rescale": [1.0, -1024.0]})

    item = Dataset()
    item.LUTDescriptor = [4, 0, 16]
    item.ModalityLUTType = "US"
    item.add_new(0x00283006, "US", [0, 10, 20, 65535])
    lut = {"ModalityLUTSequence": DicomSequence([item]), "RescaleSlope": None, "RescaleIntercept": None}
    table = {"first": 0, "bits": 16, "values": [0, 10, 20, 65535]}
    single("modality lut", [picture(8) % 4], **lut, facts={"modality_lut": table, "rescale": None})
    facts = {"modality_lut": None, "rescale": [1.0, -1024.0]}
    single("modality lut without items", [picture(8)], ModalityLUTSequence=DicomSequence(), facts=facts)


def _lengths() -> None:
    frames = [picture(16, rows=5, columns=7) + i for i in range(3)]
    whole = even(b"".join(f.tobytes() for f in frames))
    flags = {"surplus_bytes", "surplus_frames"}
    single("surplus frame", frames[:2], data=whole, NumberOfFrames=2, flags=flags)
    single("surplus bytes", frames, data=whole + b"\1" * 10, flags={"surplus_bytes"})
    refused("short data", "truncated_pixel_data", dataset_of("short data", frames, data=whole[:-2]))
    refused(
        "more frames than bytes", "truncated_pixel_data", dataset_of("more frames than bytes", frames, NumberOfFrames=4)
    )
    streams = [rle(f) for f in frames]
    name = "4 frames declared of 3"
    dataset = dataset_of(name, frames, f"{DICOM}.5", fragments=streams, NumberOfFrames=4)
    refused(name, "frame_count_mismatch", dataset)
    name = "2 frames declared of 3"
    single(name, frames[:2], f"{DICOM}.5", fragments=streams, NumberOfFrames=2, flags={"surplus_frames"})
    pieces = [s[i : i + 100] for s in map(even, streams) for i in range(0, len(s), 100)]
    single("rle in fragments", frames, f"{DICOM}.5", fragments=pieces, flags={"joined_fragments"})
    pieces = [streams[0][i : i + 64] for i in range(0, len(streams[0]), 64)]
    single("one rle frame in fragments", frames[:1], f"{DICOM}.5", fragments=pieces, flags={"joined_fragments"})
    deflated = even(deflate(frames[0]))
    pieces = [deflated[i : i + 30] for i in range(0, len(deflated), 30)]
    single("one deflated frame in fragments", frames[:1], f"{DICOM}.8.1", fragments=pieces, flags={"joined_fragments"})
    one = picture(16)
    pieces = [one.tobytes()[i : i + 1000] for i in range(0, one.nbytes, 1000)]
    single("one plain frame in fragments", [one], f"{DICOM}.1.98", fragments=pieces, flags={"joined_fragments"})

    stream = [by("jpegls_encode")(f) for f in frames]
    halves = [part for s in map(even, stream) for part in (s[: len(s) // 4 * 2], s[len(s) // 4 * 2 :])]
    starts = np.cumsum([0, *(8 + len(h) for h in halves)])[:-1]
    jls = f"{DICOM}.4.80"
    single("fragments by table", frames, jls, fragments=encapsulate(halves, starts[::2].tolist()))
    single("fragments by start", frames, jls, fragments=encapsulate(halves), flags={"joined_fragments"})
    single(
        "surplus streams", frames[:2], jls, fragments=encapsulate(halves), flags={"surplus_frames", "joined_fragments"}
    )
    wrong = encapsulate(stream, [0, 4, 8])
    single("wrong offset table", frames, jls, fragments=wrong, flags={"bad_offset_table"})
    large = by("jpegls_encode")(picture(16))
    cut = dataset_of("cut stream", [picture(16)], jls, fragments=[large[: len(large) // 2]])
    refused("cut stream", "truncated_pixel_data", cut)
    broken = dataset_of("broken stream", frames[:1], f"{DICOM}.5", fragments=[b"\1" + streams[0][1:64]])
    refused("broken stream", "decode_error", broken)
    odd = np.arange(9, dtype="u1").reshape(3, 3)
    single("odd length", [odd])
    wrong_size = dataset_of("another size", [odd], jls, fragments=[by("jpegls_encode")(picture(8))])
    refused("another size", "frame_size_mismatch", wrong_size)


def _colour() -> None:
    from pydicom.pixels.processing import convert_color_space

    ybr = np.random.default_rng(3).integers(16, 235, (6, 8, 3), dtype="u1")
    ybr[:, 1::2, 1:] = ybr[:, ::2, 1:]
    rgb = convert_color_space(ybr, "YBR_FULL", "RGB")
    planes = np.ascontiguousarray(ybr.transpose(2, 0, 1)).tobytes()
    half = np.ascontiguousarray(
        np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], -1)
    ).tobytes()
    full = {"PhotometricInterpretation": "YBR_FULL"}
    facts = {"photometric": "RGB", "photometric_source": "YBR_FULL"}
    single("ybr full", [rgb], data=ybr.tobytes(), vr="OB", facts=facts, **full)
    single("ybr full by plane", [rgb], data=planes, vr="OB", PlanarConfiguration=1, **full)
    single("ybr full rle", [rgb], f"{DICOM}.5", fragments=[rle(ybr)], PlanarConfiguration=1, **full)
    facts = {"photometric_source": "YBR_FULL_422"}
    single("ybr full 422", [rgb], data=half, vr="OB", facts=facts, PhotometricInterpretation="YBR_FULL_422")
    single(
        "ybr full 422 with all samples",
        [rgb],
        data=ybr.tobytes(),
        vr="OB",
        flags={"not_subsampled"},
        PhotometricInterpretation="YBR_FULL_422",
    )
    partial = np.array([[16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110]], "u1")
    primaries = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]], "u1")
    single(
        "ybr partial 422",
        [np.repeat(primaries[:, None], 2, axis=1)],
        data=b"".join(bytes([p[0], p[0], p[1], p[2]]) for p in partial),
        vr="OB",
        tolerance=2,
        PhotometricInterpretation="YBR_PARTIAL_422",
    )
    for kind in ("u1", "u2"):
        expected = [np.random.default_rng(i).integers(0, np.iinfo(kind).max, (5, 7, 3), kind) for i in range(2)]
        data = even(b"".join(np.ascontiguousarray(f.transpose(2, 0, 1)).tobytes() for f in expected))
        single(f"rgb by plane {kind}", expected, data=data, PlanarConfiguration=1, axes="tcyx")
    y, x = np.mgrid[:64, :48]
    smooth = np.stack([y * 3, x * 5, 255 - y - x], axis=-1).astype("u1")
    coded = jpeg(level=100, colorspace="RGB", outcolorspace="YCBCR", subsampling="444")(smooth)
    facts = {"photometric": "RGB", "photometric_source": "RGB", "lossy": True}
    baseline = f"{DICOM}.4.50"
    single(
        "rgb header over ycbcr stream",
        [smooth],
        baseline,
        fragments=[coded],
        tolerance=6,
        facts=facts,
        flags={"photometric_from_stream"},
    )
    single("ycbcr jpeg", [smooth], baseline, fragments=[coded], tolerance=6, PhotometricInterpretation="YBR_FULL_422")
    for header, mct in (("YBR_RCT", True), ("RGB", False)):
        wavelet = by("jpeg2k_encode", level=0, reversible=True, codecformat="J2K", mct=mct)(smooth)
        single(f"jpeg 2000 {header}", [smooth], f"{DICOM}.4.90", fragments=[wavelet], PhotometricInterpretation=header)
    ict = by("jpeg2k_encode", level=100, reversible=False, codecformat="J2K", mct=True)(smooth)
    single(
        "jpeg 2000 YBR_ICT",
        [smooth],
        f"{DICOM}.4.91",
        fragments=[ict],
        tolerance=4,
        PhotometricInterpretation="YBR_ICT",
    )
    lossless = jpeg(lossless=True, predictor=1)(ybr)
    plain = with_colour_markers(lossless)
    facts = {"photometric": "RGB", "photometric_source": "YBR_FULL", "lossy": False}
    single("lossless jpeg in ybr", [rgb], f"{DICOM}.4.70", fragments=[plain], facts=facts, **full)
    adobe = with_colour_markers(lossless, ADOBE_YBR)
    flags = {"photometric_from_stream"}
    single("lossless jpeg in ybr by its marker", [rgb], f"{DICOM}.4.57", fragments=[adobe], flags=flags)
    grey = smooth[..., 0].copy()
    for syntax, stream in ((".4.70", jpeg(level=100)(grey)), (".4.201", by("htj2k_encode", reversible=False)(grey))):
        facts = {"lossy": True, "transfer_syntax": [DICOM + syntax]}
        name = f"lossy stream in {syntax}"
        single(name, [grey], DICOM + syntax, fragments=[stream], tolerance=3, facts=facts, flags={"lossy_stream"})
    single("lossy before", [grey], LossyImageCompression="01", facts={"lossy": True})
    blocks = np.kron(np.random.default_rng(5).integers(0, 2, (6, 6)), np.full((8, 8), 65535)).astype("<u2")
    stream = by("htj2k_encode", reversible=False)(blocks)
    single("saturated htj2k", [blocks], f"{DICOM}.4.203", fragments=[stream], tolerance=8, facts={"lossy": True})
    hsv = dataset_of("hsv", [smooth], PhotometricInterpretation="HSV")
    refused("hsv", "unsupported_pixel_layout", hsv)


def _palettes() -> None:
    indices = picture(8, rows=8, columns=8) % 4
    names = [f"{colour}PaletteColorLookupTableD" for colour in ("Red", "Green", "Blue")]
    colours = {"red": [0, 1, 2, 255], "green": [9, 8, 7, 6], "blue": [3, 3, 3, 3]}
    for bits in (8, 16):
        kind = "u1" if bits == 8 else "<u2"
        lists = {key: [value * (257 if bits == 16 else 1) for value in values] for key, values in colours.items()}
        attributes: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for name, values in zip(names, lists.values(), strict=True):
            attributes |= {f"{name}escriptor": [4, 0, bits], f"{name}ata": np.array(values, kind).tobytes()}
        facts = {"palette": {"first": 0, "bits": bits, **lists}, "photometric": "PALETTE COLOR"}
        single(f"palette {bits}", [indices], facts=facts, **attributes)
        if bits == 8:
            coded = [jpeg(lossless=True, predictor=1)(indices)]
            single("palette lossless jpeg", [indices], f"{DICOM}.4.70", fragments=coded, facts=facts, **attributes)
    for stored in (8, 16):  # the other width is declared
        kind = "u1" if stored == 8 else "<u2"
        lists = {key: [value * (257 if stored == 16 else 1) for value in values] for key, values in colours.items()}
        attributes = {"PhotometricInterpretation": "PALETTE COLOR"}
        for name, values in zip(names, lists.values(), strict=True):
            attributes |= {f"{name}escriptor": [4, 0, 24 - stored], f"{name}ata": np.array(values, kind).tobytes()}
        facts = {"palette": {"first": 0, "bits": stored, "declared_bits": 24 - stored, **lists}}
        single(f"palette declared {24 - stored}, stored {stored}", [indices], facts=facts, **attributes)
    # PS3.3 C.7.9.2: a discrete segment of one entry, then a linear one of three up to 300
    attributes = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in names:
        attributes |= {
            f"{name}escriptor": [4, 10, 16],
            f"Segmented{name}ata": np.array([0, 1, 0, 1, 3, 300], "<u2").tobytes(),
        }
    facts = {"palette": {"first": 10, "bits": 16, **{colour: [0, 100, 200, 300] for colour in colours}}}
    single("palette segmented", [indices], facts=facts, **attributes)
    # Palettes of images that have none: they do not apply, and cost nothing.
    deep = picture(12, rows=8, columns=8)
    rgb = np.stack([picture(8)] * 3, axis=-1)
    for name, descriptor, data in (
        ("supplemental", [4, 4000, 16], bytes(8)),
        ("without tables", [4, 0, 16], None),
        ("of zeros", [0, 0, 0], None),
        ("without values", [], None),
    ):
        attributes = {f"{key}escriptor": descriptor for key in names}
        attributes |= {f"{key}ata": data for key in names} if data else {}
        single(f"grey, palette {name}", [deep], facts={"palette": None}, BitsStored=12, **attributes)
        single(f"rgb, palette {name}", [rgb], facts={"palette": None}, axes="cyx", **attributes)


def _odd_headers() -> None:
    """Add headers that break the rules, and files from before DICOM."""
    voxels = picture(12)
    for name, tag in (("item", 0xE000), ("item end", 0xE00D), ("sequence end", 0xE0DD)):
        title = f"stray {name}"
        data = written(dataset_of(title, [voxels], BitsStored=12))
        at = data.index(b"\x28\0\x02\0US")
        case = add_case(title)
        case.put("one.dcm", data[:at] + struct.pack("<HHI", 0xFFFE, tag, 0) + data[at:], [voxels])
    name = "stray item end before the palette"
    descriptors: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        descriptors[f"{colour}PaletteColorLookupTableDescriptor"] = [4, 0, 8]
        descriptors[f"{colour}PaletteColorLookupTableData"] = bytes(range(4))
    data = written(dataset_of(name, [voxels % 4], BitsStored=12, **descriptors))
    at = data.index(b"\x28\0\x01\x11US")
    entries = [0, 1, 2, 3]
    case = add_case(name, facts={"palette": {"first": 0, "bits": 8, "red": entries, "green": entries, "blue": entries}})
    case.put("one.dcm", data[:at] + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + data[at:], [voxels % 4])
    case = add_case("acr nema", flags={"acr_nema", "assumed_transfer_syntax", "no_position", "no_series_uid"})
    case.put("one", acr_nema(), [np.arange(24, dtype="<u2").reshape(4, 6)])
    refused("acr nema without sign", "acr_nema", acr_nema(PixelRepresentation=None))
    both = dataset_of("two kinds of pixels", [voxels])
    both.add_new(0x7FE00008, "OF", bytes(4 * voxels.size))
    refused("two kinds of pixels", "several_pixel_data", both)


def add() -> None:
    for entry in REFERENCE:
        _reference(entry)
    _native()
    _layouts()
    _lengths()
    _colour()
    _palettes()
    _odd_headers()
