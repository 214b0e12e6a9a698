"""One member of an archive, as its directory or its headers declare it."""

from __future__ import annotations

from typing import NamedTuple


class ArchiveEntry(NamedTuple):
    """One member.

    Attributes
    ----------
    name : bytes
        As stored; of a zip, UTF-8 where the archive says so or it is, else converted from code page 437.
    size, crc, compressed, offset : int
        Declared bytes, CRC-32, compressed bytes, and where the archive has it: the position of the local header of a
        zip, of the content of a tar. A tar declares no checksum and compresses nothing: both are 0.
    reason : str
        Why the member cannot be read; empty if it may be.
    link : bytes
        For a hard link in a tar, the name of the member whose content it shares.
    """

    name: bytes
    size: int
    crc: int
    compressed: int
    offset: int
    reason: str
    link: bytes = b""


def without_content(name: bytes, reason: str, link: bytes = b"") -> ArchiveEntry:
    """Return the entry of a member that is not read.

    Parameters
    ----------
    name, reason, link
        As in `ArchiveEntry`.

    Returns
    -------
    ArchiveEntry
    """
    return ArchiveEntry(name, 0, 0, 0, 0, reason, link)
