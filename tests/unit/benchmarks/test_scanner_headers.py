"""Headers as scanners write them: how many elements and bytes, what is nested, what differs between files."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator

import pydicom
import pytest
from conftest import ROOT
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

sys.path.insert(0, str(ROOT))

from benchmarks.scanner_headers import Enhanced, Header, Parts, Place, ct, elements_of, mr

from dicomzarr.headers.classify import read_header

Maker = Header | Enhanced
PLACE = Place(study=3, series=7, index=12, extremes=(5, 1234))
PIXELS = {"mr": bytes(64 * 64 * 2), "ct": bytes(512 * 512 * 2), "enhanced": bytes(500 * 64 * 64 * 2)}
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def made(kind: str, syntax: str = ExplicitVRLittleEndian) -> Maker:
    return {"mr": mr, "ct": ct, "enhanced": Enhanced}[kind](syntax=syntax)


@pytest.fixture(scope="module")
def explicit() -> dict[str, Maker]:
    return {kind: made(kind) for kind in PIXELS}


def read(maker: Maker, pixels: bytes, place: Place = PLACE) -> Dataset:
    content = pydicom.dcmread(io.BytesIO(maker.file(place, pixels)))
    assert content.PixelData == pixels
    del content.PixelData
    return content


def walk(content: Dataset, depth: int = 0) -> Iterator[tuple[int, pydicom.DataElement]]:
    for element in content:
        yield depth, element
        if element.VR == "SQ":
            for item in element.value:
                yield from walk(item, depth + 1)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kind", "count", "size", "depth"), [("mr", 361, 17_000, 4), ("ct", 160, 8_000, 1)])
def test_as_many_elements_bytes_and_levels_as_scanners_write(
    explicit: dict[str, Maker], kind: str, count: int, size: int, depth: int
) -> None:
    content = read(explicit[kind], PIXELS[kind])
    found = list(walk(content))
    assert len(found) == elements_of(content) == count
    assert abs(len(explicit[kind].header(PLACE)) - size) < 0.02 * size
    assert max(level for level, _ in found) == depth
    undefined = {element.is_undefined_length for _, element in found if element.VR == "SQ"}
    assert undefined == {True, False}
    creators = {(e.tag.group, e.value) for _, e in found if e.tag.is_private_creator}
    assert len(creators) >= 5
    assert sum(e.tag.is_private for _, e in found) > 0.25 * count
    assert max(len(e.value) for _, e in found if e.VR in ("OB", "UN")) > 3000


@pytest.mark.filterwarnings("error")
def test_an_enhanced_file_has_ten_sequences_and_more_in_each_of_500_frames(explicit: dict[str, Maker]) -> None:
    content = read(explicit["enhanced"], PIXELS["enhanced"])
    frames = content.PerFrameFunctionalGroupsSequence
    assert len(frames) == content.NumberOfFrames == 500
    for item in frames[:3]:
        sequences = [element for element in item if element.VR == "SQ"]
        assert len(sequences) == 11
        assert {element.is_undefined_length for element in sequences} == {True, False}
        assert sum(element.VR == "SQ" for _, element in walk(item)) == 12
    positions = {(item.PlanePositionSequence[0].ImagePositionPatient[2]) for item in frames}
    assert len(positions) == 50
    indices = {tuple(item.FrameContentSequence[0].DimensionIndexValues) for item in frames}
    assert indices == {(z, t) for z in range(1, 51) for t in range(1, 11)}
    assert len(content.SharedFunctionalGroupsSequence[0]) == 4


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("kind", PIXELS)
def test_each_encoding_has_the_same_facts_and_is_an_image(kind: str, syntax: str, explicit: dict[str, Maker]) -> None:
    data = made(kind, syntax).file(PLACE, PIXELS[kind])
    facts = read_header(lambda size, at: data[at : at + size], len(data))
    assert (facts.outcome, facts.reason, facts.flags) == ("image", "", ())
    content = read(explicit[kind], PIXELS[kind])
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID"):
        assert facts.facts[keyword] == content[keyword].value
    assert len({content.SOPInstanceUID, content.SeriesInstanceUID, content.StudyInstanceUID}) == 3


@pytest.mark.parametrize("kind", PIXELS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(kind: str, explicit: dict[str, Maker]) -> None:
    again, other = made(kind), {"mr": mr, "ct": ct, "enhanced": Enhanced}[kind](seed=1)
    assert explicit[kind].header(PLACE) == again.header(PLACE) != other.header(PLACE)


@pytest.mark.parametrize("kind", ["mr", "ct"])
def test_files_of_a_series_differ_where_scanners_have_them_differ(kind: str, explicit: dict[str, Maker]) -> None:
    contents = [
        read(explicit[kind], PIXELS[kind], Place(3, 7, index, extremes=(index, 4000 + index))) for index in range(12)
    ]
    varying = {
        element.keyword or str(element.tag)
        for element in contents[0]
        if element.VR != "SQ" and len({str(content[element.tag].value) for content in contents}) == 12
    }
    expected = {
        *("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "SliceLocation", "AcquisitionTime"),
        *("ContentTime", "InstanceCreationTime", "SmallestImagePixelValue", "LargestImagePixelValue"),
    }
    private = {"mr": {"TriggerTime", "(0029,1010)", "(0019,1016)"}, "ct": {"(0019,105A)", "(0027,1050)"}}
    assert expected | private[kind] <= varying
    assert len({content.WindowCenter for content in contents}) > 3
    assert len({content.SourceImageSequence[0].ReferencedSOPInstanceUID for content in contents}) == 12
    same = ("SeriesInstanceUID", "PatientName", "SeriesTime", "ProtocolName", "ImageOrientationPatient")
    assert not varying & set(same)
    assert [content.LargestImagePixelValue for content in contents] == list(range(4000, 4012))
    # Lengths differ, so that elements are not at the same place in each file.
    assert len({len(explicit[kind].header(Place(3, 7, index))) for index in range(12)}) > 1


def test_patients_and_series_differ(explicit: dict[str, Maker]) -> None:
    places = [Place(study, 2 * study + series, 0) for study in range(20) for series in (0, 1)]
    contents = [read(explicit["mr"], PIXELS["mr"], place) for place in places]
    for keyword, count in (("SeriesInstanceUID", 40), ("StudyInstanceUID", 20), ("PatientID", 20), ("StudyDate", 15)):
        assert len({content[keyword].value for content in contents}) >= count
    assert len({content.PatientName for content in contents}) > 10


def test_signed_pixels_have_signed_extremes(explicit: dict[str, Maker]) -> None:
    content = read(explicit["ct"], PIXELS["ct"], Place(0, 0, 0, extremes=(-1024, 3000)))
    assert (content.SmallestImagePixelValue, content.LargestImagePixelValue) == (-1024, 3000)


def test_a_compressed_frame_is_encapsulated() -> None:
    content = pydicom.dcmread(io.BytesIO(mr(syntax=JPEGLSLossless).file(PLACE, b"\xff\xd8\xff\xd9")))
    assert content["PixelData"].is_undefined_length
    assert content.file_meta.TransferSyntaxUID == JPEGLSLossless
    assert content.file_meta.MediaStorageSOPInstanceUID == content.SOPInstanceUID


def test_a_value_that_the_header_does_not_have_is_refused() -> None:
    content = Dataset()
    content.PatientID = "ID"
    with pytest.raises(ValueError, match="patient_name"):
        Parts(content, {}, {b"NOBODY": "patient_name"})
    assert b"ID2" in Parts(content, {0x00100020: "id"}, {}).join({"id": b"ID2"})
