"""Where the first element of a file is: after preamble and prefix, or at its first byte."""

from __future__ import annotations

import io
from typing import Any, BinaryIO, Final, cast

PREFIX: Final = b"DICM"
AFTER_PREFIX: Final = 132  # bytes of preamble and prefix
_META: Final = b"\2\0"  # group 0002, little endian (PS3.10 7.1)
_FIRST_GROUPS: Final = (_META, b"\x08\0", b"\0\x08")  # of a file without preamble: 0002, or 0008 in either order


def has_prefix(head: bytes) -> bool:
    """Return whether a file begins with a preamble and the prefix DICM.

    A file without preamble may hold these four letters at byte 128 by chance, within a value. It begins with a group of
    its own, and no File Meta Information follows the letters.

    Parameters
    ----------
    head : bytes
        The first 134 bytes or more.

    Returns
    -------
    bool

    References
    ----------
    DICOM PS3.10 7.1.
    """
    if head[128:AFTER_PREFIX] != PREFIX:
        return False
    return head[AFTER_PREFIX : AFTER_PREFIX + 2] == _META or head[:2] not in _FIRST_GROUPS


def offset_of_first_element(head: bytes) -> int:
    """Return the offset of the first element of a file in bytes: 132, or 0 where preamble and prefix are missing.

    Parameters
    ----------
    head : bytes
        The first 134 bytes or more.

    Returns
    -------
    int
    """
    return AFTER_PREFIX if has_prefix(head) else 0


def is_within_a_value(head: bytes) -> bool:
    """Return whether the letters DICM are at byte 128 of a file, and are not its prefix.

    Parameters
    ----------
    head : bytes
        The first 134 bytes or more.

    Returns
    -------
    bool
    """
    return head[128:AFTER_PREFIX] == PREFIX and not has_prefix(head)


def for_pydicom(file: BinaryIO) -> BinaryIO:
    """Return a stream that pydicom reads from the first element of a file.

    Parameters
    ----------
    file : binary file
        Open at its first byte.

    Returns
    -------
    binary file
        The same, at its first byte; behind a preamble and the prefix where pydicom would take letters of a value for
        the prefix. It must not be used once `file` is closed.
    """
    head = file.read(AFTER_PREFIX + 2)
    file.seek(0)
    return cast(BinaryIO, _BehindPrefix(file)) if is_within_a_value(head) else file


class _BehindPrefix(io.RawIOBase):
    """A file behind a preamble and the prefix, which it does not have."""

    _START: Final = bytes(128) + PREFIX

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file, self._position = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_CUR:
            offset += self._position
        elif whence == io.SEEK_END:
            offset = self._file.seek(offset, io.SEEK_END) + AFTER_PREFIX
        self._position = max(offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        if self._position < AFTER_PREFIX:
            data = self._START[self._position :][: len(buffer)]
        else:
            self._file.seek(self._position - AFTER_PREFIX)
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
