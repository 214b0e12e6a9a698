"""The table of decisions about text in the pixels: read, written, changed by several processes, and refused."""

from __future__ import annotations

import os
import random
import stat
import threading
from pathlib import Path

import pytest

from dicomzarr.records import decisions
from dicomzarr.vocabulary.errors import UserError

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
HEAD = "content,decision\n"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "private" / "decisions.csv"


def test_a_missing_table_has_no_decisions(table: Path) -> None:
    assert decisions.read(table) == {}
    assert not table.parent.exists()


def test_equal_decisions_give_equal_bytes_in_a_private_file(table: Path) -> None:
    many = {f"{number:064x}": decisions.DECISIONS[number % 2] for number in range(50)}
    mask = os.umask(0)
    try:
        decisions.write(table, many)
    finally:
        os.umask(mask)
    content = table.read_bytes()
    shuffled = list(many.items())
    random.Random(1).shuffle(shuffled)
    decisions.write(table, dict(shuffled))
    assert table.read_bytes() == content and content.startswith(f"{HEAD}{0:064x},keep\n".encode())
    assert decisions.read(table) == many
    assert stat.S_IMODE(table.stat().st_mode) == 0o600 and stat.S_IMODE(table.parent.stat().st_mode) == 0o700
    assert [path.name for path in table.parent.iterdir()] == ["decisions.csv"]


@pytest.mark.parametrize("wrong", [{"A" * 64: "keep"}, {A[:-1]: "keep"}, {A: "maybe"}, {A: ""}, {f"{A}\n": "keep"}])
def test_what_could_not_be_read_is_not_written(table: Path, wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="another form"):
        decisions.write(table, wrong)
    assert not table.exists()


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}{A},keep\n",
        f"\ufeff{HEAD}{A},keep\n",
        f"{HEAD}{A},keep\n{A},keep",
        f"content,decision\r\n{A},keep\r\n",
        f'"content","decision"\n"{A}","keep"\n',
    ],
)
def test_a_table_that_a_spreadsheet_saved_is_read(table: Path, text: str) -> None:
    table.parent.mkdir()
    table.write_text(text, encoding="utf-8", newline="")
    assert decisions.read(table) == {A: "keep"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"", "line 1, needed are the columns"),
        (b"decision,content\n", "line 1, needed are the columns"),
        (b"content,decision,Miller\n", "line 1, needed are the columns"),
        (f"{HEAD}{A},keep\nMiller,keep\n".encode(), "line 3, column content"),
        (f"{HEAD}{A.upper()},keep\n".encode(), "line 2, column content"),
        (f"{HEAD}{A},Miller\n".encode(), "line 2, column decision"),
        (f"{HEAD}{A},keep,Miller\n".encode(), "line 2, needed are the two columns"),
        (f"{HEAD}\n".encode(), "line 2, needed are the two columns"),
        (f"{HEAD}{A},keep\n{B},keep\n{A},set_aside\n".encode(), "line 4, column decision: another line"),
        (f'{HEAD}{A},"keep"Miller\n'.encode(), "line 2, needed is CSV"),
        (f"{HEAD}{A},keep\nM\xfcller".encode("latin-1"), "needed is UTF-8"),
    ],
)
def test_another_table_is_refused_by_line_and_column_without_its_values(
    table: Path, content: bytes, place: str
) -> None:
    table.parent.mkdir()
    table.write_bytes(content)
    with pytest.raises(UserError) as error:
        decisions.read(table)
    assert str(error.value).startswith("private/decisions.csv, line ") and place in str(error.value)
    for value in ("Miller", "ller", A, "AAA"):
        assert value not in str(error.value)
    with pytest.raises(UserError):  # and is not replaced
        decisions.change(table, {C: "keep"})
    assert table.read_bytes() == content


def test_changes_add_replace_and_remove_and_none_leaves_the_file(table: Path) -> None:
    assert decisions.change(table, {A: "keep", B: "set_aside"}) == {A: "keep", B: "set_aside"}
    assert decisions.change(table, {A: "set_aside", B: "", C: ""}) == {A: "set_aside"}
    assert table.read_text() == f"{HEAD}{A},set_aside\n"
    before = table.stat()
    assert decisions.change(table, {A: "set_aside"}) == {A: "set_aside"}
    assert (table.stat().st_ino, table.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_no_change_is_lost_when_several_are_made_at_once(table: Path) -> None:
    def decide(first: int) -> None:
        for number in range(first, first + 10):
            decisions.change(table, {f"{number:064x}": "keep"})

    threads = [threading.Thread(target=decide, args=(first,)) for first in range(0, 40, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(decisions.read(table)) == 40
