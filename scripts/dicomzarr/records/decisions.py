"""Decisions about images that may have text in their pixels: `private/decisions.csv`, by content of the file."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

COLUMNS = ("content", "decision")
DECISIONS = ("keep", "set_aside")
CONTENT = re.compile("[0-9a-f]{64}")  # BLAKE3 of the bytes of a file


def path_in(private: Path) -> Path:
    """Return the path of the table in the private folder of the results."""
    return private / "decisions.csv"


def read(path: Path) -> dict[str, str]:
    """Return the decision, one of `DECISIONS`, for each content; empty if there is no such file.

    Raises
    ------
    UserError
        If the table cannot be read, or has two decisions for one content. It names line and column, never a value.
    OSError
        If the file exists and cannot be opened.
    """
    decisions: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:  # a spreadsheet may have put a mark in front
            rows = csv.reader(stream, strict=True)
            try:
                if tuple(next(rows, ())) != COLUMNS:
                    raise _error(1, "needed are the columns content,decision")
                for row in rows:
                    _add(decisions, row, rows.line_num)
            except UnicodeDecodeError:
                raise _error(rows.line_num + 1, "or one that follows: needed is UTF-8") from None
            except csv.Error:
                raise _error(rows.line_num, "needed is CSV of the columns content,decision") from None
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return decisions


def _add(decisions: dict[str, str], row: list[str], line: int) -> None:
    """Add a row of the table."""
    if len(row) != len(COLUMNS):
        raise _error(line, "needed are the two columns content,decision")
    content, decision = row
    if not CONTENT.fullmatch(content):
        raise _error(line, "column content: needed are 64 digits of 0-9 and a-f")
    if decision not in DECISIONS:
        raise _error(line, f"column decision: needed is {' or '.join(DECISIONS)}")
    if decisions.setdefault(content, decision) != decision:
        raise _error(line, "column decision: another line decides otherwise about the same content")


def _error(line: int, text: str) -> UserError:
    return UserError(f"private/decisions.csv, line {line}, {text}")


def write(path: Path, decisions: Mapping[str, str]) -> None:
    """Write the table: sorted by content, private, and whole or not at all.

    Parameters
    ----------
    path : Path
    decisions : mapping of str to str
        By content, in 64 hex digits: `keep` or `set_aside`.

    Raises
    ------
    ValueError
        If a content or a decision has another form; nothing is written.
    """
    if not all(CONTENT.fullmatch(content) and decision in DECISIONS for content, decision in decisions.items()):
        raise ValueError("a content or a decision has another form")
    rows = (COLUMNS, *sorted(decisions.items()))  # none has a comma or a quote
    files.write_atomically(path, "".join(f"{','.join(row)}\n" for row in rows).encode(), private=True)


def change(path: Path, changes: Mapping[str, str], seen: Mapping[str, str] | None = None) -> dict[str, str]:
    """Add decisions to the table, or remove them; two processes may do so at the same time.

    Parameters
    ----------
    path : Path
    changes : mapping of str to str
        By content; an empty decision removes it.
    seen : mapping of str to str, optional
        By content, the decision that whoever changes it knows of, empty for none. Where the table has another one, it
        stays. By default everything is changed.

    Returns
    -------
    dict of str to str
        All decisions. The file is written only if they differ from those before.

    Raises
    ------
    UserError
        As `read`; the table is left as it is.
    """
    with _locked(files.make_private(path.parent)):
        before = read(path)
        known = {content: before.get(content, "") for content in changes} | dict(seen or {})
        wanted = {content: each for content, each in changes.items() if known[content] == before.get(content, "")}
        after = {content: decision for content, decision in {**before, **wanted}.items() if decision}
        if after != before:
            write(path, after)
    return after


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder itself: there is no lock file to be left behind."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
