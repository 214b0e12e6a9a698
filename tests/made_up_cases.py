"""Made-up DICOM files of every transfer syntax, pixel layout and kind of series, with what must become of them.

Each case is a folder of files with known voxels. `test_fidelity.py` sends all of them through the workflow in one run.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dicoms import ct_slice, uid
from made_up_pixels import DICOM, encapsulate, even, picture
from pydicom.dataset import Dataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from reference_cases import CASES as REFERENCE
from reference_cases import Case, by, deflate, encoded, jpeg, rle

from dicomzarr.dicom.transfer_syntaxes import DECODED

Array = Any
STORAGE = "1.2.840.10008.5.1.4.1.1."
LITTLE, BIG, DEFLATED = f"{DICOM}.1", f"{DICOM}.2", f"{DICOM}.1.99"
AXIAL = [1, 0, 0, 0, 1, 0]


@dataclass
class Made:
    """A folder of files and what must become of it.

    Attributes
    ----------
    files : dict of str to bytes
        By name.
    voxels : dict of str to list of ndarray
        The frames of each file that must be in the dataset.
    aside : dict of str to str
        The reason of each other file.
    one_of : set of str
        Copies: one is extracted, whichever, and the others are duplicates.
    places : dict of (str, int) to (t, z)
        Where frames must stand, None where the array has no such axis.
    flags : set of str
        All flags of all arrays.
    facts : dict
        Attributes that the first array must have; None means that it must not be there.
    """

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    voxels: dict[str, list[Array]] = field(default_factory=dict)
    aside: dict[str, str] = field(default_factory=dict)
    one_of: set[str] = field(default_factory=set)
    places: dict[tuple[str, int], tuple[int | None, int | None]] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: int = 1
    axes: str = ""
    tolerance: int = 0

    def __str__(self) -> str:
        return self.name

    def put(self, name: str, dataset: Dataset | bytes, frames: Sequence[Array] | None) -> None:
        """Add a file; `frames` is None where it does not get into the dataset."""
        self.files[name] = dataset if isinstance(dataset, bytes) else written(dataset)
        if frames is not None:
            self.voxels[name] = list(frames)


def written(dataset: Dataset) -> bytes:
    """Return a data set as a file in the transfer syntax of its meta information."""
    stream = io.BytesIO()
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    if syntax in (DICOM, LITTLE, BIG, DEFLATED):
        dcmwrite(stream, dataset, enforce_file_format=True)
        return stream.getvalue()
    # pydicom does not know every syntax by name; all compressed ones are explicit little endian (PS3.5 A.4).
    dataset.file_meta.TransferSyntaxUID = LITTLE
    dcmwrite(stream, dataset, enforce_file_format=True)
    end = 1 if len(syntax) % 2 else 0
    old, new = LITTLE.encode() + b"\0", syntax.encode() + b"\0" * end
    data = stream.getvalue()
    at = data.index(b"\x02\0\x10\0UI") + 8
    assert data[at : at + len(old)] == old
    data = data[: at - 2] + struct.pack("<H", len(new)) + new + data[at + len(old) :]
    group = data.index(b"\x02\0\0\0UL") + 8
    length = struct.unpack_from("<I", data, group)[0] + len(new) - len(old)
    return data[:group] + struct.pack("<I", length) + data[group + 4 :]


def dataset_of(
    case: str,
    frames: Sequence[Array],
    syntax: str = LITTLE,
    *,
    fragments: Sequence[bytes] | None = None,
    data: bytes | None = None,
    index: int = 0,
    vr: str = "OW",
    **attributes: Any,
) -> Dataset:
    """Return a CT image of these frames; `fragments` or `data` say how they are written where not as they are.

    Several frames have no position, unless the attributes give one; None removes an attribute.
    """
    first = frames[0]
    one = ct_slice(case, index, pixels=np.zeros((2, 2)))
    bits = 8 * first.dtype.itemsize
    one.Rows, one.Columns = first.shape[:2]
    one.BitsAllocated, one.BitsStored, one.HighBit = bits, bits, bits - 1
    one.PixelRepresentation = int(first.dtype.kind == "i")
    if first.ndim == 3:
        one.SamplesPerPixel, one.PhotometricInterpretation, one.PlanarConfiguration = 3, "RGB", 0
    if len(frames) > 1:
        one.NumberOfFrames = len(frames)
        del one.ImagePositionPatient, one.ImageOrientationPatient
    if attributes.get("BitsStored"):
        one.HighBit = attributes["BitsStored"] - 1
    one.file_meta.TransferSyntaxUID = syntax
    if fragments is not None:
        data, vr = encapsulate(fragments) if not isinstance(fragments, bytes) else fragments, "OB"
    elif data is None:
        order = ">" if syntax == BIG else "<"
        data = even(b"".join(f.astype(f.dtype.newbyteorder(order)).tobytes() for f in frames))
        vr = "OB" if bits == 8 and syntax != BIG else vr
        if syntax == BIG and bits == 8:
            data = np.frombuffer(data, "<u2").byteswap().tobytes()
    one.add_new(0x7FE00010, vr, data)
    one["PixelData"].is_undefined_length = fragments is not None
    for keyword, value in attributes.items():
        if value is not None:
            setattr(one, keyword, value)
        elif keyword in one:
            delattr(one, keyword)
    return one


CASES: dict[str, Made] = {}


def case(name: str, **expected: Any) -> Made:
    assert name not in CASES
    CASES[name] = Made(name, **expected)
    return CASES[name]


def single(name: str, frames: Sequence[Array], syntax: str = LITTLE, **more: Any) -> Made:
    """Add a case of one file."""
    fields = {"flags", "facts", "arrays", "axes", "tolerance", "places"}
    made = case(name, **{key: more.pop(key) for key in fields & set(more)})
    made.put("one.dcm", dataset_of(name, frames, syntax, **more), frames)
    return made


def refused(name: str, reason: str, dataset: Dataset | bytes) -> None:
    case(name, aside={"one.dcm": reason}, arrays=0).put("one.dcm", dataset, None)


# Transfer syntaxes ----------------------------------------------------------------------------------------------------


def _reference(entry: Case) -> None:
    """Send a case of the table of decoders through the workflow."""
    syntax = DICOM + entry.syntax
    known = DECODED[syntax].lossy
    header = {"BitsStored": entry.bits, **dict(entry.header)}
    single(
        entry.name,
        [entry.array],
        syntax,
        fragments=[encoded(entry)],
        flags=set(entry.flags),
        facts={"transfer_syntax": [syntax], "lossy": known is None or known, "bits_stored": entry.bits},
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
        want = picture(12)
        one = dataset_of(title, [want], BitsStored=12, data=want.astype(f"{order}u2").tobytes())
        del one.file_meta
        stream = io.BytesIO()
        dcmwrite(stream, one, implicit_vr=implicit, little_endian=little)
        made = case(title, flags={"assumed_transfer_syntax"})
        made.put("one", stream.getvalue(), [want])
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

    want = [random.integers(0, 4096, (3, 3)).astype("<u2") for _ in range(3)]
    nibbles = np.stack([np.stack(want).ravel() >> shift & 15 for shift in (0, 4, 8)], axis=1).ravel()
    nibbles = np.append(nibbles, [0] * (-len(nibbles) % 4))
    twelve = even((nibbles[0::2] | nibbles[1::2] << 4).astype("u1").tobytes())
    single("12 bits allocated", want, data=twelve, BitsAllocated=12, BitsStored=12, facts={"bits_allocated": 12})

    for keyword, tag, kind in (("FloatPixelData", 0x7FE00008, "f4"), ("DoubleFloatPixelData", 0x7FE00009, "f8")):
        floats = np.array([[0.1, -0.0, np.nan], [np.inf, 1e-40, -1e30]], kind)
        one = dataset_of(keyword, [floats], PixelData=None)
        for gone in ("BitsStored", "HighBit", "PixelRepresentation", "PixelData"):
            if gone in one:
                delattr(one, gone)
        one.add_new(tag, "OF" if kind == "f4" else "OD", floats.tobytes())
        made = case(keyword, facts={"bits_stored": 8 * floats.itemsize})
        made.put("one.dcm", one, [floats])

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
    lut = {"ModalityLUTSequence": Items([item]), "RescaleSlope": None, "RescaleIntercept": None}
    table = {"first": 0, "bits": 16, "values": [0, 10, 20, 65535]}
    single("modality lut", [picture(8) % 4], **lut, facts={"modality_lut": table, "rescale": None})


def _lengths() -> None:
    frames = [picture(16, rows=5, columns=7) + i for i in range(3)]
    whole = even(b"".join(f.tobytes() for f in frames))
    single("surplus frame", frames[:2], data=whole, NumberOfFrames=2, flags={"surplus_bytes"})
    single("surplus bytes", frames, data=whole + b"\1" * 10, flags={"surplus_bytes"})
    refused("short data", "truncated_pixel_data", dataset_of("short data", frames, data=whole[:-2]))
    refused(
        "more frames than bytes", "truncated_pixel_data", dataset_of("more frames than bytes", frames, NumberOfFrames=4)
    )
    streams = [rle(f) for f in frames]
    for count in (2, 4):
        name = f"{count} frames declared of 3"
        refused(
            name,
            "frame_count_mismatch",
            dataset_of(name, frames, f"{DICOM}.5", fragments=streams, NumberOfFrames=count),
        )

    stream = [by("jpegls_encode")(f) for f in frames]
    halves = [part for s in map(even, stream) for part in (s[: len(s) // 4 * 2], s[len(s) // 4 * 2 :])]
    starts = np.cumsum([0, *(8 + len(h) for h in halves)])[:-1]
    jls = f"{DICOM}.4.80"
    single("fragments by table", frames, jls, fragments=encapsulate(halves, starts[::2].tolist()))
    single("fragments by start", frames, jls, fragments=encapsulate(halves))
    wrong = encapsulate(stream, [0, 4, 8])
    single("wrong offset table", frames, jls, fragments=wrong, flags={"bad_offset_table"})
    large = by("jpegls_encode")(picture(16))
    cut = dataset_of("cut stream", [picture(16)], jls, fragments=[large[: len(large) // 2]])
    refused("cut stream", "truncated_pixel_data", cut)
    broken = dataset_of("broken stream", frames[:1], f"{DICOM}.5", fragments=[b"\1" + streams[0][1:64]])
    refused("broken stream", "decode_error", broken)
    odd = np.arange(9, dtype="u1").reshape(3, 3)
    single("odd length", [odd])
    other = dataset_of("another size", [odd], jls, fragments=[by("jpegls_encode")(picture(8))])
    refused("another size", "frame_size_mismatch", other)


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
        want = [np.random.default_rng(i).integers(0, np.iinfo(kind).max, (5, 7, 3), kind) for i in range(2)]
        data = even(b"".join(np.ascontiguousarray(f.transpose(2, 0, 1)).tobytes() for f in want))
        single(f"rgb by plane {kind}", want, data=data, PlanarConfiguration=1, axes="tcyx")
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
    hsv = dataset_of("hsv", [smooth], PhotometricInterpretation="HSV")
    refused("hsv", "unsupported_pixel_layout", hsv)


def _palettes() -> None:
    indices = picture(8, rows=8, columns=8) % 4
    names = [f"{colour}PaletteColorLookupTableD" for colour in ("Red", "Green", "Blue")]
    colours = {"red": [0, 1, 2, 255], "green": [9, 8, 7, 6], "blue": [3, 3, 3, 3]}
    for bits in (8, 16):
        kind = "u1" if bits == 8 else "<u2"
        lists = {key: [value * (257 if bits == 16 else 1) for value in values] for key, values in colours.items()}
        more: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
        for name, values in zip(names, lists.values(), strict=True):
            more |= {f"{name}escriptor": [4, 0, bits], f"{name}ata": np.array(values, kind).tobytes()}
        facts = {"palette": {"first": 0, "bits": bits, **lists}, "photometric": "PALETTE COLOR"}
        single(f"palette {bits}", [indices], facts=facts, **more)
        if bits == 8:
            coded = [jpeg(lossless=True, predictor=1)(indices)]
            single("palette lossless jpeg", [indices], f"{DICOM}.4.70", fragments=coded, facts=facts, **more)
    # PS3.3 C.7.9.2: a discrete segment of one entry, then a linear one of three up to 300
    more = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name in names:
        more |= {
            f"{name}escriptor": [4, 10, 16],
            f"Segmented{name}ata": np.array([0, 1, 0, 1, 3, 300], "<u2").tobytes(),
        }
    facts = {"palette": {"first": 10, "bits": 16, **{colour: [0, 100, 200, 300] for colour in colours}}}
    single("palette segmented", [indices], facts=facts, **more)


# Series ---------------------------------------------------------------------------------------------------------------


def _slice(name: str, index: int, **attributes: Any) -> tuple[Dataset, list[Array]]:
    """Return a slice of noise, different for every index, and its voxels."""
    seed = [index, *name.encode()]
    voxels = np.random.default_rng(seed).integers(-1000, 3000, (6, 5), dtype="<i2")
    return dataset_of(name, [voxels], index=index, **attributes), [voxels]


def _shuffled(count: int) -> list[int]:
    return sorted(range(count), key=lambda i: (i * 7 + 3) % 11)


def _stack(made: Made, positions: Sequence[Any], each: Callable[[int], Mapping[str, Any]] | None = None) -> None:
    """Add slices at these z, or these positions, under names that say nothing of the order."""
    for rank, index in enumerate(_shuffled(len(positions))):
        where = positions[index]
        where = where if isinstance(where, (list, tuple)) else [-10.0, -20.0, where]
        one, voxels = _slice(made.name, index, ImagePositionPatient=list(where), **(each(index) if each else {}))
        made.put(f"{rank:02d}-{index}.dcm", one, voxels)


def _at(made: Made, places: Mapping[int, tuple[int | None, int | None]]) -> None:
    names = {int(name.split("-")[1].split(".")[0]): name for name in made.files}
    made.places = {(names[index], 0): place for index, place in places.items()}


def _regular() -> None:
    made = case("plain stack", axes="zyx", facts={"kind": "volume", "positions_mm": None})
    made.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(made, [0, 2.5, 5, 7.5, 10])
    _at(made, {i: (None, i) for i in range(5)})

    made = case("gantry tilt", axes="zyx", flags={"gantry_tilt"})
    made.facts["affine_lps"] = [[0.75, 0, 0, -10], [0, 0.5, 1, -20], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    _stack(made, [[-10, -20 + i, 2.5 * i] for i in range(4)])
    _at(made, {i: (None, i) for i in range(4)})

    made = case("gap", flags={"gap"}, axes="zyx")
    made.facts = {"positions_mm": [0.0, 2.5, 7.5], "missing_slices": 1, "affine_lps": None}
    _stack(made, [0, 2.5, 7.5])
    _at(made, {0: (None, 0), 1: (None, 1), 2: (None, 2)})

    made = case("uneven spacing", flags={"uneven_spacing"}, axes="zyx")
    made.facts = {"positions_mm": [0.0, 2.5, 6.0], "missing_slices": None, "affine_lps": None}
    _stack(made, [0, 2.5, 6.0])

    made = case("one bad slice", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    _stack(made, [0, 2.5, 5, 7.5, 10])
    bad = next(name for name in made.files if name.endswith("-2.dcm"))
    made.files[bad] = made.files[bad][:-10]
    del made.voxels[bad]
    made.aside[bad] = "truncated_pixel_data"
    made.places = {(n, 0): (None, z) for z, i in enumerate((0, 1, 3, 4)) for n in made.files if n.endswith(f"-{i}.dcm")}

    made = case("one stream broken", flags={"incomplete", "gap"}, axes="zyx", facts={"missing_slices": 1})
    for index in range(4):
        one, voxels = _slice(made.name, index)
        packed = rle(voxels[0]) if index != 1 else b"\5" + rle(voxels[0])[1:]
        one = dataset_of(made.name, voxels, f"{DICOM}.5", index=index, fragments=[packed])
        made.put(f"{index}.dcm", one, voxels if index != 1 else None)
    made.aside["1.dcm"] = "decode_error"

    made = case("orientations without image type", arrays=3)
    turned = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])
    for index, cosines in enumerate(turned):
        one, voxels = _slice(made.name, index, ImageOrientationPatient=list(cosines), ImageType=None)
        made.put(f"{index}.dcm", one, voxels)

    made = case("mixed matrix, type and kind", arrays=4)
    for index in range(2):
        made.put(f"a{index}.dcm", *_slice(made.name, index))
    made.put("localizer.dcm", *_slice(made.name, 2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    wide = np.zeros((6, 9), "<i2") + 3
    made.put("wide.dcm", dataset_of(made.name, [wide], index=3), [wide])
    other = np.zeros((6, 5), "<u2") + 3
    made.put("unsigned.dcm", dataset_of(made.name, [other], index=4), [other])

    made = case("series over folders", axes="zyx")
    for index in range(3):
        made.put(f"{'abc'[index]}/{index}.dcm", *_slice(made.name, index))

    made = case("pet with a slope a file", axes="zyx")
    made.facts["rescale"] = [[1.5, 0.0], [2.5, 0.0], [3.5, 0.0]]
    _stack(made, [0, 2.5, 5], lambda i: {"Modality": "PT", "RescaleSlope": 1.5 + i, "RescaleIntercept": 0})

    made = case("projections", arrays=2)
    for index in range(2):
        more = {"Modality": "DX", "PixelSpacing": None, "ImagerPixelSpacing": [0.1, 0.1]}
        made.put(f"{index}.dcm", *_slice(made.name, index, **more))
    made.flags = {"detector_spacing"}


def _several_at_a_position() -> None:
    causes: dict[str, tuple[str, list[dict[str, Any]], list[float]]] = {
        "time": ("temporal_position", [{"TemporalPositionIdentifier": n} for n in (1, 2)], [1, 2]),
        "echo": ("echo_time_ms", [{"EchoTime": n} for n in (4.5, 9.5)], [4.5, 9.5]),
        "b-value": ("b_value", [{"DiffusionBValue": n} for n in (0.0, 800.0)], [0, 800]),
        "inversion": ("inversion_time_ms", [{"InversionTime": n} for n in (50, 900)], [50, 900]),
        "phase": ("trigger_time_ms", [{"TriggerTime": n} for n in (0, 40)], [0, 40]),
        "pet frame": ("frame_reference_time_s", [{"FrameReferenceTime": n} for n in (500, 9500)], [0.5, 9.5]),
        "acquisition": (
            "acquisition_time_s",
            [{"AcquisitionDate": "20240101", "AcquisitionTime": n} for n in ("101500", "101530.5")],
            [0, 30.5],
        ),
    }
    for name, (means, values, stated) in causes.items():
        made = case(f"t is {name}", axes="tzyx", facts={"t_axis": {"means": [means], "values": stated}})
        same = {"Modality": "MR", "InstanceNumber": None, "ImageType": None}
        # positions 0, 0, 2.5, 2.5 ...: t alternates
        _stack(made, [i // 2 * 2.5 for i in range(6)], lambda i, v=values, s=same: {**s, **v[i % 2]})
        _at(made, {i: (i % 2, i // 2) for i in range(6)})

    made = case("echo by time", axes="tzyx")
    made.facts["t_axis"] = {"means": ["temporal_position", "echo_time_ms"], "values": [[1, 3], [1, 6], [2, 3], [2, 6]]}
    grid = [{"TemporalPositionIdentifier": t, "EchoTime": e} for t in (1, 2) for e in (3, 6)]
    _stack(made, [i // 4 * 2.5 for i in range(8)], lambda i: {"Modality": "MR", **grid[i % 4]})
    _at(made, {i: (i % 4, i // 4) for i in range(8)})

    directions: list[dict[str, Any]] = [
        {"DiffusionBValue": 0.0},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [1.0, 0.0, 0.0]},
        {"DiffusionBValue": 700.0, "DiffusionGradientOrientation": [0.0, 1.0, 0.0]},
    ]
    made = case("gradient directions", axes="tzyx")
    made.facts["t_axis"] = {
        "means": ["b_value", "b_vector_x", "b_vector_y", "b_vector_z"],
        "values": [[0, 0, 0, 0], [700, 0, 1, 0], [700, 1, 0, 0]],
    }
    _stack(made, [i // 3 * 2.5 for i in range(6)], lambda i: {"Modality": "MR", **directions[i % 3]})

    for maker, group, element, creator, offset in (
        ("GE MEDICAL SYSTEMS", 0x43, 0x39, "GEMS_PARM_01", 10**9),
        ("SIEMENS", 0x19, 0x0C, "SIEMENS MR HEADER", 0),
    ):
        made = case(f"private b-value of {maker}", axes="tzyx")
        made.facts["t_axis"] = {"means": ["b_value"], "values": [0, 1000]}
        for index in range(4):
            more = {"Modality": "MR", "Manufacturer": maker, "InstanceNumber": None}
            one, voxels = _slice(made.name, index, ImagePositionPatient=[0, 0, index // 2 * 2.5], **more)
            value: Any = index % 2 * 1000
            value = [value + offset, 8, 0, 0] if offset else value
            one.private_block(group, creator, create=True).add_new(element, "IS", value)
            made.put(f"{index}.dcm", one, voxels)

    made = case("a grid with a hole", arrays=2, flags={"incomplete_grid"}, axes="zyx")
    _stack(
        made,
        [0, 0, 2.5, 2.5, 5],
        lambda i: {"Modality": "MR", "InstanceNumber": None, "EchoTime": 4.0 + i % 2},
    )
    made = case("nothing tells apart", arrays=4, flags={"ambiguous_stack"}, axes="yx")
    _stack(made, [0, 0, 2.5, 2.5], lambda i: {"InstanceNumber": None})
    made = case("nothing tells apart at one position", flags={"ambiguous_stack"}, axes="tyx")
    _stack(made, [0, 0, 0], lambda i: {"InstanceNumber": None})
    made.facts = {"t_axis": {"means": ["unexplained"], "values": [0, 1, 2]}}


def _identity() -> None:
    def pair(made: Made, first: Mapping[str, Any], second: Mapping[str, Any], same_pixels: bool = True) -> None:
        one, voxels = _slice(made.name, 0, **first)
        other, differs = _slice(made.name, 0 if same_pixels else 1, **second)
        made.put("a.dcm", one, voxels)
        made.put("b.dcm", other, voxels if same_pixels else differs)

    instance = {"SOPInstanceUID": uid("the same")}
    made = case("same instance, same pixels", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {"ImageComments": "sent again"})
    made = case("same instance over two series", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {"SeriesInstanceUID": uid("another series")})
    made = case("same instance, other pixels", arrays=0)
    pair(made, instance, instance, same_pixels=False)
    made.aside = dict.fromkeys(made.voxels, "conflicting_instance")
    made.voxels = {}
    made = case("a copy that is cut off")
    pair(made, {}, {})
    made.files["b.dcm"] = made.files["b.dcm"][:-4]
    del made.voxels["b.dcm"]
    made.aside = {"b.dcm": "truncated_pixel_data"}
    made = case("equal pixels under two instances", axes="tyx", flags={"ambiguous_stack"})
    pair(made, {}, {"SOPInstanceUID": uid("another instance")})
    made = case("no instance, equal bytes", one_of={"a.dcm", "b.dcm"})
    pair(made, {}, {})
    for name in made.files:
        made.files[name] = _without_instance(_slice(made.name, 0)[0])
    made = case("no instance, other bytes", axes="zyx")
    pair(made, {}, {}, same_pixels=False)
    for index, name in enumerate(made.files):
        made.files[name] = _without_instance(_slice(made.name, index)[0])
    made = case("two patients, one series", arrays=2, flags={"shared_series_uid"})
    pair(made, {}, {"PatientID": "somebody else"}, same_pixels=False)
    made = case("no series", arrays=2, flags={"no_series_uid"})
    pair(made, {"SeriesInstanceUID": None}, {"SeriesInstanceUID": None}, same_pixels=False)
    made = case("no patient", flags={"unknown_subject"}, axes="zyx")
    pair(made, {"PatientID": None}, {"PatientID": None}, same_pixels=False)


def _without_instance(one: Dataset) -> bytes:
    """Return a file without SOP Instance UID, which pydicom would not write."""
    data = written(one)
    return data.replace(b"\x08\0\x18\0UI", b"\x08\0\x19\0UI")


# Multi-frame ----------------------------------------------------------------------------------------------------------


def _item(**values: Any) -> Dataset:
    found = Dataset()
    for keyword, value in values.items():
        setattr(found, keyword, Items([value]) if isinstance(value, Dataset) else value)
    return found


def _enhanced(
    name: str, suffix: str, groups: Sequence[Dataset], shared: Dataset | None = None, **more: Any
) -> tuple[Dataset, list[Array]]:
    """Return a file of one frame a functional group, and its voxels."""
    seed = list(name.encode())
    frames = [np.random.default_rng([i, *seed]).integers(0, 4000, (6, 5)).astype("<u2") for i in range(len(groups))]
    base = {"PixelSpacing": None, "RescaleSlope": None, "RescaleIntercept": None, "InstanceNumber": 1}
    one = dataset_of(name, frames, **base | {"BitsStored": 12, "SOPClassUID": STORAGE + suffix} | more)
    one.SharedFunctionalGroupsSequence = Items([shared or _item(**_PLANE)])
    one.PerFrameFunctionalGroupsSequence = Items(groups)
    return one, frames


_PLANE = {
    "PlaneOrientationSequence": _item(ImageOrientationPatient=AXIAL),
    "PixelMeasuresSequence": _item(PixelSpacing=[0.5, 0.75], SliceThickness=2),
}


def _where(z: float) -> Dataset:
    return _item(ImagePositionPatient=[-10, -20, z])


def _multi_frame() -> None:
    # Stored echo by echo, from the top down: the dataset runs upwards.
    order = [(z, t) for t in range(2) for z in (2, 1, 0)]
    groups = [
        _item(
            PlanePositionSequence=_where(3.0 * z),
            MREchoSequence=_item(EffectiveEchoTime=5.0 + 10 * t),
            PixelValueTransformationSequence=_item(RescaleSlope=1 + z + 10 * t, RescaleIntercept=-z, RescaleType="US"),
            FrameVOILUTSequence=_item(WindowCenter=100 + z, WindowWidth=50),
            FrameContentSequence=_item(DimensionIndexValues=[z + 1, t + 1]),
        )
        for z, t in order
    ]
    made = case("enhanced mr of echoes", axes="tzyx")
    made.put("one.dcm", *_enhanced(made.name, "4.1", groups, Modality="MR"))
    made.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
    made.facts = {
        "t_axis": {"means": ["echo_time_ms"], "values": [5, 15]},
        "rescale": [[1 + z + 10 * t, -z] for t in range(2) for z in range(3)],
        "window": [[100 + z, 50] for t in range(2) for z in range(3)],
        "affine_lps": [[0.75, 0, 0, -10], [0, 0.5, 0, -20], [0, 0, 3, 0], [0, 0, 0, 1]],
        "kind": "volume",
    }
    by_cause: dict[str, tuple[str, Callable[[int], dict[str, Any]], list[Any]]] = {
        "temporal": (
            "temporal_position",
            lambda t: {"FrameContentSequence": _item(TemporalPositionIndex=t + 1)},
            [1, 2],
        ),
        "b-value": ("b_value", lambda t: {"MRDiffusionSequence": _item(DiffusionBValue=500.0 * t)}, [0, 500]),
        "trigger": (
            "trigger_time_ms",
            lambda t: {"CardiacSynchronizationSequence": _item(NominalCardiacTriggerDelayTime=30.0 * t)},
            [0, 30],
        ),
    }
    for cause, (means, sequences, values) in by_cause.items():
        made = case(f"enhanced mr of {cause}", axes="tzyx")
        groups = [_item(PlanePositionSequence=_where(3.0 * z), **sequences(t)) for z, t in order]
        made.put("one.dcm", *_enhanced(made.name, "4.1", groups, Modality="MR"))
        made.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
        made.facts = {"t_axis": {"means": [means], "values": values}}

    made = case("enhanced mr of dimension indices alone", axes="tzyx", flags={"t_order_only"})
    groups = [
        _item(PlanePositionSequence=_where(3.0 * z), FrameContentSequence=_item(DimensionIndexValues=[1, z + 1, t + 1]))
        for z, t in order
    ]
    made.put("one.dcm", *_enhanced(made.name, "4.1", groups, Modality="MR"))
    made.places = {("one.dcm", n): (t, z) for n, (z, t) in enumerate(order)}
    made.facts = {"t_axis": {"means": ["dimension_3"], "values": [1, 2]}}

    xa = {"Modality": "XA", "FrameTime": 66.7, "PositionerPrimaryAngle": 10}
    made = case("enhanced xa", axes="tyx", facts={"kind": "cine", "affine_lps": None})
    groups = [_item(FrameContentSequence=_item(FrameAcquisitionNumber=n)) for n in range(3)]
    made.put("one.dcm", *_enhanced(made.name, "12.1.1", groups, _item(), **xa))

    for suffix, name, modality in (("2.1", "enhanced ct", "CT"), ("130", "enhanced pet", "PT")):
        content = [_item(PlanePositionSequence=_where(-2.0 * n)) for n in range(4)]
        for n, group in enumerate(content):
            group.FrameContentSequence = Items(
                [_item(DimensionIndexValues=[1, 4 - n], StackID="1", InStackPositionNumber=4 - n)]
            )
        made = case(name, axes="zyx")
        made.put("one.dcm", *_enhanced(name, suffix, content, Modality=modality))
        made.places = {("one.dcm", n): (None, 3 - n) for n in range(4)}
    made = case("enhanced ct of two stacks", axes="zyx", arrays=2)
    groups = [
        _item(PlanePositionSequence=_where(2.0 * n), FrameContentSequence=_item(StackID="AB"[n // 3])) for n in range(6)
    ]
    made.put("one.dcm", *_enhanced(made.name, "2.1", groups))
    made = case("enhanced mr without positions", axes="tyx", facts={"affine_lps": None, "origin_lps": None})
    groups = [_item(FrameContentSequence=_item(FrameAcquisitionNumber=n)) for n in range(3)]
    made.put("one.dcm", *_enhanced(made.name, "4.1", groups, _item(), Modality="MR"))
    made = case("fewer groups than frames", axes="tyx", flags={"functional_groups_mismatch"})
    groups = [_item(PlanePositionSequence=_where(n)) for n in range(3)]
    one, frames = _enhanced(made.name, "2.1", groups)
    one.PerFrameFunctionalGroupsSequence = Items(groups[:2])
    made.put("one.dcm", one, frames)

    made = case("parametric map", axes="zyx", facts={"kind": "parametric_map"})
    groups = [_item(PlanePositionSequence=_where(2.0 * n)) for n in range(3)]
    one, _ = _enhanced(made.name, "30", groups, Modality="MR")
    floats = [np.random.default_rng(n).normal(size=(6, 5)).astype("<f4") for n in range(3)]
    for gone in ("PixelData", "BitsStored", "HighBit", "PixelRepresentation"):
        delattr(one, gone)
    one.BitsAllocated = 32
    one.add_new(0x7FE00008, "OF", b"".join(f.tobytes() for f in floats))
    made.put("one.dcm", one, floats)

    dose = [np.random.default_rng(n).integers(0, 2**32, (6, 5), dtype="<u4") for n in range(3)]
    for name, offsets in (("dose by distance", [0, 3, 6]), ("dose by coordinate", [-50, -47, -44])):
        made = case(name, axes="zyx", facts={"kind": "dose", "dose_grid_scaling": 0.001, "dose_units": "GY"})
        made.facts["affine_lps"] = [[0.75, 0, 0, 1], [0, 0.5, 0, 2], [0, 0, 3, -50], [0, 0, 0, 1]]
        more = {"SOPClassUID": STORAGE + "481.2", "Modality": "RTDOSE", "DoseUnits": "GY", "DoseGridScaling": 0.001}
        more |= {
            "ImagePositionPatient": [1, 2, -50],
            "ImageOrientationPatient": AXIAL,
            "GridFrameOffsetVector": offsets,
        }
        made.put("one.dcm", dataset_of(name, dose, **more), dose)
        made.places = {("one.dcm", n): (None, n) for n in range(3)}
    made = case("dose of other offsets", axes="tyx", flags={"dose_offsets_mismatch"}, facts={"kind": "dose"})
    more["GridFrameOffsetVector"] = [0, 3]
    made.put("one.dcm", dataset_of(made.name, dose, **more), dose)

    cine = [picture(8, colour=True, rows=8, columns=6) // (n + 1) for n in range(3)]
    us = {"Modality": "US", "SOPClassUID": STORAGE + "3.1", "PixelSpacing": None}
    facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.04, 0.08]}}
    single("cine", cine, axes="tcyx", facts=facts, FrameTime=40, **us)
    facts = {"kind": "cine", "t_axis": {"means": ["frame_time_s"], "values": [0.0, 0.04, 0.1]}}
    single("cine of a time vector", cine, axes="tcyx", facts=facts, FrameTimeVector=[0, 40, 60], **us)

    tiles = [picture(8, colour=True, rows=4, columns=4) // (n + 1) for n in range(6)]
    slide = {"Modality": "SM", "SOPClassUID": STORAGE + "77.1.6", "PixelSpacing": None}
    slide |= {"TotalPixelMatrixRows": 8, "TotalPixelMatrixColumns": 11, "DimensionOrganizationType": "TILED_FULL"}
    offsets = [[row, column] for row in (0, 4) for column in (0, 4, 8)]
    facts = {"kind": "tiles", "t_axis": {"means": ["row_offset", "column_offset"], "values": offsets}}
    single("slide tiles", tiles, axes="tcyx", facts=facts, **slide)


def _segmentation() -> None:
    """Write a segmentation of odd frames with highdicom: what it was given must come out."""
    import highdicom
    from pydicom.sr.codedict import codes

    source = []
    for index in range(4):
        one = _slice("segmentation", index, ImagePositionPatient=[0, 0, 2.0 * index])[0]
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(one, keyword, "")
        one.ReferringPhysicianName = one.SeriesNumber = None
        one.FrameOfReferenceUID, one.SliceThickness = uid("frame of reference"), 2
        source.append(one)
    mask = np.random.default_rng(5).integers(0, 3, (4, 6, 5), dtype="u1")
    described = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"part {number}",
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Bone,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number in (1, 2)
    ]
    made_of = {"series_number": 1, "instance_number": 1, "manufacturer": "a", "manufacturer_model_name": "b"}
    one = highdicom.seg.Segmentation(
        source,
        mask,
        highdicom.seg.SegmentationTypeValues.BINARY,
        described,
        series_instance_uid=uid("series of a segmentation"),
        sop_instance_uid=uid("segmentation"),
        software_versions="c",
        device_serial_number="d",
        **made_of,
    )
    values, frames = [], []
    for group in one.PerFrameFunctionalGroupsSequence:
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        z = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        values.append([number, z])
        frames.append((mask[round(z / 2)] == number).astype("u1"))
    facts = {"kind": "segmentation", "bits_allocated": 1}
    facts["t_axis"] = {"means": ["segment_number", "position_mm"], "values": values}
    made = case("segmentation of highdicom", axes="tyx", facts=facts)
    made.put("one.dcm", written(one), frames)
    made.places = {("one.dcm", n): (n, None) for n in range(len(frames))}


def _csa(**elements: Sequence[str]) -> bytes:
    """Return a Siemens CSA header of version 2."""
    data = b"SV10\4\3\2\1" + struct.pack("<2I", len(elements), 77)
    for name, values in elements.items():
        data += name.encode().ljust(64, b"\0") + struct.pack("<I4s3I", len(values), b"FD\0\0", 3, 6, 77)
        for value in [*values, *[""] * (6 - len(values))]:  # items without text fill it up
            text = value.encode() + b"\0" if value else b""
            data += struct.pack("<4I", 77, len(text), 77, 77) + text + b"\0" * (-len(text) % 4)
    return data


def _mosaics() -> None:
    sheet = np.random.default_rng(9).integers(0, 4000, (12, 24)).astype("<u2")
    base = {"Modality": "MR", "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"], "BitsStored": 12}
    base |= {"SpacingBetweenSlices": 2.5, "ImagePositionPatient": [-9.0, -3.0, 7.0]}

    def mosaic(name: str, facts: Any, fill: Callable[[Dataset], None], maker: str = "SIEMENS") -> None:
        made = case(name, axes="yx", flags={"mosaic"}, facts={"kind": "mosaic", "mosaic": facts, "origin_lps": None})
        one = dataset_of(name, [sheet], Manufacturer=maker, **base)
        fill(one)
        made.put("one.dcm", one, [sheet])

    def csa(one: Dataset) -> None:
        data = _csa(Ignored=["a name"], NumberOfImagesInMosaic=["7"], SliceNormalVector=["0", "0", "-1"])
        one.private_block(0x29, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", data)

    # three tiles of 4 x 8 across: the first lies half of (24 - 8) * 0.75 and half of (12 - 4) * 0.5 further
    grid = {"across": 3, "down": 3, "rows": 4, "columns": 8, "spacing_mm": 2.5, "first_position_lps": [-3.0, -1.0, 7.0]}
    mosaic("mosaic by csa header", grid | {"tiles": 7, "step_lps": [0.0, 0.0, -2.5]}, csa)

    def number(one: Dataset) -> None:
        one.private_block(0x19, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 9)

    mosaic("mosaic by number", grid | {"tiles": 9}, number)
    matrix = {
        "across": 3,
        "down": 3,
        "rows": 4,
        "columns": 8,
        "spacing_mm": 2.5,
        "first_position_lps": [-3.0, -1.0, 7.0],
    }
    mosaic("mosaic by matrix", matrix, lambda one: one.add_new(0x0051100B, "LO", "4p*8"))
    mosaic("mosaic of no known tiles", True, lambda one: one.add_new(0x0051100B, "LO", "5*8"))
    mosaic("mosaic of another maker", True, lambda one: one.add_new(0x0051100B, "LO", "4*8"), maker="Somebody")

    def uih(one: Dataset) -> None:
        one.ImageType = ["ORIGINAL", "PRIMARY", "VFRAME"]
        block = one.private_block(0x65, "Image Private Header", create=True)
        block.add_new(0x50, "DS", "3")
        block.add_new(0x51, "SQ", Items([_item(ImagePositionPatient=[1, 2, z]) for z in (3, 5.5, 8)]))

    places = [[1.0, 2.0, 3.0], [1.0, 2.0, 5.5], [1.0, 2.0, 8.0]]
    plain = {"across": 2, "down": 2, "rows": 6, "columns": 12, "tiles": 3, "spacing_mm": 2.5}
    mosaic("mosaic of uih", plain | {"positions_lps": places}, uih, maker="UIH")


def _no_images() -> None:
    made = case("no images", arrays=0)
    kinds = {
        "structured_report": "88.33",
        "rt_object": "481.3",
        "encapsulated_document": "104.1",
        "waveform": "9.1.1",
        "presentation_state": "11.1",
    }
    pixels = ("Rows", "Columns", "PixelData", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
    for kind, suffix in kinds.items():
        one = _slice(kind, 0, SOPClassUID=STORAGE + suffix, **dict.fromkeys(pixels))[0]
        made.put(f"{kind}.dcm", one, None)
        made.aside[f"{kind}.dcm"] = kind


def _fill() -> dict[str, Made]:
    for entry in REFERENCE:
        _reference(entry)
    for part in (
        _native,
        _layouts,
        _lengths,
        _colour,
        _palettes,
        _regular,
        _several_at_a_position,
        _identity,
        _multi_frame,
        _segmentation,
        _mosaics,
        _no_images,
    ):
        part()
    return CASES


_fill()
