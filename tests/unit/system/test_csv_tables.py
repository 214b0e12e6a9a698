"""Rows of tables agree with Python's csv module."""

from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from dicomzarr.system import csv_tables

CELLS = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(), st.text(alphabet="\",\r\n ab\t\\'#\x85\u2028", max_size=5)
)


@given(st.lists(CELLS, min_size=1, max_size=4))
def test_a_row_agrees_with_the_csv_module(values: list[object]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(["" if value is None else value for value in values])
    assert csv_tables.line(values) == text.getvalue()[:-2] + "\n"
    (read,) = csv.reader(io.StringIO(csv_tables.line(values), newline=""))
    assert read == ["" if value is None else str(value) for value in values]


@given(st.lists(st.lists(CELLS, min_size=1, max_size=3), max_size=4))
def test_rows_together_are_the_rows_one_by_one(rows: list[list[object]]) -> None:
    assert csv_tables.lines(rows) == "".join(map(csv_tables.line, rows))
