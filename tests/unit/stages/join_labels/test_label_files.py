"""Label files: how their cells are read, and refusals, which quote no cell."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any, Literal

import pytest
from label_sources import KINDS, source

from dicomzarr.stages.join_labels import label_files
from dicomzarr.vocabulary.errors import ConfigProblem


@pytest.mark.parametrize(
    ("allowed", "cell", "value"),
    [
        ({"values": [0, 1]}, "1.0", "1"),  # as pandas writes whole numbers of a column with empty cells
        ({"values": [0, 1]}, "01", "1"),
        ({"values": [0, 1]}, "1.5", None),
        ({"values": ["0", "1"]}, "1.0", None),
        ({"values": ["1.0", 2]}, "1.0", "1.0"),
        ({"values": ["001"]}, "001", "001"),
        ({"values": ["001"]}, "1", None),
        ({"range": [-1, 6]}, "+3.00", "3"),
        ({"range": [-1, 6]}, "-0.0", "0"),
        ({"range": [-1, 6]}, "6.0000001", None),
        ({"range": [0, 1e30]}, "9007199254740993", "9007199254740993"),  # more than a double holds
        ({"range": [0, 9]}, "0_1.0", None),
        ({"range": [0, 1]}, "inf", None),
        ({"range": [0, 1]}, "9" * 400, None),
        ({"range": [0, 1]}, "0,5", None),
    ],
)
def test_numbers_have_one_form(tmp_path: Path, allowed: dict[str, Any], cell: str, value: str | None) -> None:
    label_source = source(tmp_path / "l.csv", f'id,kind\np1,"{cell}"\n', kind=allowed)
    if value is None:
        with pytest.raises(ConfigProblem, match="line 2, column 'kind'"):
            label_files.read_sources([label_source])
    else:
        assert [line.values for line in label_files.read_sources([label_source])] == [{"kind": value}]


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ("one/50% off/ä.dcm", "one/50%25 off/ä.dcm"),  # plain
        ("one/50%25 off/ä.dcm", "one/50%25 off/ä.dcm"),  # as in the manifest
        ("a%20b", "a%2520b"),  # the manifest has no %20: plain
        ("=two/z", "%3Dtwo/z"),
        ("%3Dtwo/z", "%3Dtwo/z"),
        ("=a.zip!/=x!/ä,1.dcm", "%3Da.zip!/=x%21/ä,1.dcm"),  # of an archive, plain
        ("%3Da.zip!/=x%21/1.dcm", "%3Da.zip!/=x%21/1.dcm"),
        ("folder!/1.dcm", "folder%21/1.dcm"),
    ],
)
def test_paths_are_plain_or_as_in_the_manifest(tmp_path: Path, cell: str, key: str) -> None:
    label_source = source(tmp_path / "l.csv", f'id,kind\n"{cell}",benign\n', "path")
    assert [line.key for line in label_files.read_sources([label_source])] == [(key,)]


@pytest.mark.parametrize("form", ["NFC", "NFD"])  # a Mac may write a letter and its accent as two
def test_names_of_columns_are_compared_in_one_form(tmp_path: Path, form: Literal["NFC", "NFD"]) -> None:
    label_source = source(tmp_path / "l.csv", unicodedata.normalize(form, "Schlüssel;Größe\np1;3\n"))
    other = "NFD" if form == "NFC" else "NFC"
    columns = {"size": {"column": unicodedata.normalize(other, "Größe"), "range": [0, 6]}}
    label_source |= {"key": unicodedata.normalize(other, "Schlüssel"), "columns": columns}
    assert [line.values for line in label_files.read_sources([label_source])] == [{"size": "3"}]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,kind\np1,Doe^Jane\n", ("labels.0", "line 2", "column 'kind'", "one of the 2 values")),
        ("id,kind,score\np1,benign,seven\n", ("line 2", "column 'score'", "a number from 0 to 6")),
        ("id,kind,score\np1,benign,nan\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign,7\n", ("line 2", "column 'score'")),
        ("id,kind,score\np1,benign\n", ("line 2", "first line, 3; found 2")),
        ("id|kind|score\np1|benign|1\n", ("l.csv' has no column 'id'", "commas, semicolons or tabs")),
        ("p1,benign,1\n", ("no column 'id'; needed",)),
        ("ID;kind;score\n", ("no column 'id', but 'ID'; needed is one",)),
        ("I_D,kind,score\n", ("no column 'id', but 'I_D'; needed is one",)),
        ("id,kind,score\np1,Benign,1\np1,benign,1_0\n", ("line 2, column 'kind'", "line 3 column 'score'")),
        ("id,kind,score\np1,BENIGN,1\n", ("an empty cell; small and capital letters must be those of the config",)),
        ("id;kind;score\np1;benign;1,5\n", ("an empty cell; write numbers with a point as the decimal mark",)),
        ("id;kind;score\np1;BENIGN;1,5\n", ("; small and capital letters ", "; write numbers with a point")),
        ("id,kind,score\n" + "p1,Doe,seven\n" * 9, ("line 2, column 'kind'", "line 3 column 'score'", "13 more")),
        ("", ("l.csv' is empty; needed is a first line with names of columns",)),
        (" \n\n", ("is empty",)),
        ("id,kind,kind,score\n", ("several columns 'kind'",)),
        (b"id,kind,score\np1,benign,1\n\xe4,benign,1\n", ("line 3", "not UTF-8")),
        ("id,kind,score\n".encode("utf-16-le"), ("line 1", "not UTF-8, but maybe UTF-16 without its mark")),
        (b"PK\x03\x04\x14\x00", ("'", "l.csv' is a workbook of a spreadsheet; save the file as CSV in UTF-8")),
        ('id,kind,score\n"p1,benign,1\n', ("not valid CSV",)),
    ],
)
def test_cells_that_are_not_allowed_are_refused_and_never_quoted(
    tmp_path: Path, text: str | bytes, words: tuple[str, ...]
) -> None:
    label_source = source(tmp_path / "l.csv", text, kind=KINDS, score={"range": [0, 6]})
    if isinstance(text, str) and text and "score" not in text.splitlines()[0]:
        label_source["columns"].pop("score")
    with pytest.raises(ConfigProblem) as caught:
        label_files.read_sources([label_source])
    for word in words:
        assert word in str(caught.value)
    for secret in ("Doe", "seven", "p1", "Benign", "BENIGN", "1_0", "1,5"):
        assert secret not in str(caught.value)


def test_what_is_no_slip_of_spreadsheets_gets_no_advice(tmp_path: Path) -> None:
    label_source = source(tmp_path / "l.csv", "id;kind;score\np1;malign;9,5\n", kind=KINDS, score={"range": [0, 6]})
    with pytest.raises(ConfigProblem, match="an empty cell; the same holds for line 2 column 'score'$"):
        label_files.read_sources([label_source])


def test_text_of_a_spreadsheet_in_utf_16_is_read(tmp_path: Path) -> None:
    """As Excel's "Unicode Text": with a mark, tabs and CRLF."""
    text = "id\tkind\r\nMüller\tbenign\r\n".encode("utf-16")
    lines = label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])
    assert [(line.line, line.key, line.values) for line in lines] == [(2, ("Müller", ""), {"kind": "benign"})]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sep=;\r\nid;kind\r\n0001;benign\r\n", 3),
        ('\ufeff"SEP=;";\r\nid;kind\r\n0001;benign\r\n', 3),
        ("sep=\t\nid\tkind\n0001\tbenign\n", 3),
        ("sep=|\rid|kind\r0001|benign\r", 3),
        ('id;kind\n="0001";="benign"\n', 2),
        ('id,kind\n"=""0001""",benign\n', 2),
        ("id;kind;;\n0001;benign\n;;;;\n".replace("benign", "benign;;"), 2),
        ("id;kind\n;;;\n0001;benign;;;\n", 3),
        ("\ufeff\u200eid,kind\n\u202a0001\u202c,benign\u00a0\n", 2),
    ],
)
def test_what_spreadsheets_put_around_cells_is_no_part_of_them(tmp_path: Path, text: str, line: int) -> None:
    """The line that names the separator, the form of a number that stays a text, empty columns, unseen characters."""
    lines = label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])
    assert [(each.line, each.key, each.values) for each in lines] == [(line, ("0001", ""), {"kind": "benign"})]
    (tmp_path / "t.csv").write_text(text.replace("id", "PatientID"), newline="")
    assert [each.key for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == [("0001", "")]


@pytest.mark.parametrize("end", [";", "\t", ","])
@pytest.mark.parametrize("first", ["PatientID", "PatientID{}"])
def test_a_separator_behind_a_single_column_is_no_part_of_it(tmp_path: Path, first: str, end: str) -> None:
    (tmp_path / "t.csv").write_text(f"{first.format(end)}\n0001{end}\n\n0002{end} \n")
    assert [each.key[0] for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == ["0001", "0002"]
    (tmp_path / "t.csv").write_text("PatientID\n0001;\n0;2\n")  # no separator: an identifier may hold a semicolon
    assert [each.key[0] for each in label_files.read_fixed({"test": str(tmp_path / "t.csv")})] == ["0001;", "0;2"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sep=;\nid,kind\n1,benign\n", "no column 'id'"),  # another separator than it says
        ("sep=;\nid;kind\n1;x\n", "line 3, column 'kind'"),
        ('sep=;\nid;kind\n"1;benign\n', "line 3 of .* is not valid CSV"),
        ("id;kind\n1;benign;2\n", "line 2 of .* 2; found 3"),
    ],
)
def test_what_a_spreadsheet_would_not_write_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigProblem, match=words):
        label_files.read_sources([source(tmp_path / "l.csv", text, kind=KINDS)])


def test_a_missing_label_file_is_reported(tmp_path: Path) -> None:
    label_source = source(tmp_path / "l.csv", "id,kind\n") | {"file": "nowhere.csv"}
    os.mkfifo(tmp_path / "pipe.csv")  # as `<(...)` of a shell: it would wait for ever, or be empty the second time
    with pytest.raises(ConfigProblem, match=r"'labels.0'.*pipe.csv' is a pipe or device; save its lines in a file"):
        label_files.read_sources([label_source | {"file": str(tmp_path / "pipe.csv")}])
    with pytest.raises(ConfigProblem, match=r"'labels.0'.*'nowhere.csv' cannot be read: No such file"):
        label_files.read_sources([label_source])


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("PatientID\np1\n", "PatientID\np1\n", True),
        ("PatientID,IssuerOfPatientID\np3,hospital\n", "PatientID\np3\n", True),  # p3 of whatever issuer
        ("PatientID\np3\n", "PatientID,IssuerOfPatientID\np3,hospital\n", True),
        ("PatientID,IssuerOfPatientID\np3,hospital\n", "PatientID,IssuerOfPatientID\np3,elsewhere\n", False),
    ],
)
def test_a_patient_in_two_lists_is_refused(tmp_path: Path, first: str, second: str, refused: bool) -> None:
    files = {"test": str(tmp_path / "t.csv"), "val": str(tmp_path / "v.csv")}
    (tmp_path / "t.csv").write_text(first)
    (tmp_path / "v.csv").write_text(second)
    if not refused:
        assert len(label_files.read_fixed(files)) == 2
        return
    with pytest.raises(ConfigProblem, match="names a patient that another list names too") as caught:
        label_files.read_fixed(files)
    assert "p1" not in str(caught.value) and "p3" not in str(caught.value)


@pytest.mark.parametrize("text", ["PatientID\n", "PatientID,x\n,1\n"])
def test_a_list_that_names_nobody_is_refused(tmp_path: Path, text: str) -> None:
    """Its patients would get a split by chance, such as training."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigProblem, match=r"'splits\.fixed\.test': '.*t\.csv' names no patient"):
        label_files.read_fixed({"test": str(tmp_path / "t.csv")})
