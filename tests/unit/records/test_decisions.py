"""The table of decisions about text in pixels."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicomzarr.records import decisions
from dicomzarr.vocabulary.errors import UserError


def test_decisions_are_read_and_a_missing_table_is_empty(tmp_path: Path) -> None:
    table = tmp_path / "decisions.csv"
    assert decisions.read(table) == {}
    table.write_text(f"content,decision\n{'a' * 64},keep\n{'b' * 64},set_aside\n")
    assert decisions.read(table) == {"a" * 64: "keep", "b" * 64: "set_aside"}


@pytest.mark.parametrize("text", ["", "x,y\n", "content,decision\nA,keep\n", f"content,decision\n{'a' * 64},maybe\n"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "decisions.csv").write_text(text)
    with pytest.raises(UserError, match="decisions.csv"):
        decisions.read(tmp_path / "decisions.csv")
