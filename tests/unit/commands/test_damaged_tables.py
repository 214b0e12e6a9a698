"""Tables of a dataset as the commands read them: whole ones, and a message for damaged ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.commands import tables
from dicomzarr.vocabulary.errors import UserError


def test_rows_of_a_table_that_is_there(tmp_path: Path) -> None:
    table = tmp_path / "volumes.csv"
    assert [*tables.rows(table)] == []
    table.write_text('array,flags\na/b,\nc/d,"one, two"\n')
    assert [*tables.rows(table, ["array"])] == [{"array": "a/b", "flags": ""}, {"array": "c/d", "flags": "one, two"}]
    assert tables.row_of(table, {"array": "a/b"}) == {"array": "a/b"}
    table.write_text("array,flags\n")  # of a dataset without images
    assert [*tables.rows(table, ["array"])] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it has not the columns of such a table"),
        ("other,flags\na/b,\n", "it has not the columns of such a table"),
        ("array,flags\na/b,\nc/d", "row 3 does not fit the columns"),
        ("array,flags\na/b,,\n", "row 2 does not fit the columns"),
        ("array,flags\n" + "x" * 200_000 + ",\n", "it has not the columns of such a table"),
    ],
)
def test_a_damaged_table_is_named(tmp_path: Path, text: str, problem: str) -> None:
    table = tmp_path / "volumes.csv"
    table.write_text(text)
    with pytest.raises(UserError) as error:
        [*tables.rows(table, ["array"])]
    assert str(error.value).startswith(f"{str(table)!r} is damaged: {problem}. ./run verify")
