"""Positioned reads of a pixel data element: from a file, or from inflated data in memory."""

from __future__ import annotations

import os
import zlib
from typing import Any, Protocol

from blake3 import blake3

from dicomzarr.dicom.facts import ImageFacts
from dicomzarr.dicom.prefix import offset_of_first_element
from dicomzarr.dicom.transfer_syntaxes import DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN
from dicomzarr.dicom.vr import LONG_VRS, SHORT_VRS
from dicomzarr.system import limits, shortage
from dicomzarr.vocabulary.errors import SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

_CHUNK = 1 << 20


class Source(Protocol):
    """Positioned reads of a data set; `size` is the offset just after its last byte."""

    size: int

    def read(self, offset: int, length: int) -> bytes | memoryview:
        """Return bytes of the data set.

        Parameters
        ----------
        offset, length : int
            In bytes, from the start of the data set.

        Returns
        -------
        bytes or memoryview
            Exactly `length` bytes.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data` where there are fewer.
        """
        ...

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes of the data set.

        Parameters
        ----------
        offset : int
            In bytes, from the start of the data set.
        buffer : memoryview
            Writable, of bytes; all of it is filled.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data` where there are fewer bytes.
        """
        ...


class FileSource:
    """Positioned reads from an open file descriptor, which the caller closes."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.size = size

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file.

        Parameters
        ----------
        offset, length : int
            In bytes.

        Returns
        -------
        bytes
            Exactly `length` bytes.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data` where there are fewer.
        """
        # Compared with the size of the file first, so that a wrong length allocates nothing.
        if length > self.size - offset:
            raise NotExtracted("truncated_pixel_data", found=max(self.size - offset, 0), needed=length)
        data = os.pread(self._fd, length, offset)
        if len(data) == length:
            return data
        buffer = bytearray(length)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes of the file.

        Parameters
        ----------
        offset : int
            In bytes.
        buffer : memoryview
            Writable, of bytes; all of it is filled, usually by one system call.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data` where there are fewer bytes.
        """
        filled, needed = 0, buffer.nbytes
        while filled < needed:
            count = os.preadv(self._fd, [buffer[filled:]], offset + filled)
            if count == 0:
                raise NotExtracted("truncated_pixel_data", found=filled, needed=needed)
            filled += count


BLOCK = 128 << 10  # bytes of a file that have a digest of their own: few more are read than a frame needs
DIGEST = 32  # bytes of a digest


def block_digests(data: bytes) -> bytes:
    """Return the BLAKE3 of each block of `BLOCK` bytes.

    Parameters
    ----------
    data : bytes
        A whole file.

    Returns
    -------
    bytes
        The digests, joined; the last block may be shorter.
    """
    view = memoryview(data)
    return b"".join([blake3(view[start : start + BLOCK]).digest() for start in range(0, len(data), BLOCK)])


class BlockSource:
    """Positioned reads from an open file descriptor whose blocks must have the digests of an earlier read.

    Parameters
    ----------
    fd : int
        Open for reading; the caller closes it.
    size : int
        Size of the file in bytes.
    digests : bytes
        Of `block_digests`, for the whole file.

    Raises
    ------
    SourceChanged
        By both methods, if a block differs.
    """

    def __init__(self, fd: int, size: int, digests: bytes) -> None:
        self._file, self._digests = FileSource(fd, size), digests
        self.size = size
        self._held = range(0), b""  # the last block that was read, for what begins in it

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file, as `FileSource.read` does.

        Parameters
        ----------
        offset, length : int
            Of the bytes, in the file.

        Returns
        -------
        bytes
            Exactly `length`.
        """
        if length > self.size - offset:
            raise NotExtracted("truncated_pixel_data", found=max(self.size - offset, 0), needed=length)
        buffer = bytearray(length)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with bytes of the file, as `FileSource.read_into` does.

        Parameters
        ----------
        offset : int
            Of the first byte, in the file.
        buffer : memoryview
            Of bytes; it is filled.
        """
        position, end = offset, offset + buffer.nbytes
        if end > self.size:
            raise NotExtracted("truncated_pixel_data", found=max(self.size - offset, 0), needed=buffer.nbytes)
        while position < end:
            whole = buffer[position - offset : position - offset + BLOCK]
            place, data = self._held
            if position % BLOCK == 0 and len(whole) == BLOCK:
                self._file.read_into(position, whole)
                self._refuse_change(position, whole)
                position += BLOCK
                continue
            if position not in place:
                start = position - position % BLOCK
                place = range(start, min(start + BLOCK, self.size))
                data = self._file.read(start, len(place))
                self._refuse_change(start, data)
                self._held = place, data
            last = min(end, place.stop)
            buffer[position - offset : last - offset] = data[position - place.start : last - place.start]
            position = last

    def _refuse_change(self, start: int, data: bytes | memoryview) -> None:
        first = start // BLOCK * DIGEST
        if blake3(data).digest() != self._digests[first : first + DIGEST]:
            raise SourceChanged(1)


class MemorySource:
    """Positioned reads from bytes in memory; the first of them is at offset `start` of the data set."""

    def __init__(self, data: bytes | bytearray | memoryview, start: int = 0) -> None:
        self._data = memoryview(data)
        self._start = start
        self.size = start + len(self._data)

    def read(self, offset: int, length: int) -> memoryview:
        """Return a view of the bytes.

        Parameters
        ----------
        offset, length : int
            In bytes, from the start of the data set.

        Returns
        -------
        memoryview
            Exactly `length` bytes.

        Raises
        ------
        NotExtracted
            `truncated_pixel_data` where there are fewer.
        """
        first = offset - self._start
        view = self._data[first : first + length] if first >= 0 else self._data[:0]
        if len(view) != length:
            raise NotExtracted("truncated_pixel_data", found=len(view), needed=length)
        return view

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer with the bytes.

        Parameters
        ----------
        offset : int
            In bytes, from the start of the data set.
        buffer : memoryview
            Writable, of bytes; all of it is filled.
        """
        buffer[:] = self.read(offset, buffer.nbytes)


def open_source(fd: int, size: int, facts: ImageFacts, digests: bytes = b"") -> Source:
    """Return the source of a file's pixel data: the file itself, or its inflated pixel data.

    Parameters
    ----------
    fd : int
        Open for reading; its file position is neither used nor moved.
    size : int
        Size of the file in bytes.
    facts : ImageFacts
        Of the header.
    digests : bytes
        Of the blocks of the file, if they are known: see `BlockSource`. A deflated file is read without them.

    Returns
    -------
    Source
        Offsets count as those of ``facts["pixel"]`` do.

    Raises
    ------
    NotExtracted
        `bad_encapsulation`, `too_large`, `truncated_pixel_data` or `decode_error`, for a deflated file alone.

    References
    ----------
    DICOM PS3.5 A.5 (Deflated Explicit VR Little Endian).
    """
    if facts.get("TransferSyntaxUID") != DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN.uid:
        return BlockSource(fd, size, digests) if digests else FileSource(fd, size)
    pixel = facts["pixel"]
    start, length = pixel["offset"], pixel["length"]
    if length < 0:
        raise NotExtracted("bad_encapsulation")
    # Frames of a deflated data set cannot be read by offset: all of its pixel data is inflated into memory.
    max_bytes = limits.current().frame
    if start + length > max_bytes:
        raise NotExtracted("too_large", found=start + length, needed=max_bytes)
    return MemorySource(_inflate(fd, size, _end_of_file_meta(fd, size), start, length), start)


def _end_of_file_meta(fd: int, size: int) -> int:
    """Return the offset after the File Meta Information: explicit VR (PS3.10 7.1), or implicit VR by some writers."""
    position = offset_of_first_element(os.pread(fd, 134, 0))
    while position + 8 <= size:
        head = os.pread(fd, 12, position)
        if head[:2] != b"\x02\x00":
            break
        code = int.from_bytes(head[4:6], "little")
        if code in LONG_VRS:
            position += 12 + int.from_bytes(head[8:12], "little")
        elif code in SHORT_VRS:
            position += 8 + int.from_bytes(head[6:8], "little")
        else:
            position += 8 + int.from_bytes(head[4:8], "little")
    return position


def _inflate(fd: int, size: int, position: int, start: int, length: int) -> bytearray:
    """Return bytes `start` to `start + length` of the raw deflate stream at `position`; no others stay in memory."""
    inflater: Any = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated, data, pending = 0, bytearray(), b""  # bytes inflated so far, those of the range, input not yet used
    try:
        while inflated < start + length and not inflater.eof:
            if not pending:
                pending = os.pread(fd, min(_CHUNK, size - position), position) if position < size else b""
                position += len(pending)
                if not pending:
                    break
            piece = inflater.decompress(pending, _CHUNK)
            pending = inflater.unconsumed_tail
            data += piece[max(start - inflated, 0) :]
            inflated += len(piece)
    except zlib.error:
        raise NotExtracted("decode_error") from None
    except MemoryError:
        shortage.refuse()
        raise NotExtracted("too_large", found=start + length) from None
    if len(data) < length:
        raise NotExtracted("truncated_pixel_data", found=len(data), needed=length)
    del data[length:]
    return data
