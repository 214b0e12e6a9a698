"""Classification of files by their header, and the attributes of images."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import CORPUS, ROOT
from headers_of_bytes import NATIVE, both, deflated, reason_of
from made_up_headers import (
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    JPEG,
    Element,
    encode,
    file,
    image,
    meta,
    number,
    text,
)

from dicomzarr.headers import data_set
from dicomzarr.headers.classify import read_header

# --- what a plain image gives ------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", NATIVE)
def test_the_facts_of_a_plain_image(syntax: str) -> None:
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


def test_pydicom_is_not_imported_for_well_formed_files(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(file(image()))
    script = (
        "import functools, os, sys\nfrom dicomzarr.headers.classify import read_header\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "assert read_header(functools.partial(os.pread, fd), os.fstat(fd).st_size).outcome == 'image'\n"
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
def test_float_pixels_are_images_without_bits_stored(keyword: str, tag: int, vr: str, bits: int) -> None:
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


def test_deflated_offsets_count_in_the_inflated_data_set() -> None:
    content = encode(image(), EXPLICIT)
    answer = both(deflated(content))
    assert answer.outcome == "image"
    assert answer.facts["TransferSyntaxUID"] == DEFLATED
    assert answer.facts["pixel"]["offset"] == len(content) - 48


def test_deflate_bomb_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_set, "MAX_INFLATED", 1 << 20)
    monkeypatch.setattr(data_set, "MAX_INFLATED_HEADER", 1 << 18)
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
def test_a_data_set_without_a_prefix_is_read_and_nothing_near_it(syntax: str) -> None:
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
def test_archives_are_recognised_by_their_bytes(form: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "image.dcm").write_bytes(file(image()))
    archive = Path(shutil.make_archive(str(tmp_path / "made"), form, tmp_path / "in"))
    assert reason_of(archive.read_bytes()) == ("skipped", "archive")
    assert both(archive.read_bytes()[:128].ljust(128, b"\0") + file(image())[128:]).outcome == "image"  # a preamble may


@pytest.mark.parametrize("syntax", NATIVE)
@pytest.mark.parametrize("named", [False, True])
def test_letters_of_the_prefix_within_a_value(syntax: str, named: bool) -> None:
    """A file without preamble is read from its first byte, also if the letters DICM are at byte 128."""

    def padded(count: int) -> bytes:
        word = "x" * count + "DICM station 1"
        if named:  # with File Meta Information
            version = text(0x00020013, "SH", word).encode(EXPLICIT)
            return meta(syntax)[132:] + version + encode(image(syntax), syntax)
        return encode(image(syntax, Modality=text(0x00080060, "CS", "CT" + word)), syntax)

    content = next(content for content in map(padded, range(0, 128, 2)) if content[128:132] == b"DICM")
    answer = both(content)
    assert (answer.outcome, answer.facts["TransferSyntaxUID"]) == ("image", syntax)
    assert answer.facts["pixel"]["offset"] == len(content) - 48
    # A preamble may begin like a data set: File Meta Information follows the prefix.
    whole = content[:128] + file(image(syntax), syntax)[128:]
    assert both(whole).facts["pixel"]["offset"] == len(whole) - 48


def test_empty_and_prefix_only() -> None:
    assert reason_of(b"") == ("ignored", "empty_file")
    assert reason_of(bytes(128) + b"DICM") == ("quarantined", "truncated_header")
    assert reason_of(meta()) == ("quarantined", "truncated_header")
    assert reason_of(bytes(128) + b"DICM" + b"just a text " * 40)[0] == "quarantined"


def test_unknown_syntax_keeps_its_name() -> None:
    answer = both(file(image(), EXPLICIT, "1.2.840.113619.5.2"))
    assert (answer.outcome, answer.facts["TransferSyntaxUID"]) == ("image", "1.2.840.113619.5.2")


def test_wrong_pixel_data_length() -> None:
    short = image(PixelData=Element(0x7FE00010, "OW", bytes(46)))
    assert reason_of(file(short)) == ("quarantined", "truncated_pixel_data")
    vast = image(PixelData=Element(0x7FE00010, "OW", bytes(48), length=0xFFFFFFF0))
    assert reason_of(file(vast)) == ("image", "")  # all voxels are present


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
        ("481.3", "structure_set"),
        ("481.5", "rt_object"),
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
    assert reason_of(file(image()[:9])) == ("skipped", "no_pixel_data")  # it never described pixels
    spectrum = image(PixelData=None, SOPClassUID=text(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.4.2"))
    assert reason_of(file(spectrum)) == ("skipped", "no_pixel_data")


@pytest.mark.parametrize("syntax", NATIVE)
def test_pixels_that_a_maker_compresses_in_private_elements(syntax: str) -> None:
    """Creator, elements and the name of the method are those of scanners, as dcm2niix and GDCM know them."""
    creator, method = text(0x07A10010, "LO", "ELSCINT1"), text(0x07A11011, "CS", "PMSCT_RLE1")
    pixels = Element(0x07A1100A, "OW", bytes(30))
    private = {"Creator": creator, "Pixels": pixels, "Method": method}
    answer = both(file(image(syntax, PixelData=None, **private), syntax))
    assert (answer.outcome, answer.reason) == ("quarantined", "unsupported_transfer_syntax")
    assert not any("PMSCT" in str(value) for value in answer.facts.values())
    assert both(file(image(syntax, **private), syntax)).outcome == "image"
    other = {**private, "Method": text(0x07A11011, "CS", "NONE")}
    assert reason_of(file(image(syntax, PixelData=None, **other), syntax)) == ("skipped", "missing_pixel_data")


@pytest.mark.parametrize("number", [94, 95, 204, 205])
def test_pixels_on_a_jpip_server(number: int) -> None:
    syntax = f"{IMPLICIT}.4.{number}"
    url = Element(0x00287FE0, "UR", b"https://example.org/jpip?target=1 ")
    data = file(image(PixelData=None, Url=url), declared=syntax)
    if number in (95, 205):
        data = deflated(data[len(meta(syntax)) :], syntax)
    assert reason_of(data) == ("quarantined", "unsupported_transfer_syntax")


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
        ({"HighBit": number(0x00280102, 10), "BitsStored": number(0x00280101, 12)}, "invalid_attribute"),
        ({"HighBit": number(0x00280102, 16), "BitsStored": number(0x00280101, 12)}, "invalid_attribute"),
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


@pytest.mark.parametrize("planar", [number(0x00280006, 2), number(0x00280006, 0xFFFF), text(0x00280006, "LO", "none")])
def test_planar_configuration_says_nothing_of_one_sample(planar: Element) -> None:
    """PS3.3 C.7.6.3.1.3: it is required only if Samples per Pixel is greater than 1."""
    assert both(file(image(PlanarConfiguration=planar))).outcome == "image"
    assert both(file(image(PlanarConfiguration=planar, SamplesPerPixel=None))).outcome == "image"
    colour = {"SamplesPerPixel": number(0x00280002, 3), "PhotometricInterpretation": text(0x00280004, "CS", "RGB")}
    answer = both(file(image(PlanarConfiguration=planar, pixels=bytes(144), **colour)))
    assert (answer.outcome, answer.reason) == ("quarantined", "invalid_attribute")


@pytest.mark.parametrize(
    ("element", "expected"),
    [
        (number(0x00280010, 4, vr="UL"), ("Rows", 4)),
        (text(0x00280010, "IS", " 4"), ("Rows", 4)),
        (Element(0x00280010, "UN", b"\4\0"), ("Rows", 4)),
        (text(0x00181060, "DS", "nan"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1e999"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1_0"), ("TriggerTime", None)),
        (text(0x00181060, "DS", "1,5"), ("TriggerTime", 1.5)),
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
def test_values_are_read_as_numbers_and_texts(element: Element, expected: tuple[str, object]) -> None:
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


# --- real files --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the open corpus is not beside the repository")
def test_every_file_of_the_corpus_has_its_expected_outcome() -> None:
    expected = json.loads((CORPUS / "expected.json").read_text())["files"]
    outcomes = {"image": "image", "no_pixels": "skipped", "dicomdir": "skipped", "corrupt": "quarantined"}
    for path, golden in expected.items():
        with open(CORPUS / "dicom" / path, "rb") as source:
            size, reads = os.fstat(source.fileno()).st_size, partial(os.pread, source.fileno())
            answer = read_header(reads, size)
            assert answer == read_header(reads, size, use_fast=False), path
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
