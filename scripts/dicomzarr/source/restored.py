"""A source that was copied back, or mounted again: the same sizes and modification times, but other inodes.

Its files keep the key under which they were verified, so that inventory, plans and records stay as they are.
`private/restored.jsonl` has one line for each such file, sorted by path: its path, its key in the file system now, and
the key under which it was verified. A file that changes afterwards has another key in the file system than its line, so
that it is noticed as any other.

Inventory and lines are sorted by path, and are read beside the rows of a new listing, in one pass.
"""

from __future__ import annotations

import contextlib
import mmap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.source import inventory
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.row import StatKey
from dicomzarr.system import json_files

# Of ten files that have the size and time of the last run, so many must have another inode: single files are replaced
# with their old time too, and file systems may use a number again.
MOVED, OF = 9, 10


@dataclass(slots=True)
class Moved:
    """The files of one root that have another inode, but the size and modification time of the last run.

    Attributes
    ----------
    compared : int
        Files of the root that have the size and modification time of the last run.
    keys : dict of str to tuple
        By path: index of the row, and the key under which the file was verified.
    """

    compared: int = 0
    keys: dict[str, tuple[int, StatKey]] = field(default_factory=dict)

    @property
    def looks_restored(self) -> bool:
        """Whether these are nearly all files of the root."""
        return bool(self.keys) and OF * len(self.keys) >= MOVED * self.compared


@dataclass(slots=True)
class Comparison:
    """A new listing beside the last inventory.

    Attributes
    ----------
    rows : list
        Rows of the listing; files that an earlier run accepted as restored have the key under which they were verified.
    moved : dict of str to Moved
        By label of the root.
    """

    rows: list[list[Any]]
    moved: dict[str, Moved] = field(default_factory=dict)
    _lines: list[tuple[str, bytes]] = field(default_factory=list)  # path and line

    def accept(self, label: str) -> None:
        """Give the moved files of a root the key under which they were verified."""
        for path, (number, verified) in self.moved[label].keys.items():
            row = self.rows[number]
            self._keep(number, path, verified, json_files.compact_line([path, key_of(row), verified]))

    def _keep(self, number: int, path: str, verified: Sequence[int], line: bytes) -> None:
        self._lines.append((path, line))
        self.rows[number] = [path, "file", *verified]

    def lines(self) -> bytes:
        """Return the content of `restored.jsonl`; empty if no file is restored."""
        return b"".join(line for _, line in sorted(self._lines))


def key_of(row: Sequence[Any]) -> StatKey:
    """Return the key in a row of the inventory of a regular file."""
    return row[2], row[3], row[4], row[5]


def compare(rows: list[list[Any]], known: Path, restored: Path, labels: Iterable[str]) -> Comparison:
    """Compare a new listing with the inventory of the last run; read-only.

    Parameters
    ----------
    rows : list
        Rows of `listing.list_sources`, sorted by path.
    known : Path
        That inventory.
    restored : Path
        The lines of files that earlier runs accepted.
    labels : iterable of str
        Of the roots; "" for a single one.

    Returns
    -------
    Comparison
        Without moved files if there is no inventory, or it is damaged.
    """
    comparison, has_labels, unmoved = Comparison(list(rows)), "" not in set(labels), Counter[str]()
    try:
        known_rows = inventory.previous_rows(known)
        next(known_rows)  # the roots: a root may have moved
        verified_files = _Ascending(known_rows)
        restored_files = _Ascending(_lines_of(restored))
        for number, row in enumerate(rows):
            before = verified_files.at(row[0])
            if before is None or before[1] != "file" or row[1] != "file":
                continue
            label = row[0].partition("/")[0] if has_labels else ""
            if row == before:
                unmoved[label] += 1
                continue
            key, verified = key_of(row), key_of(before)
            if key[:2] != verified[:2]:
                continue
            last, line = verified, restored_files.at(row[0])
            if line is not None and (*line[2],) == verified:
                last = (*line[1],)
            if line is not None and key == last:
                unmoved[label] += 1
                comparison._keep(number, row[0], verified, line[3])
            elif key[3] == last[3]:
                unmoved[label] += 1
            else:
                moved = comparison.moved.setdefault(label, Moved())
                moved.compared += 1
                moved.keys[row[0]] = number, verified
        for label, moved in comparison.moved.items():
            moved.compared += unmoved[label]
    except (OSError, ValueError, LookupError, TypeError):
        return Comparison(list(rows))
    return comparison


def _lines_of(restored: Path) -> Iterator[Sequence[Any]]:
    try:
        with open(restored, "rb") as stream:
            yield from ([*json_files.loads(line), line] for line in stream)
    except FileNotFoundError:
        return


class _Ascending:
    """Rows sorted by path, which are asked for in that order."""

    def __init__(self, rows: Iterator[Sequence[Any]]) -> None:
        self._rows = rows
        self._head = next(rows, None)

    def at(self, path: str) -> Sequence[Any] | None:
        """Return the row of a path, or None."""
        while self._head is not None and self._head[0] < path:
            self._head = next(self._rows, None)
        return self._head if self._head is not None and self._head[0] == path else None


# ---- the door


class _Verified:
    """An open file whose key is the one under which it was verified, as long as it does not change."""

    __slots__ = ("_file", "_now", "_verified", "close", "descriptor", "read")

    def __init__(self, file: OpenFile, now: StatKey, verified: StatKey) -> None:
        self._file, self._now, self._verified = file, now, verified
        self.read, self.descriptor, self.close = file.read, file.descriptor, file.close

    def key(self) -> StatKey | None:
        key = self._file.key()
        return self._verified if key == self._now else key


class Lines:
    """The lines of `restored.jsonl`, searched on the disk: jobs open few of many files.

    Parameters
    ----------
    path : Path
        A file that is not empty.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as stream:
            self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)

    def at(self, path: str) -> tuple[StatKey, StatKey] | None:
        """Return the key of a file now and the one under which it was verified, None if it was not restored."""
        low, high = 0, len(self._data)
        while low < high:
            start = self._data.rfind(b"\n", 0, (low + high) // 2) + 1
            end = self._data.find(b"\n", start) + 1
            found, now, verified = json_files.loads(self._data[start:end])
            if found == path:
                return (*now,), (*verified,)
            if found < path:
                low = end
            else:
                high = start
        return None


_in_force: list[Lines] = []


def use(restored: Path) -> None:
    """Let this process, and those that it starts from now on, open restored files as the verified ones."""
    _in_force.clear()
    with contextlib.suppress(FileNotFoundError):
        _in_force.append(Lines(restored))


def as_verified(path: str, file: OpenFile) -> OpenFile:
    """Return an open file with the key under which it was verified, if it is a restored one."""
    keys = _in_force[0].at(path) if _in_force else None
    return file if keys is None else _Verified(file, *keys)


def roots_to_compare(sources: Mapping[str, bytes]) -> list[str]:
    """Return the labels of the roots whose files have inodes: folders, not object storage."""
    return [label for label, root in sources.items() if root.startswith(b"/")]
