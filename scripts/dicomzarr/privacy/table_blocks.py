"""Search tables in blocks of rows, so that a new row among a hundred thousand costs the search of one block.

The checksum of a row decides whether a block ends with it, so that an inserted or removed row does not move the ends of
other blocks. A block is searched together with the header row and the last words before it, so that a value across two
blocks is found.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from array import array
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from dicomzarr.privacy.identifiers import MAX_WORDS, words_of
from dicomzarr.privacy.scanner import Scanner, text_of_rows, without_arrays

_END_MASK = 63  # bits of the checksum of a row that are 0 at the end of a block: one row in 64 on average
_MAX_ROWS = 1024
_MAX_ROW = 1 << 20  # bytes that are read at once: a row that is longer than twice as many is none


class Share(NamedTuple):
    """A share of the blocks of a table: every `of`-th one, from `number` on."""

    number: int
    of: int


WHOLE = Share(0, 1)
CHECKSUMS = "results/dataset/checksums"
_HEAD_OF_CHECKSUMS = b"path,bytes,sha256\n"


class NoTable(ValueError):
    """The file cannot be split into blocks and must be searched as a whole: not UTF-8, or rows without an end."""


def search_table(
    scanner: Scanner, path: Path, clean_blocks: Container[str], share: Share = WHOLE, *, checksums: bool = False
) -> tuple[bool, list[str]]:
    """Search a table, or a share of its blocks.

    Parameters
    ----------
    scanner : Scanner
        With the identifiers.
    path : Path
        A CSV file.
    clean_blocks : container of str
        Digests of blocks that are clean and not searched again.
    share : Share
        Blocks to search. Where several processes search one table, each takes the digests of all blocks.
    checksums : bool
        The file is `CHECKSUMS`, a table of another form.

    Returns
    -------
    has_leak : bool
        Whether the share holds an identifier.
    digests : list of str
        Of all blocks; empty where there is a leak.

    Raises
    ------
    NoTable
        If the file cannot be split into blocks.
    """
    digests: list[str] = []
    with open(path, "rb") as stream:
        lines = _lines(stream, checksums=checksums)
        head = _HEAD_OF_CHECKSUMS if checksums else next(lines, b"")
        columns = (_rows([head]) or [[]])[0]
        before: list[bytes] = []
        for block in _blocks(lines):
            parts = [head, *before, b"", *block]
            digest = hashlib.blake2b(array("Q", map(len, parts)), digest_size=12)
            digest.update(b"".join(parts))
            is_ours = len(digests) % share.of == share.number
            digests.append(digest.hexdigest())
            if is_ours and digests[-1] not in clean_blocks and scanner.rows(columns, _rows([*before, *block])):
                return True, []
            before = _last_words(columns, [*before, *block])
        if not digests and scanner.rows(columns, []):
            return True, []
    return False, digests


def _lines(stream: IO[bytes], *, checksums: bool) -> Iterator[bytes]:
    """Yield lines; those of `CHECKSUMS`, ``path NUL size NUL sha256``, as a table: a size could look like a date."""
    rest = b""
    while data := stream.read(_MAX_ROW):
        if checksums:
            data = data.replace(b"\0", b",")
        *lines, rest = (rest + data).split(b"\n")
        if b"\0" in data or len(rest) >= _MAX_ROW:
            raise NoTable
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def _blocks(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield the rows of each block; a block does not end within quotation marks."""
    rows: list[bytes] = []
    is_quoted = False
    for line in lines:
        rows.append(line)
        if b'"' in line:
            is_quoted ^= line.count(b'"') % 2 == 1
        if not is_quoted and (zlib.crc32(line) & _END_MASK == 0 or len(rows) >= _MAX_ROWS):
            yield rows
            rows = []
        elif len(rows) > 64 * _MAX_ROWS:
            raise NoTable
    if rows:
        yield rows


def _rows(lines: list[bytes]) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(b"".join(lines).decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        raise NoTable from None


def _last_words(columns: list[str], lines: list[bytes]) -> list[bytes]:
    """Return the last rows that together hold `MAX_WORDS` - 1 words, or all rows."""
    for number in range(1, len(lines)):
        last = lines[-number:]
        if b"".join(last).count(b'"') % 2 == 0:
            text = without_arrays(text_of_rows(columns, _rows(last)))
            if len(words_of(text)) >= MAX_WORDS - 1:
                return last
    return lines
