"""The inventory file: one row per directory entry of the source, sorted by path; written by the scan, read by rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.system import files, json_files
from dicomzarr.system.path_text import decode_path, encode_path

# Kinds of entry in the inventory that are not regular files, and their reason codes.
NOT_FILES = {
    "link": "symbolic_link",
    "linked": "linked",
    "special": "special_file",
    "unreadable_file": "unreadable_file",
    "unreadable_folder": "unreadable_folder",
    "object_name": "object_name",
}


LISTED = "archive_listed"  # reason of an archive whose members are all listed
# Kinds of row that archives have beside `file`: the archive itself, and a member that is not read. The third column is
# their reason.
ARCHIVE, MEMBER = "archive", "member"


def rows_of(inventory: Path, members: Path | None = None) -> Iterator[list[Any]]:
    """Yield the entries of the inventory, sorted by path, and those of archives.

    Parameters
    ----------
    inventory : Path
    members : Path, optional
        Rows of archives and members, sorted by path: ``[path, "file", size, checksum, offset, fingerprint]``,
        ``[path, "member", reason]`` and, in place of the archive's row in the inventory,
        ``[path, "archive", reason, size, mtime_ns, ctime_ns, inode]``.

    Yields
    ------
    list
    """
    with open(inventory, "rb") as stream:
        next(stream)
        rows = map(json_files.loads, stream)
        if members is None or not members.stat().st_size:
            yield from rows
            return
        with open(members, "rb") as others:
            yield from _merged(rows, map(json_files.loads, others))


def _merged(rows: Iterator[list[Any]], others: Iterator[list[Any]]) -> Iterator[list[Any]]:
    other = next(others, None)
    for row in rows:
        while other is not None and other[0] < row[0]:
            yield other
            other = next(others, None)
        if other is not None and other[0] == row[0]:
            yield other
            other = next(others, None)
        else:
            yield row
    if other is not None:
        yield other
        yield from others


def read_roots(inventory: Path) -> dict[str, bytes]:
    """Return the roots of the source by label, from the first line of the inventory."""
    with open(inventory, "rb") as stream:
        return {label: decode_path(root) for label, root in json.loads(stream.readline())["roots"].items()}


def previous_rows(inventory: Path) -> Iterator[list[Any]]:
    """Yield the entries of the inventory of the last run, sorted by path; the first item contains the roots.

    Raises
    ------
    OSError, ValueError
        If there is no inventory, or it is damaged.
    """
    with open(inventory, "rb") as stream:
        yield [json.loads(stream.readline())["roots"]]
        yield from map(json_files.loads, stream)


def roots_of(sources: Mapping[str, bytes]) -> dict[str, str]:
    """Return the roots of the source by label, percent-encoded, as in the first line of the inventory."""
    return {label: encode_path(root) for label, root in sources.items()}


def lines(sources: Mapping[str, bytes], rows: Sequence[Sequence[Any]]) -> Iterator[bytes]:
    """Yield the lines of the inventory: the roots by label, then one line per entry.

    Parameters
    ----------
    sources : mapping of str to bytes
        Roots by label: absolute source folders.
    rows : sequence
        Rows of `listing.list_sources`.
    """
    yield json_files.canonical_json({"roots": roots_of(sources)})
    yield from map(json_files.compact_line, rows)


def write(
    sources: Mapping[str, bytes],
    rows: Sequence[Sequence[Any]],
    inventory: Path,
    before: Callable[[], None] = lambda: None,
) -> bool:
    """Write the inventory if it changed.

    Parameters
    ----------
    sources : mapping of str to bytes
        Roots by label: absolute source folders.
    rows : sequence
        Rows of `listing.list_sources`.
    inventory : Path
        The file.
    before : callable
        Called before the file is replaced, if it changed.

    Returns
    -------
    bool
        Whether it changed.
    """
    beside = inventory.with_name(inventory.name + files.TEMPORARY)
    with files.replacing(beside, private=True) as stream:
        stream.writelines(lines(sources, rows))
    return files.replace_if_changed(inventory, beside, before)
