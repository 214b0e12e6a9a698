"""The list: columns by name, lines that ask for something, and no value of it in a message."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.retrieval.request_list import Line, read_list
from dicomzarr.vocabulary.errors import UserError


def read(tmp_path: Path, content: str | bytes) -> list[Line]:
    path = tmp_path / "wanted.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_list(path)


def test_columns_are_found_by_name_and_others_ignored(tmp_path: Path) -> None:
    content = '\ufeffnote,StudyInstanceUID,Modality\r\nWolf,1.2.3,CT MR\r\n,,\r\n"a, b",1.2.4\r\nx,1.2.3,MR CT\r\n'
    both = frozenset({"CT", "MR"})
    assert read(tmp_path, content) == [Line(2, study="1.2.3", modalities=both), Line(4, study="1.2.4")]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_dates_are_days_or_ranges_in_the_forms_that_people_write(tmp_path: Path, separator: str) -> None:
    rows = ["PatientID,StudyDate", "P 1,20240131", "P 1,2024-01-31", "P2,20240101-20240331", "P3,2024-01-01/2024-03-31"]
    found = read(tmp_path, "\n".join(rows).replace(",", separator))
    days = [("20240131", "20240131"), ("20240101", "20240331"), ("20240101", "20240331")]
    assert [(line.patient, line.dates) for line in found] == list(zip(("P 1", "P2", "P3"), days, strict=True))


def test_what_spreadsheets_put_around_values_is_no_part_of_them(tmp_path: Path) -> None:
    content = '\ufeffsep=;\r\nPatientID;Modality;;\r\n="0001";CT;;\r\n;;;;\r\n0002;MR;;;\r\n'
    assert [(line.number, line.patient) for line in read(tmp_path, content)] == [(3, "0001"), (5, "0002")]


@pytest.mark.parametrize("end", [";", "\t", ","])
def test_a_separator_behind_a_single_column_is_no_part_of_it(tmp_path: Path, end: str) -> None:
    assert [line.patient for line in read(tmp_path, f"PatientID\n0001{end}\n0002{end}\n")] == ["0001", "0002"]


SECRET = "Zyxwolf"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"{SECRET}\n1.2.3\n", "no column is named StudyInstanceUID"),
        ("1.2.840.1\n1.2.840.2\n", "write the names of the columns in its first line"),
        ("StudyDate\n20240101\n", "no column is named"),
        ("studyinstanceuid\n1.2\n", "no column is named"),
        ("PatientID,studydate\nx,1\n", "column 2 must be written StudyDate"),
        ("PatientID,PatientID\nx,y\n", "the column PatientID is there twice"),
        (f"PatientID\n{SECRET}*\n", "line 2 of the list: PatientID holds"),
        (f"AccessionNumber\nx\n{SECRET}?\n", "line 3 of the list: AccessionNumber holds"),
        (f"PatientID,StudyDate\n,20240101\n{SECRET},\n", "line 2 of the list: it has none of"),
        (f"StudyInstanceUID\n{SECRET}/../1\n", "line 2 of the list: StudyInstanceUID is no UID"),
        ("SeriesInstanceUID\n..\n", "line 2 of the list: SeriesInstanceUID is no UID"),
        (f"PatientID,StudyDate\n{SECRET},20240231\n", "line 2 of the list: StudyDate is no day"),
        (f"PatientID,StudyDate\n{SECRET},20240301-20240201\n", "ends before it begins"),
        (f"PatientID,Modality\n{SECRET},ct\n", "line 2 of the list: Modality is no name"),
        (f"PatientID\nx,{SECRET}\n", "line 2 of the list: more values than columns"),
        ("PatientID\n", "no line below"),
        (b"PatientID\n\xff\n", "line 2 of the list: it is not UTF-8"),
        (b"PK\x03\x04\x14\x00", "the list: it is a workbook of a spreadsheet; needed is a CSV file"),
    ],
)
def test_what_is_wrong_with_a_list_is_said_without_its_values(tmp_path: Path, content: str | bytes, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, content)
    text = str(caught.value)
    assert text.startswith("config key 'dicomweb.studies': ") and says in text and "\n" not in text
    assert SECRET not in text and "1.2.840" not in text


def test_a_list_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read, or does not exist"):
        read_list(tmp_path / "none.csv")
