from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import time
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from conftest import CORPUS, ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_headers import (
    BIG,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    UNDEFINED,
    Element,
    encode,
    file,
    head,
    image,
    meta,
    number,
    text,
)

from dicomzarr.headers import classify as headers
from dicomzarr.headers import fast_reader, repeated_elements
from dicomzarr.headers.classify import Header, _read_header, read_header
from dicomzarr.vocabulary.reasons import REASONS

NATIVE = (EXPLICIT, IMPLICIT, BIG)


def read(data: bytes, *, use_lean: bool = True) -> Header:
    return _read_header(lambda length, offset: data[offset : offset + length], len(data), use_lean=use_lean)


def both(data: bytes) -> Header:
    """Read with the lean reader and with pydicom alone; the answers must agree."""
    answer = read(data)
    assert answer == read(data, use_lean=False)
    json.dumps(answer.facts, allow_nan=False)
    return answer


def reason_of(data: bytes) -> tuple[str, str]:
    answer = both(data)
    assert not answer.reason or REASONS[answer.reason].outcome == answer.outcome
    return answer.outcome, answer.reason


# --- what a plain image gives ------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", NATIVE)
def test_plain_image(syntax: str) -> None:
    data = file(image(syntax), syntax)
    answer = both(data)
    assert (answer.outcome, answer.reason, answer.flags) == ("image", "", ())
    assert answer.facts == {
        "TransferSyntaxUID": syntax,
        "ImageType": ["ORIGINAL", "PRIMARY"],
        "SOPClassUID": CT,
        "SOPInstanceUID": "1.2.3.4",
        "Modality": "CT",
        "PatientID": "ID 1",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "InstanceNumber": 7,
        "ImagePositionPatient": [-1.5, 2.0, 30.0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 4,
        "Columns": 6,
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "pixel": {
            "keyword": "PixelData",
            "vr": "" if syntax == IMPLICIT else "OW",
            "offset": len(data) - 48,
            "length": 48,
        },
    }


def test_descriptor_is_read_in_place(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(file(image()))
    fd = os.open(path, os.O_RDONLY)
    os.lseek(fd, 5, os.SEEK_SET)
    assert read_header(fd, path.stat().st_size) == read(path.read_bytes())
    assert os.lseek(fd, 0, os.SEEK_CUR) == 5
    os.close(fd)


def test_pydicom_is_not_imported_for_well_formed_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(file(image()))
    script = (
        "import os, sys\nfrom dicomzarr.headers.classify import read_header\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "assert read_header(fd, os.fstat(fd).st_size).outcome == 'image'\n"
        "assert not {'pydicom', 'numpy', 'zarr'} & set(sys.modules)"
    )
    scripts = ROOT / "scripts"
    subprocess.run([sys.executable, "-c", script, path], check=True, env={**os.environ, "PYTHONPATH": str(scripts)})


def test_compressed_pixel_data_has_no_length() -> None:
    fragments = struct.pack("<HHI", 0xFFFE, 0xE000, 0) + struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"\xff\xd8\xff\xd9"
    data = file(image(PixelData=Element(0x7FE00010, "OB", fragments, undefined=True)), EXPLICIT, JPEG)
    answer = both(data)
    assert answer.outcome == "image"
    assert answer.facts["pixel"]["length"] == -1
    assert data[answer.facts["pixel"]["offset"] :].startswith(fragments)


@pytest.mark.parametrize(
    ("keyword", "tag", "vr", "bits"), [("FloatPixelData", 8, "OF", 32), ("DoubleFloatPixelData", 9, "OD", 64)]
)
def test_float_pixels(keyword: str, tag: int, vr: str, bits: int) -> None:
    elements = image(
        BitsAllocated=number(0x00280100, bits),
        PixelData=Element(0x7FE00000 | tag, vr, bytes(24 * bits // 8)),
        **dict.fromkeys(("BitsStored", "HighBit", "PixelRepresentation")),
    )
    answer = both(file(elements))
    assert answer.outcome == "image"
    assert answer.facts["pixel"]["keyword"] == keyword
    assert "BitsStored" not in answer.facts


# --- encodings ---------------------------------------------------------------------------------------------------


def deflated(content: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return meta(DEFLATED) + squeeze.compress(content) + squeeze.flush()


def test_deflated_offsets_count_in_the_inflated_data_set() -> None:
    content = encode(image(), EXPLICIT)
    answer = both(deflated(content))
    assert answer.outcome == "image"
    assert answer.facts["TransferSyntaxUID"] == DEFLATED
    assert answer.facts["pixel"]["offset"] == len(content) - 48


def test_deflate_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(headers, "MAX_INFLATED_HEADER", 1 << 18)
    assert reason_of(deflated(encode(image(pixels=bytes(1 << 24)), EXPLICIT))) == ("quarantined", "too_large")


def test_cut_deflate_stream() -> None:
    data = deflated(encode(image(pixels=random.Random(0).randbytes(48)), EXPLICIT))
    assert reason_of(data[:-20]) == ("quarantined", "truncated_pixel_data")
    assert reason_of(meta(DEFLATED) + b"\xff" * 100) == ("quarantined", "unreadable_header")


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("declared", NATIVE)
def test_declaration_that_contradicts_the_data(syntax: str, declared: str) -> None:
    answer = both(file(image(syntax), syntax, declared))
    assert answer.outcome == "image"
    assert answer.facts["TransferSyntaxUID"] == syntax
    assert answer.flags == (() if syntax == declared else ("wrong_transfer_syntax",))


@pytest.mark.parametrize("syntax", NATIVE)
def test_missing_declaration(syntax: str) -> None:
    answer = both(file(image(syntax), syntax, None))
    assert (answer.outcome, answer.flags) == ("image", ("assumed_transfer_syntax",))
    assert answer.facts["TransferSyntaxUID"] == syntax


@pytest.mark.parametrize("syntax", NATIVE)
def test_without_prefix(syntax: str) -> None:
    content = encode(image(syntax), syntax)
    answer = both(content)
    assert (answer.outcome, answer.flags) == ("image", ("assumed_transfer_syntax",))
    assert answer.facts["TransferSyntaxUID"] == syntax
    assert answer.facts["pixel"]["offset"] == len(content) - 48
    assert reason_of(b" " + content) == ("ignored", "not_dicom")  # a stray byte is not guessed away
    assert reason_of(content.replace(b"1.2", b"x.y")) == ("ignored", "not_dicom")  # no UID is a UID


def test_meta_information_without_preamble() -> None:
    answer = both(file(image())[132:])
    assert (answer.outcome, answer.flags) == ("image", ())


@pytest.mark.parametrize("data", [b"x", b"Rows: 512\n" * 99, b"\x08\0" * 300, b"\x02\0" * 9, bytes(4096)])
def test_not_dicom(data: bytes) -> None:
    assert reason_of(data) == ("ignored", "not_dicom")


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_archives_are_told_by_their_bytes(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "image.dcm").write_bytes(file(image()))
    made = Path(shutil.make_archive(str(tmp_path / "made"), form, tmp_path / "in"))
    assert reason_of(made.read_bytes()) == ("skipped", "archive")
    assert both(made.read_bytes()[:128].ljust(128, b"\0") + file(image())[128:]).outcome == "image"  # a preamble may


def test_empty_and_prefix_only() -> None:
    assert reason_of(b"") == ("ignored", "empty_file")
    assert reason_of(bytes(128) + b"DICM") == ("quarantined", "truncated_header")
    assert reason_of(meta()) == ("quarantined", "truncated_header")
    assert reason_of(bytes(128) + b"DICM" + b"just a text " * 40)[0] == "quarantined"


def test_unknown_syntax_keeps_its_name() -> None:
    answer = both(file(image(), EXPLICIT, "1.2.840.113619.5.2"))
    assert (answer.outcome, answer.facts["TransferSyntaxUID"]) == ("image", "1.2.840.113619.5.2")


# --- cut files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", NATIVE)
def test_cut_anywhere_is_never_an_image(syntax: str) -> None:
    data = file(image(syntax), syntax)
    for length in range(133, len(data)):
        outcome, reason = reason_of(data[:length])
        # Cut cleanly between two elements, a file cannot be told from one that was written without pixels.
        assert outcome == "quarantined" or reason in ("no_pixel_data", "missing_pixel_data"), length
        if length > len(data) - 48:
            assert reason == "truncated_pixel_data"


def test_pixel_data_length_that_lies() -> None:
    short = image(PixelData=Element(0x7FE00010, "OW", bytes(46)))
    assert reason_of(file(short)) == ("quarantined", "truncated_pixel_data")
    vast = image(PixelData=Element(0x7FE00010, "OW", bytes(48), length=0xFFFFFFF0))
    assert reason_of(file(vast)) == ("image", "")  # all voxels are there


def test_bits_are_packed_across_frames() -> None:
    def bits(frames: str, pixels: int) -> bytes:
        return file(
            image(
                BitsAllocated=number(0x00280100, 1),
                BitsStored=number(0x00280101, 1),
                HighBit=number(0x00280102, 0),
                Rows=number(0x00280010, 3),
                Columns=number(0x00280011, 3),
                NumberOfFrames=text(0x00280008, "IS", frames),
                PixelData=Element(0x7FE00010, "OB", bytes(pixels)),
            )
        )

    assert reason_of(bits("5", 6))[0] == "image"  # 45 bits
    assert reason_of(bits("6", 6)) == ("quarantined", "truncated_pixel_data")


def test_halved_chroma_needs_fewer_bytes() -> None:
    colour = image(
        SamplesPerPixel=number(0x00280002, 3),
        PhotometricInterpretation=text(0x00280004, "CS", "YBR_FULL_422"),
        BitsAllocated=number(0x00280100, 8),
        BitsStored=number(0x00280101, 8),
        HighBit=number(0x00280102, 7),
    )
    assert reason_of(file(colour))[0] == "image"  # 24 pixels in 48 bytes


# --- kinds of objects --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "reason"),
    [
        ("88.33", "structured_report"),
        ("481.3", "rt_object"),
        ("481.2", "rt_object"),
        ("11.1", "presentation_state"),
        ("104.1", "encapsulated_document"),
        ("9.1.1", "waveform"),
        ("66", "no_pixel_data"),
    ],
)
def test_objects_without_pixels(suffix: str, reason: str) -> None:
    elements = image()[:9]
    elements[1] = text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1." + suffix)
    assert reason_of(file(elements)) == ("skipped", reason)
    assert reason_of(file(elements) + bytes(500)) == ("skipped", reason)  # padded with zeros by its writer


def test_an_image_without_pixels_is_missing_them() -> None:
    assert reason_of(file(image(PixelData=None))) == ("skipped", "missing_pixel_data")
    assert reason_of(file(image()[:9])) == ("skipped", "no_pixel_data")  # nothing says that there ever was an image
    spectrum = image(PixelData=None, SOPClassUID=text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.4.2"))
    assert reason_of(file(spectrum)) == ("skipped", "no_pixel_data")


def test_dicomdir() -> None:
    records = Element(0x00041220, "SQ", ((text(0x00041430, "CS", "PATIENT"),),))
    assert reason_of(meta(EXPLICIT, "1.2.840.10008.1.3.10") + records.encode(EXPLICIT)) == ("skipped", "dicomdir")
    assert reason_of(meta() + records.encode(EXPLICIT)) == ("skipped", "dicomdir")


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"Rows": None}, "missing_attribute"),
        ({"Rows": Element(0x00280010, "US", b"")}, "missing_attribute"),
        ({"Rows": number(0x00280010, 0)}, "invalid_attribute"),
        ({"Rows": Element(0x00280010, "US", b"\1\0\2\0")}, "invalid_attribute"),
        ({"Rows": text(0x00280010, "LO", "CANARY")}, "invalid_attribute"),
        ({"Rows": Element(0x00280010, "SS", b"\xff\xff")}, "invalid_attribute"),
        ({"Columns": None}, "missing_attribute"),
        ({"BitsAllocated": number(0x00280100, 7)}, "invalid_attribute"),
        ({"BitsAllocated": number(0x00280100, 255)}, "invalid_attribute"),
        ({"BitsStored": None}, "missing_attribute"),
        ({"BitsStored": number(0x00280101, 17)}, "invalid_attribute"),
        ({"HighBit": number(0x00280102, 10)}, "invalid_attribute"),
        ({"HighBit": number(0x00280102, 16)}, "invalid_attribute"),
        ({"PixelRepresentation": None}, "missing_attribute"),
        ({"PixelRepresentation": number(0x00280103, 2)}, "invalid_attribute"),
        ({"PhotometricInterpretation": None}, "missing_attribute"),
        ({"SamplesPerPixel": number(0x00280002, 3)}, "invalid_attribute"),
        ({"NumberOfFrames": text(0x00280008, "IS", "-1")}, "invalid_attribute"),
        ({"NumberOfFrames": text(0x00280008, "IS", "0")}, "invalid_attribute"),
        ({"NumberOfFrames": text(0x00280008, "IS", "many")}, "invalid_attribute"),
        ({"NumberOfFrames": text(0x00280008, "IS", "9" * 40)}, "invalid_attribute"),
        ({"NumberOfFrames": text(0x00280008, "IS", "9" * 11)}, "truncated_pixel_data"),
        ({"PixelData": Element(0x7FE00010, "LO", bytes(48))}, "invalid_attribute"),
    ],
)
def test_attributes_that_decoding_needs(change: dict[str, Any], reason: str) -> None:
    answer = both(file(image(**change)))
    assert (answer.outcome, answer.reason) == ("quarantined", reason)


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (number(0x00280010, 4, vr="UL"), ("Rows", 4)),
        (text(0x00280010, "IS", " 4"), ("Rows", 4)),
        (Element(0x00280010, "UN", b"\4\0"), ("Rows", 4)),
        (text(0x00181060, "DS", "nan"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1e999"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1_0"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1,5"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1\\2"), ("TriggerTime", None)),
        (Element(0x00181060, "DS", b" 1.5\0"), ("TriggerTime", 1.5)),
        (Element(0x00181060, "DS", b"  "), ("TriggerTime", None)),
        (text(0x00180086, "IS", "2\\1"), ("EchoNumbers", 2)),
        (text(0x00180086, "IS", "2.0"), ("EchoNumbers", 2)),
        (text(0x00180086, "IS", "2.5"), ("EchoNumbers", None)),
        (text(0x00280034, "IS", "4\\3"), ("PixelAspectRatio", [4, 3])),
        (Element(0x00189087, "FD", struct.pack("<d", 1000.5)), ("DiffusionBValue", 1000.5)),
        (Element(0x00189087, "FD", struct.pack("<d", float("nan"))), ("DiffusionBValue", None)),
        (text(0x00189087, "DS", "1000"), ("DiffusionBValue", 1000.0)),
        (Element(0x00100020, "LO", "Gr\u00fc\u00df".encode() + b" \0"), ("PatientID", "Gr\u00c3\u00bc\u00c3\u009f")),
        (text(0x00281050, "DS", "40\\-600"), ("WindowCenter", [40.0, -600.0])),
        (text(0x3004000C, "DS", "\\".join(["0.5"] * 9000)), ("GridFrameOffsetVector", None)),
    ],
)
def test_values(element: Element, expected: tuple[str, object]) -> None:
    keyword, value = expected
    elements = [e for e in image() if e.tag != element.tag] + [element]
    answer = both(file(sorted(elements, key=lambda e: e.tag)))
    if keyword == "GridFrameOffsetVector":
        assert answer.facts[keyword] == [0.5] * 9000
    else:
        assert answer.facts.get(keyword) == value
    assert answer.outcome == "image"


@pytest.mark.parametrize("vr", ["US", "SS"])
@pytest.mark.parametrize(("representation", "expected"), [(0, 63536), (1, -2000)])
def test_padding_value_is_signed_as_the_pixels_are(vr: str, representation: int, expected: int) -> None:
    elements = image(
        PixelRepresentation=number(0x00280103, representation),
        PixelPaddingValue=Element(0x00280120, vr, struct.pack("<H", 63536)),
    )
    assert both(file(elements)).facts["PixelPaddingValue"] == expected


def test_only_the_top_level_counts() -> None:
    nested = (text(0x00080060, "CS", "XX"), number(0x00280010, 999))
    for undefined in (False, True):
        sequence = Element(0x00082112, "SQ", (nested,), undefined, item_lengths_undefined=undefined)
        answer = both(file(image(SourceImageSequence=sequence)))
        assert (answer.facts["Rows"], answer.facts["Modality"]) == (4, "CT")
        without = both(file(image(Modality=None, SourceImageSequence=sequence)))
        assert "Modality" not in without.facts


def test_sequences_that_extraction_reads_itself() -> None:
    for tag, keyword in (
        (0x52009229, "has_functional_groups"),
        (0x52009230, "has_functional_groups"),
        (0x00283000, "has_modality_lut"),
    ):
        for undefined in (False, True):
            sequence = Element(tag, "SQ", ((number(0x00283002, 1),),), undefined)
            facts = both(file(image(Sequence=sequence))).facts
            assert facts[keyword] is True  # type: ignore[literal-required]
    assert both(file(image(Lut=Element(0x00281101, "US", bytes(6))))).facts["has_palette"] is True


# --- hostile structure -------------------------------------------------------------------------------------------


def test_tags_out_of_order_and_twice() -> None:
    elements = image()
    elements[3], elements[5] = elements[5], elements[3]
    assert both(file(elements)).outcome == "image"
    doubled = [*elements[:-1], number(0x00280010, 4), elements[-1]]
    assert both(file(doubled)).outcome == "image"
    contradictory = [*elements[:-1], number(0x00280010, 5), elements[-1]]
    assert reason_of(file(contradictory)) == ("quarantined", "unreadable_header")


@pytest.mark.parametrize("levels", [15, 40, 20_000])
def test_deep_nesting(levels: int) -> None:
    opening = head(0x00082112, "SQ", UNDEFINED, EXPLICIT) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    data = meta() + encode(image()[:4], EXPLICIT) + opening * levels + closing * levels + encode(image()[4:], EXPLICIT)
    answer = both(data) if levels < 100 else read(data)
    assert answer.outcome == ("image" if levels < 100 else "quarantined")


def test_unknown_of_undefined_length_is_implicit_inside() -> None:
    # PS3.5 6.2.2: a sequence whose VR the writer did not know
    inside = Element(0x00091001, "SQ", ((text(0x00080060, "CS", "XX"),),), undefined=True).encode(IMPLICIT)[8:]
    unknown = head(0x00091001, "UN", UNDEFINED, EXPLICIT) + inside
    data = meta() + encode(image()[:4], EXPLICIT) + unknown + encode(image()[4:], EXPLICIT)
    assert both(data).outcome == "image"


def test_undefined_length_that_never_ends() -> None:
    data = meta() + encode(image()[:4], EXPLICIT) + head(0x00082112, "SQ", UNDEFINED, EXPLICIT)
    assert reason_of(data + encode(image()[4:], EXPLICIT))[0] == "quarantined"
    assert reason_of(data) == ("quarantined", "truncated_header")


def test_huge_declared_lengths_allocate_nothing() -> None:
    for tag, vr in ((0x00091010, "OB"), (0x3004000C, "UT"), (0x00281221, "OW")):
        elements = encode(image()[:4], EXPLICIT) + head(tag, vr, 0xFFFFFFF0, EXPLICIT)
        assert reason_of(meta() + elements + bytes(64)) == ("quarantined", "truncated_header")


def test_sparse_file_of_zeros_is_given_up_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    path.write_bytes(file(image()[:4]))
    os.truncate(path, 2 << 30)
    with open(path, "rb") as source:
        start = time.monotonic()
        answer = read_header(source.fileno(), 2 << 30)
        assert time.monotonic() - start < 5
    assert (answer.outcome, answer.reason) == ("quarantined", "unreadable_header")


def test_long_identifier_is_refused() -> None:
    for value in (b"1" * 70_000, b"1" * (2 << 20)):
        elements = image(SOPInstanceUID=Element(0x00080018, "UI", value))
        assert reason_of(file(elements, IMPLICIT)) == ("quarantined", "invalid_attribute")


def test_a_failing_disk_is_no_fault_of_the_header() -> None:
    data = file(image(BIG), BIG)  # big endian: pydicom reads it

    def failing(length: int, offset: int) -> bytes:
        if offset > 400:
            raise OSError(5, "Input/output error")
        return data[offset : offset + length]

    with pytest.raises(OSError, match="Input/output"):
        _read_header(failing, len(data))


# --- both readers, any data set ----------------------------------------------------------------------------------

_texts = st.text("0123456789.-+eE \\ABC_\0", max_size=12)
_vrs = st.sampled_from(["CS", "DS", "IS", "LO", "UI", "US", "SS", "FD", "UN", "OB", "UL", "UT"])
_tags = st.one_of(
    st.sampled_from(sorted(headers.WANTED)),
    st.integers(0x00080000, 0x0060FFFF).filter(lambda tag: tag >> 16 != 0 and tag != 0x00080005),
)


def _elements(depth: int) -> st.SearchStrategy[Element]:
    plain = st.builds(
        Element,
        _tags,
        _vrs,
        st.one_of(_texts.map(lambda t: t.encode()), st.binary(max_size=9)).map(lambda v: v + b"\0" * (len(v) % 2)),
    )
    if not depth:
        return plain
    items = st.lists(_data_sets(depth - 1), max_size=3).map(tuple)
    # Sequences stand where the dictionary has one or says nothing: undefined lengths elsewhere mean nothing certain.
    tags = st.one_of(st.sampled_from([0x00082112, 0x00283000, 0x52009229]), st.integers(0x00090010, 0x0009FFFF))
    return st.one_of(plain, st.builds(Element, tags, st.just("SQ"), items, st.booleans(), st.none(), st.booleans()))


def _data_sets(depth: int) -> st.SearchStrategy[tuple[Element, ...]]:
    # An empty item is followed by its delimiter, which pydicom takes for implicit VR: it is then read otherwise.
    return st.lists(_elements(depth), min_size=1, max_size=6, unique_by=lambda e: e.tag).map(
        lambda elements: tuple(sorted(elements, key=lambda e: e.tag))
    )


@settings(max_examples=150)
@given(_data_sets(3), st.sampled_from([EXPLICIT, IMPLICIT]), st.booleans())
def test_both_readers_agree(extra: tuple[Element, ...], syntax: str, overriding: bool) -> None:
    mine = {element.tag: element for element in image(syntax)}
    for element in extra:
        if overriding or element.tag not in mine:
            mine[element.tag] = element
    data = file(sorted(mine.values(), key=lambda e: e.tag), syntax)
    answer = both(data)
    if answer.outcome == "image":
        dataset = pydicom.dcmread(BytesIO(data), stop_before_pixels=True)
        offset = answer.facts["pixel"]["offset"]
        assert data[offset - 4 : offset] == struct.pack("<I", 48)
        if not overriding:
            assert dataset.SOPInstanceUID == answer.facts["SOPInstanceUID"]
            assert list(dataset.ImagePositionPatient) == answer.facts["ImagePositionPatient"]


@settings(max_examples=100)
@given(_data_sets(3), st.sampled_from([EXPLICIT, IMPLICIT]))
def test_lean_reader_understands_well_formed_data(extra: tuple[Element, ...], syntax: str) -> None:
    elements = {element.tag: element for element in extra} | {element.tag: element for element in image(syntax)}
    content = encode(sorted(elements.values(), key=lambda e: e.tag), syntax)
    raw = fast_reader.read_raw(
        lambda length, offset: content[offset : offset + length], len(content), 0, syntax == IMPLICIT, headers.WANTED
    )
    assert raw.pixel is not None
    assert raw.pixel[2] == len(content) - 48


def test_blocks_may_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    sequence = Element(0x00082112, "SQ", (tuple(image()[:9]),) * 3, True, item_lengths_undefined=True)
    data = file(image(SourceImageSequence=sequence, Private=Element(0x00091010, "OB", bytes(300))))
    expected = both(data)
    for size in range(260, 700, 7):  # file meta information must fit into the first block
        monkeypatch.setattr(fast_reader, "BLOCK", size)
        assert both(data) == expected


# --- fuzz --------------------------------------------------------------------------------------------------------


def _mutated(data: bytes, random_: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        place = random_.randrange(len(changed))
        match random_.randrange(6):
            case 0:
                changed[place] = random_.randrange(256)
            case 1:
                changed[place : place + 4] = random_.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f"))
            case 2:
                del changed[place : place + random_.randrange(1, 40)]
            case 3:
                changed[place:place] = random_.randbytes(random_.randrange(1, 40))
            case 4:
                changed[place : place + 2] = random_.choice((b"SQ", b"UN", b"OB", b"UT", b"US", b"??"))
            case _:
                del changed[place:]
        if not changed:
            return b""
    return bytes(changed)


def test_fuzz_never_fails_and_never_hangs() -> None:
    random_ = random.Random(20240501)
    nested = Element(0x00082112, "SQ", (tuple(image()[:9]),) * 2, True, item_lengths_undefined=True)
    seeds = [file(image(syntax, SourceImageSequence=nested), syntax) for syntax in NATIVE]
    seeds += [encode(image(syntax), syntax) for syntax in NATIVE] + [deflated(encode(image(), EXPLICIT))]
    slowest = 0.0
    for _ in range(2000):
        data = _mutated(random_.choice(seeds), random_)
        start = time.monotonic()
        answer = read(data)
        slowest = max(slowest, time.monotonic() - start)
        assert answer.outcome == "image" or REASONS[answer.reason].outcome == answer.outcome
        json.dumps(answer.facts, allow_nan=False)
    assert slowest < 1


def test_nothing_is_printed_or_logged(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    bad = [
        image(Charset=text(0x00080005, "CS", "CANARY")),
        image(Rows=text(0x00280010, "LO", "CANARY")),
        [*image(), text(0x00080060, "CS", "CANARY")],
    ]
    for elements in bad:
        read(file(elements), use_lean=False)
        read(file(elements, IMPLICIT, EXPLICIT), use_lean=False)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""
    assert not list(recwarn)


# --- real files --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the open corpus is not beside the repository")
def test_corpus() -> None:
    expected = json.loads((CORPUS / "expected.json").read_text())["files"]
    outcomes = {"image": "image", "no_pixels": "skipped", "dicomdir": "skipped", "corrupt": "quarantined"}
    for path, golden in expected.items():
        with open(CORPUS / "dicom" / path, "rb") as source:
            size = os.fstat(source.fileno()).st_size
            answer = read_header(source.fileno(), size)
            assert answer == _read_header(partial(os.pread, source.fileno()), size, use_lean=False), path
        assert answer.outcome == outcomes.get(golden["expect"], "ignored"), path
        if answer.outcome == "image":
            facts = answer.facts
            assert {
                "rows": facts["Rows"],
                "columns": facts["Columns"],
                "frames": facts.get("NumberOfFrames", 1),
                "samples": facts["SamplesPerPixel"],
                "bits_allocated": facts["BitsAllocated"],
                "bits_stored": facts["BitsStored"],
                "signed": facts["PixelRepresentation"] == 1,
                "photometric": facts["PhotometricInterpretation"],
                "transfer_syntax": facts["TransferSyntaxUID"],
                "series": facts["SeriesInstanceUID"],
                "sop_class": facts["SOPClassUID"],
            }.items() <= golden.items(), path


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the open corpus is not beside the repository")
def test_fuzz_of_real_headers() -> None:
    random_ = random.Random(7)
    paths = sorted(path for path in (CORPUS / "dicom").rglob("*") if path.is_file())
    for path in random_.sample(paths, 60):
        whole = path.read_bytes()
        header, rest = whole[:4000], whole[4000:]
        for _ in range(10):
            answer = read(_mutated(header, random_) + rest)
            assert answer.outcome == "image" or answer.reason in REASONS


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_what_comes_again_means_what_it_means_in_its_own_file(syntax: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_elements, "MANY", 1)  # so that a few elements alike are learnt as a run
    repeated_elements.MEMORIES.clear()
    alike = {
        "SmallestImagePixelValue": number(0x00280106, 65000, syntax),
        "LargestImagePixelValue": number(0x00280107, 65535, syntax),
        "PixelPaddingValue": number(0x00280120, 65001, syntax),
        "WindowCenter": text(0x00281050, "DS", "40\\400"),
        "RescaleIntercept": text(0x00281052, "DS", "NaN"),
        "RescaleSlope": text(0x00281053, "DS", "1"),
    }
    found = []
    for turn in range(40):
        signed = number(0x00280103, turn % 2, syntax)
        instance = text(0x00200013, "IS", str(turn))
        made = image(syntax, InstanceNumber=instance, PixelRepresentation=signed, **alike)
        found.append(both(file(made, syntax)))
    (known,) = repeated_elements.MEMORIES.values()
    repeated_elements.MEMORIES.clear()
    assert any(run.meanings for run in known.runs)
    assert [header.facts["PixelPaddingValue"] for header in found] == [65001, -535] * 20
    assert [header.facts["InstanceNumber"] for header in found] == list(range(40))
