"""Cells of tables, by column: the same as those of whole rows, whatever the order and the length of rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.stages.render_report.tables import cells_of, rows_of


def test_cells_are_those_of_the_rows(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text('a,b,c,d\n1,2,3,4\n\n5,"6\n6"\n7,8,9,10,11\n"",,,\n', "utf-8")
    expected = [(row["c"], row["a"], "", row["b"]) for row in rows_of(table)]
    assert [*cells_of(table, ("c", "a"), ("z", "b"))] == expected
    assert expected == [("3", "1", "", "2"), ("", "5", "", "6\n6"), ("9", "7", "", "8"), ("", "", "", "")]


@pytest.mark.parametrize("text", ["", "a,b\n", "other\n"])
def test_a_table_without_rows_has_no_cells(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_text(text, "utf-8")
    assert [*cells_of(tmp_path / "table.csv", ("a", "b"))] == []


def test_a_column_that_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,c\n1,2\n", "utf-8")
    with pytest.raises(KeyError, match="b"):
        next(cells_of(tmp_path / "table.csv", ("a", "b")))


def test_the_last_of_two_columns_of_one_name_counts(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b,a\n1,2,3\n", "utf-8")
    (row,) = rows_of(tmp_path / "table.csv")
    assert [*cells_of(tmp_path / "table.csv", ("a", "b"))] == [("3", "2")] == [(row["a"], row["b"])]
