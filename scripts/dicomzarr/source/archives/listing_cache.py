"""What archives were found to hold, from run to run: an archive that did not change is not opened to list it again."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, NamedTuple

from dicomzarr.source.row import StatKey
from dicomzarr.system import files, json_files


class Listing(NamedTuple):
    """The listing of one archive in the cache.

    Attributes
    ----------
    key : StatKey
        Of the archive.
    reason : str
        As `listing.list_archive` returns it.
    offset, length : int
        Where its rows are in the file.
    members : int
        Number of rows.
    """

    key: StatKey
    reason: str
    offset: int
    length: int
    members: int


class ListingCache:
    """A file of listings that only grows during a run, so that an interrupted run loses none that is complete.

    Parameters
    ----------
    path : Path
        Each listing is a line with its archive, key, reason, length and checksum, then its rows.
    tag : str
        Digest of what decides how archives are listed; a file with another one is not used.
    """

    def __init__(self, path: Path, tag: str) -> None:
        self._path, self._tag = path, tag
        self._listings: dict[str, Listing] = {}
        self._is_stale = False  # the file holds a listing that another one has replaced
        self._stream = self._open()

    def __enter__(self) -> ListingCache:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _open(self) -> IO[bytes]:
        files.make_private(self._path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        stream = open(os.open(self._path, flags, files.PRIVATE_FILE), "r+b")  # noqa: SIM115 - open until the end
        first = json_files.canonical_json({"tag": self._tag})
        if stream.read(len(first)) != first:
            stream.seek(0)
            stream.truncate()
            stream.write(first)
        end = stream.tell()
        while found := _next(stream):
            path, listing = found
            self._is_stale |= path in self._listings
            self._listings[path] = listing
            end = stream.tell()
        stream.seek(end)
        stream.truncate()
        return stream

    def find(self, path: str, key: StatKey) -> Listing | None:
        """Return the listing of an archive with this key, or None."""
        listing = self._listings.get(path)
        return listing if listing is not None and listing.key == key else None

    def add(self, path: str, key: StatKey, reason: str, rows: bytes) -> Listing:
        """Add the listing of an archive, and return it.

        Parameters
        ----------
        path : str
            The name under which it is found again.
        key : tuple of int
            Size, times and inode of the archive when it was listed.
        reason : str
            Reason code of the archive; `archive_listed` if it was listed to its end.
        rows : bytes
            The rows of its members, a line each.
        """
        line = _line(path, key, reason, rows)
        offset = self._stream.seek(0, os.SEEK_END) + len(line)
        self._stream.write(line + rows)
        self._stream.flush()
        listing = Listing(key, reason, offset, len(rows), rows.count(b"\n"))
        self._is_stale |= path in self._listings
        self._listings[path] = listing
        return listing

    def copy(self, listing: Listing, target: IO[bytes]) -> None:
        """Append the rows of a listing to a file."""
        self._stream.seek(listing.offset)
        left = listing.length
        while left and (block := self._stream.read(min(left, 1 << 20))):
            target.write(block)
            left -= len(block)

    def keep_only(self, paths: Collection[str]) -> None:
        """Rewrite the file if it holds listings of archives that are gone or have changed: names of their members."""
        listings = {path: listing for path, listing in self._listings.items() if path in paths}
        if len(listings) == len(self._listings) and not self._is_stale:
            return
        with files.replacing(self._path, private=True) as out:
            out.write(json_files.canonical_json({"tag": self._tag}))
            for path, listing in listings.items():
                self._stream.seek(listing.offset)
                rows = self._stream.read(listing.length)
                out.write(_line(path, listing.key, listing.reason, rows))
                out.write(rows)


def _line(path: str, key: StatKey, reason: str, rows: bytes) -> bytes:
    fields = [path, list(key), reason, len(rows)]
    return json_files.compact_line([*fields, zlib.crc32(rows, zlib.crc32(json_files.compact_line(fields)))])


def _next(stream: IO[bytes]) -> tuple[str, Listing] | None:
    """Return the next listing; None at the end, or where it is incomplete or damaged."""
    line = stream.readline()
    with contextlib.suppress(ValueError, TypeError, MemoryError):
        fields: list[Any] = json_files.loads(line)
        path, key, reason, length, checksum = fields
        offset, crc, left, members = stream.tell(), zlib.crc32(json_files.compact_line(fields[:4])), length, 0
        while left and (block := stream.read(min(left, 1 << 20))):
            crc, left, members = zlib.crc32(block, crc), left - len(block), members + block.count(b"\n")
        if crc == checksum and not left:
            return path, Listing((*key,), reason, offset, length, members)
    return None
