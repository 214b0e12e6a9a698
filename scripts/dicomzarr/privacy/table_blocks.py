"""Tables searched in blocks of rows, so that one more row in a hundred thousand costs one block.

Blocks end where the content of a row says so: a row that comes or goes moves no other block's ends. A block is searched
with the head of the table and with the words before it, so that nothing is lost between two of them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO

from dicomzarr.privacy.identifiers import LONGEST, words_of
from dicomzarr.privacy.scanner import Scanner, text_of_rows, without_arrays

_ENDS = 63  # of the checksum of a row: one row in so many plus one ends a block, on average
_MOST_ROWS = 1024
_LONGEST_ROW = 1 << 20  # bytes


class NoTable(ValueError):
    """The file is to be searched in one piece: it is not UTF-8, or its rows have no ends."""


def search_table(scanner: Scanner, path: Path, known: Container[str]) -> tuple[bool, list[str]]:
    """Return whether a table holds a needle, and the digests of its blocks.

    Parameters
    ----------
    scanner : Scanner
    path : Path
        A CSV file.
    known : container of str
        Digests of blocks that were found clean.

    Raises
    ------
    NoTable
    """
    digests = []
    with open(path, "rb") as stream:
        head = _line(stream)
        columns = (_rows([head]) or [[]])[0]
        before: list[bytes] = []
        for block in _blocks(stream):
            digest = hashlib.blake2b(digest_size=12)
            for part in (head, *before, b"", *block):
                digest.update(len(part).to_bytes(8, "little") + part)
            digests.append(digest.hexdigest())
            if digests[-1] not in known and scanner.rows(columns, _rows([*before, *block])):
                return True, []
            before = _last_words(columns, [*before, *block])
        if not digests and scanner.rows(columns, []):
            return True, []
    return False, digests


def _line(stream: IO[bytes]) -> bytes:
    line = stream.readline(_LONGEST_ROW)
    if len(line) == _LONGEST_ROW or b"\0" in line:
        raise NoTable
    return line


def _blocks(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Yield the rows of blocks; within quotation marks none ends."""
    rows: list[bytes] = []
    is_quoted = False
    while line := _line(stream):
        rows.append(line)
        is_quoted ^= line.count(b'"') % 2 == 1
        if not is_quoted and (zlib.crc32(line) & _ENDS == 0 or len(rows) >= _MOST_ROWS):
            yield rows
            rows = []
        elif len(rows) > 64 * _MOST_ROWS:
            raise NoTable
    if rows:
        yield rows


def _rows(lines: list[bytes]) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(b"".join(lines).decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        raise NoTable from None


def _last_words(columns: list[str], lines: list[bytes]) -> list[bytes]:
    """Return the last rows that hold as many words as a needle may have before its last one; or all."""
    for number in range(1, len(lines)):
        last = lines[-number:]
        if b"".join(last).count(b'"') % 2 == 0:
            text = without_arrays(text_of_rows(columns, _rows(last)))
            if len(words_of(text)) >= LONGEST - 1:
                return last
    return lines
