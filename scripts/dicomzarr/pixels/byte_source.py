"""Where the bytes of a pixel data element come from: positioned reads from a file, or from inflated memory."""

from __future__ import annotations

import os
import zlib
from typing import Any, Protocol

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from dicomzarr.dicom.vr import LONG_VRS
from dicomzarr.system import limits
from dicomzarr.vocabulary.reasons import SetAside

_CHUNK = 1 << 20


class Source(Protocol):
    """Positioned reads of a data set; `size` is the offset just after its last byte."""

    size: int

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Return exactly `length` bytes from `offset`; a short read is set aside as truncated."""
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill the writable `buffer` from `offset`; a short read is set aside as truncated."""
        ...


class FileSource:
    """Positioned reads from an open file descriptor, which stays the caller's to close."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return exactly `length` bytes from `offset`."""
        # The size is known, so a length that lies costs no allocation.
        if length > self.size - offset:
            raise SetAside("truncated_pixel_data", found=max(self.size - offset, 0), needed=length)
        data = os.pread(self._fd, length, offset)
        if len(data) == length:
            return data
        buffer = bytearray(length)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill `buffer` from `offset` with as many positioned reads as the kernel needs (one, as a rule)."""
        done, needed = 0, buffer.nbytes
        while done < needed:
            got = os.preadv(self._fd, [buffer[done:]], offset + done)
            if got == 0:
                raise SetAside("truncated_pixel_data", found=done, needed=needed)
            done += got


class MemorySource:
    """Bytes in memory, of which the first lies at offset `start` of the data set."""

    def __init__(self, data: bytes | bytearray | memoryview, start: int = 0) -> None:
        self._data = memoryview(data)
        self._start = start
        self.size = start + len(self._data)

    def read(self, offset: int, length: int) -> memoryview:
        """Return a view of exactly `length` bytes from `offset`."""
        first = offset - self._start
        view = self._data[first : first + length] if first >= 0 else self._data[:0]
        if len(view) != length:
            raise SetAside("truncated_pixel_data", found=len(view), needed=length)
        return view

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Copy from `offset` into `buffer`."""
        buffer[:] = self.read(offset, buffer.nbytes)


def open_source(fd: int, size: int, facts: ImageFacts) -> Source:
    """Return the source of a file's pixel data: the file itself, or its inflated pixel data.

    Parameters
    ----------
    fd : int
        Open for reading; used with positioned reads only, so that its file offset stays untouched.
    size : int
        Bytes in the file.

    References
    ----------
    DICOM PS3.5 A.5 (Deflated Explicit VR Little Endian).
    """
    if facts.get("TransferSyntaxUID") != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid:
        return FileSource(fd, size)
    pixel = facts["pixel"]
    start, length = pixel["offset"], pixel["length"]
    if length < 0:
        raise SetAside("bad_encapsulation")
    # It has no frames one could seek to: its pixel data is inflated into memory as a whole, beside one frame.
    most = limits.current().frame
    if start + length > most:
        raise SetAside("too_large", found=start + length, needed=most)
    return MemorySource(_inflate(fd, size, _end_of_file_meta(fd, size), start, length), start)


def _end_of_file_meta(fd: int, size: int) -> int:
    """Return the offset just after the file meta information, which is explicit little endian (PS3.10 7.1)."""
    position = 132 if os.pread(fd, 4, 128) == b"DICM" else 0
    while position + 8 <= size:
        head = os.pread(fd, 12, position)
        if head[:2] != b"\x02\x00":
            break
        if int.from_bytes(head[4:6], "little") in LONG_VRS:
            position += 12 + int.from_bytes(head[8:12], "little")
        else:
            position += 8 + int.from_bytes(head[6:8], "little")
    return position


def _inflate(fd: int, size: int, position: int, start: int, length: int) -> bytearray:
    """Return bytes `start` to `start + length` of the raw deflate stream at `position`, holding nothing else."""
    inflater: Any = zlib.decompressobj(-zlib.MAX_WBITS)
    seen, kept, pending = 0, bytearray(), b""
    try:
        while seen < start + length and not inflater.eof:
            if not pending:
                pending = os.pread(fd, min(_CHUNK, size - position), position) if position < size else b""
                position += len(pending)
                if not pending:
                    break
            piece = inflater.decompress(pending, _CHUNK)
            pending = inflater.unconsumed_tail
            kept += piece[max(start - seen, 0) :]
            seen += len(piece)
    except zlib.error:
        raise SetAside("decode_error") from None
    except MemoryError:
        raise SetAside("too_large", found=start + length) from None
    if len(kept) < length:
        raise SetAside("truncated_pixel_data", found=len(kept), needed=length)
    del kept[length:]
    return kept
