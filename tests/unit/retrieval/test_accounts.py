"""Tables of what was retrieved: what a server or a file says is no formula in a spreadsheet."""

from __future__ import annotations

import csv
from pathlib import Path

from dicomzarr.retrieval.accounts import Accounts, Series, Study
from dicomzarr.system.path_text import decode_text


def test_words_of_servers_and_files_are_no_formulas(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    row = ("1.2", "1.3", "1.4", "=1+1", "+2", "@3;-4", "other_instance", "retrieval/aside/00.dcm", 7, "ab")
    accounts.write(Study("1.2", series=[Series("1.2", "1.3", "=CT", 1, 1)], aside=[row]))
    accounts.write_tables({"1.2"}, [])
    cells = {}
    for name in ("series", "aside"):
        with open(tmp_path / f"retrieval_{name}.csv", newline="", encoding="utf-8") as stream:
            (cells[name],) = csv.DictReader(stream)
    assert cells["series"]["modality"] == "%3DCT"
    assert list(cells["aside"].values())[3:6] == ["%3D1+1", "%2B2", "%403;%2D4"]
    assert [decode_text(cell) for cell in cells["aside"].values()] == [str(value) for value in row]
