"""A file that ends inside its header says which series lost an image, as far as it goes."""

from __future__ import annotations

from io import BytesIO

import pytest
from dicoms import ct_slice, uid
from headers_of_bytes import NATIVE, reason_of
from made_up_headers import encode, file, image, meta, text
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicomzarr.headers.classify import read_header


def written(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def header(data: bytes, texts: list[tuple[str, bytes]] | None = None):
    return read_header(lambda length, offset: data[offset : offset + length], len(data), texts)


def with_sequence(dataset: Dataset) -> Dataset:
    """Add a sequence of undefined length between the UIDs and the position."""
    item = Dataset()
    item.CodeValue, item.CodeMeaning = "1", "a code"
    dataset.ProcedureCodeSequence = Sequence([item])
    dataset["ProcedureCodeSequence"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("kind", ["explicit", "implicit", "sequence"])
def test_the_elements_before_the_cut_are_facts(kind: str) -> None:
    dataset = with_sequence(ct_slice("alpha", 3)) if kind == "sequence" else ct_slice("alpha", 3)
    if kind == "implicit":
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    data = written(dataset)
    cut = data.index(b"\x28\x00\x10\x00") + 3  # inside Rows (0028,0010)
    texts: list[tuple[str, bytes]] = []
    outcome, reason, _, facts = header(data[:cut], texts)
    assert (outcome, reason) == ("quarantined", "truncated_header")
    assert facts["SeriesInstanceUID"] == uid("series", "alpha") and facts["SOPInstanceUID"] == dataset.SOPInstanceUID
    assert facts["PatientID"] == "patient-alpha" and facts["ImagePositionPatient"] == [-10.0, -20.0, 7.5]
    assert "Rows" not in facts and "pixel" not in facts
    # What may identify a patient is searched for in everything that is written.
    assert {value.strip(b"\0 ") for _, value in texts} >= {b"patient-alpha", dataset.SOPInstanceUID.encode()}


@pytest.mark.parametrize("syntax", NATIVE)
def test_a_cut_inside_a_text_that_is_not_wanted_is_seen_by_both_readers(syntax: str) -> None:
    """pydicom returns the beginning of the value; before, such a file was one without pixel data."""
    elements = image(syntax, Name=text(0x00100010, "PN", "SOME^NAME"))
    before = meta(syntax) + encode([element for element in elements if element.tag < 0x00100010], syntax)
    for cut in range(2, 18):  # a single zero byte, of a tag in big endian, may be padding
        data = file(elements, syntax)[: len(before) + cut]
        assert reason_of(data) == ("quarantined", "truncated_header")


def test_a_value_that_is_cut_is_no_fact() -> None:
    data = written(ct_slice("alpha", 3))
    cut = data.index(b"\x20\x00\x0e\x00UI") + 20  # inside Series Instance UID (0020,000E)
    outcome, reason, _, facts = header(data[:cut])
    assert (outcome, reason) == ("quarantined", "truncated_header")
    assert "SeriesInstanceUID" not in facts and facts["StudyInstanceUID"] == uid("study", "alpha")


@pytest.mark.parametrize("length", range(140, 760, 7))
def test_no_cut_is_an_error(length: int) -> None:
    data = written(with_sequence(ct_slice("alpha", 3)))
    outcome, reason, _, facts = header(data[:length])
    assert outcome in ("quarantined", "skipped") and reason and "pixel" not in facts


def test_a_deflated_header_is_read_as_far_as_it_goes() -> None:
    dataset = ct_slice("alpha", 3)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = written(dataset)
    reasons, known = set(), 0
    for length in range(len(data) - 400, 340, -11):
        _, reason, _, facts = header(data[:length])
        reasons.add(reason)
        assert facts.get("PatientID", "patient-alpha") == "patient-alpha"
        known += reason == "truncated_header" and "SeriesInstanceUID" in facts
    assert known and "" not in reasons
