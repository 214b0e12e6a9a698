"""Search tables in blocks of rows, so that a new row among a hundred thousand costs the search of one block.

A hash of a row decides whether a block ends with it, so that an inserted or removed row does not move the ends of other
blocks. A block is searched together with the header row and the last words before it, so that a value across two blocks
is found; it is clean only together with the block before it.
"""

from __future__ import annotations

import csv
import hashlib
import io
import zlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from dicomzarr.privacy.identifiers import MAX_WORDS
from dicomzarr.privacy.scanner import Scanner, text_of_rows, without_arrays
from dicomzarr.privacy.words import words_of

_END_BITS = 6  # of the hash of a row that are 0 at the end of a block: one row in 64 on average
_MIN_ROWS = 8  # of a block: they hold the last words before the next one, even if a row has one word
_MAX_ROW = 1 << 20  # bytes that are read at once; no row has as many
_MAX_BLOCK = 8 << 20  # bytes


class Share(NamedTuple):
    """A share of the blocks of a table: every `of`-th one, from `number` on."""

    number: int
    of: int


WHOLE = Share(0, 1)
CHECKSUMS = "results/dataset/checksums"
_HEAD_OF_CHECKSUMS = b"path,bytes,sha256\n"
_NEWLINE, _QUOTE = b'\n"'
# The hash of a row is a sum over its bytes, times a number that mixes the bits: quick, and of no other use.
_MIX = np.uint32(0x9E3779B1)
_WEIGHTS = np.array([zlib.crc32(bytes([value])) & 0xFFFF for value in range(256)], np.uint16)


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
        head = _HEAD_OF_CHECKSUMS if checksums else stream.readline(_MAX_ROW)
        if len(head) >= _MAX_ROW or b"\0" in head:
            raise NoTable
        columns = (_rows(head) or [[]])[0]
        of_head = of_before = _digest(head)
        before = b""
        for block in _blocks(stream, checksums=checksums):
            of_block = _digest(block) if digests else _digest(of_head, block)  # no rows before it are missed
            is_ours = len(digests) % share.of == share.number
            digests.append(_digest(of_head, of_before, of_block).hex())
            if is_ours and digests[-1] not in clean_blocks:
                words_before = _last_words(columns, before, is_first=len(digests) == 2)
                if scanner.rows(columns, _rows(words_before + block)):
                    return True, []
            before, of_before = block, of_block
        if not digests and scanner.rows(columns, []):
            return True, []
    return False, digests


def _digest(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(parts), digest_size=12).digest()


def _blocks(stream: IO[bytes], *, checksums: bool) -> Iterator[bytes]:
    """Yield the blocks. `CHECKSUMS`, ``path NUL size NUL sha256``, becomes a table: a size could look like a date."""
    rest = b""
    while data := stream.read(_MAX_ROW):
        if checksums:
            data = data.replace(b"\0", b",")
        elif b"\0" in data:
            raise NoTable
        data = rest + data
        start = 0
        for end in _ends(data):
            yield data[start:end]
            start = end
        rest = data[start:]
        if len(rest) - rest.rfind(b"\n") > _MAX_ROW or len(rest) > _MAX_BLOCK:
            raise NoTable
    if rest:
        yield rest


def _ends(data: bytes) -> list[int]:
    """Return where blocks end in bytes that begin with one; none ends within quotation marks."""
    values = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(values == _NEWLINE) + 1  # of rows
    if not len(ends):
        return []
    sums = np.add.reduceat(_WEIGHTS[values[: ends[-1]]], np.concatenate(([0], ends[:-1])), dtype=np.uint32)
    rows = np.flatnonzero(sums * _MIX >> np.uint32(32 - _END_BITS) == 0)
    quotes = np.flatnonzero(values == _QUOTE)
    rows = rows[np.searchsorted(quotes, ends[rows]) % 2 == 0]
    of_blocks, first = [], 0
    for row, end in zip(rows.tolist(), ends[rows].tolist(), strict=True):
        if row - first + 1 >= _MIN_ROWS:
            of_blocks.append(end)
            first = row + 1
    return of_blocks


def _rows(lines: bytes) -> list[list[str]]:
    try:
        return list(csv.reader(io.StringIO(lines.decode("utf-8"))))
    except (UnicodeDecodeError, csv.Error):
        raise NoTable from None


def _last_words(columns: list[str], block: bytes, *, is_first: bool) -> bytes:
    """Return the last rows of a block that together hold `MAX_WORDS` - 1 words; all rows of the first one may be fewer.

    Raises
    ------
    NoTable
        If a later block has fewer: a value may begin before it.
    """
    lines = block.split(b"\n")
    for number in range(1, len(lines)):
        last = b"\n".join(lines[-number - 1 :])
        if last.count(b'"') % 2 == 0:
            text = without_arrays(text_of_rows(columns, _rows(last)))
            if len(words_of(text)) >= MAX_WORDS - 1:
                return last
    if block and not is_first:
        raise NoTable
    return block
