"""Decisions about images that may have text in their pixels: `private/decisions.csv`, by content of the file."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from dicomzarr.vocabulary.errors import UserError

COLUMNS = ("content", "decision")
DECISIONS = ("keep", "set_aside")
_CONTENT = re.compile("[0-9a-f]{64}")


def read(path: Path) -> dict[str, str]:
    """Return the decision for each content (BLAKE3 of the file, hex); empty if there is no such file.

    Raises
    ------
    UserError
        If the table has other columns, contents or decisions, or two decisions for one content.
    """
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            header, *rows = csv.reader(stream)
    except FileNotFoundError:
        return {}
    except (ValueError, csv.Error):
        raise UserError("private/decisions.csv cannot be read; its columns are content,decision") from None
    if tuple(header) != COLUMNS:
        raise UserError("private/decisions.csv has other columns; they are content,decision")
    decisions: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        if len(row) != 2 or not _CONTENT.fullmatch(row[0]) or row[1] not in DECISIONS:
            raise UserError(f"private/decisions.csv, line {number}: needs a digest and keep or set_aside")
        if decisions.setdefault(row[0], row[1]) != row[1]:
            raise UserError(f"private/decisions.csv, line {number}: another decision for the same content")
    return decisions
