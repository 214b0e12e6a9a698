"""Decompress in pieces of bounded size, from positioned reads; nothing is taken from declared sizes."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Protocol

from dicomzarr.vocabulary.reasons import NotExtracted

PIECE = 1 << 20  # bytes of output of one read
_INPUT = 1 << 18  # bytes of input of one read; the first ones are smaller, since a header needs little
_FIRST_INPUT = 1 << 14
_WINDOW = 1 << 27  # bytes: the largest window of zstd that its own command takes by default
STORED, DEFLATE, BZIP2, LZMA, ZSTD = 0, 8, 12, 14, 93  # methods of zip (APPNOTE 4.4.5)


class Reader(Protocol):
    """Positioned reads of an archive."""

    size: int

    def read(self, length: int, offset: int) -> bytes:
        """Return up to `length` bytes at `offset`; fewer only at the end."""
        ...


class Damaged(Exception):
    """The compressed data are malformed; `cut` if they merely end too early."""

    def __init__(self, *, cut: bool = False) -> None:
        super().__init__()
        self.cut = cut


class Input:
    """Sequential reads of an archive from an offset."""

    def __init__(self, archive: Reader, offset: int) -> None:
        self._archive, self.offset, self._next = archive, offset, _FIRST_INPUT

    def read(self, length: int = -1) -> bytes:
        """Return the next bytes, as many as are useful if no length is given; none at the end."""
        if length < 0:
            length, self._next = self._next, min(2 * self._next, _INPUT)
        data = self._archive.read(length, self.offset) if self.offset < self._archive.size else b""
        self.offset += len(data)
        return data


class Stream(Protocol):
    """Decompressed bytes, one after the other.

    Attributes
    ----------
    consumed : int
        Compressed bytes up to the end of the stream, once it is reached; -1 where the format does not tell.
    has_end : bool
        Whether the stream itself tells where it ends.
    """

    consumed: int
    has_end: bool

    def read(self, length: int) -> bytes:
        """Return between 1 and `length` bytes; none at the end. Raises `Damaged`."""
        ...


class Stored:
    """Bytes without compression."""

    has_end = True

    def __init__(self, archive: Reader, offset: int, size: int) -> None:
        self._input, self._left, self.consumed = Input(archive, offset), size, size

    def read(self, length: int) -> bytes:
        """Return the next bytes."""
        data = self._input.read(min(length, self._left))
        self._left -= len(data)
        return data


class Inflated:
    """A stream of deflate (PKZIP or gzip); several gzip streams in a row count as one."""

    has_end = True

    def __init__(self, archive: Reader, offset: int, *, is_gzip: bool = False) -> None:
        self._input, self._start, self._gzip = Input(archive, offset), offset, is_gzip
        self._inflater: Any = self._new()
        self._pending, self._is_over, self.consumed = b"", False, -1

    def _new(self) -> Any:
        return zlib.decompressobj(zlib.MAX_WBITS | 16 if self._gzip else -zlib.MAX_WBITS)

    def read(self, length: int) -> bytes:
        """Return the next bytes."""
        while not self._is_over:
            block = self._pending or self._input.read()
            try:
                data: bytes = self._inflater.decompress(block, length)
            except zlib.error:
                raise Damaged from None
            self._pending = self._inflater.unconsumed_tail
            if self._inflater.eof:
                self._end()
            elif not block and not data:
                raise Damaged(cut=True)
            if data:
                return data
        return b""

    def _end(self) -> None:
        rest = self._inflater.unused_data
        if self._gzip:
            while len(rest) < 2 and (more := self._input.read()):
                rest += more
            if rest[:2] == b"\x1f\x8b":
                self._inflater, self._pending = self._new(), rest
                return
        self.consumed, self._is_over = self._input.offset - len(rest) - self._start, True


class Decompressed:
    """A stream of bzip2 or LZMA within a zip."""

    def __init__(self, archive: Reader, offset: int, decompressor: Any, *, has_end: bool) -> None:
        self._input, self._start, self._object, self.has_end = Input(archive, offset), offset, decompressor, has_end
        self.consumed = -1

    def read(self, length: int) -> bytes:
        """Return the next bytes."""
        while not self._object.eof:
            block = self._input.read() if self._object.needs_input else b""
            try:
                data: bytes = self._object.decompress(block, length)
            except (OSError, lzma.LZMAError, EOFError):
                raise Damaged from None
            if self._object.eof and self.has_end:
                self.consumed = self._input.offset - len(self._object.unused_data) - self._start
            if data:
                return data
            if not block and self._object.needs_input and not self._object.eof:
                raise Damaged(cut=True)
        return b""


class _Frames:
    """Reads frames of zstd that follow one another, and finds where they end (RFC 8878 3.1).

    Attributes
    ----------
    end : int
        Offset of the first byte that belongs to none, once it is reached; before, -1.
    is_cut : bool
        Whether the archive ends within a frame.
    """

    def __init__(self, archive: Reader, offset: int) -> None:
        self._input, self.end, self.is_cut = Input(archive, offset), -1, False
        self._part, self._head, self._left, self._checksum = _MAGIC, b"", 0, 0

    def read(self, length: int) -> bytes:
        """Return the next bytes, none of them behind the last frame."""
        data = b"" if self.end >= 0 else self._input.read(length)
        position = 0
        while position < len(data):
            if self._left:
                skipped = min(self._left, len(data) - position)
                self._left -= skipped
                position += skipped
                continue
            piece = data[position : position + _BYTES[self._part] - len(self._head)]
            if self._part == _MAGIC and len(piece) < _BYTES[_MAGIC] and position:
                break  # the next read has it whole
            if self._part == _MAGIC and not _begins_frame(piece):
                self.end, self.is_cut = self._input.offset - len(data) + position, _FRAME.startswith(piece)
                break
            position += len(piece)
            self._head += piece
            if len(self._head) == _BYTES[self._part]:
                self._next()
        if not data and self.end < 0:
            self.end, self.is_cut = self._input.offset, self._part != _MAGIC or self._left > 0
        self._input.offset -= len(data) - position
        return data[:position]

    def _next(self) -> None:
        """Set what comes after a part of a frame: which part, and how many bytes before it."""
        head, self._head = self._head, b""
        number = int.from_bytes(head, "little")
        if self._part == _MAGIC:
            self._part = _DESCRIPTOR if head == _FRAME else _SKIPPED
        elif self._part == _DESCRIPTOR:
            is_single = number >> 5 & 1
            self._checksum = 4 * (number >> 2 & 1)
            self._left = 1 - is_single + (0, 1, 2, 4)[number & 3] + (is_single, 2, 4, 8)[number >> 6]
            self._part = _BLOCK
        elif self._part == _BLOCK:
            self._left = 1 if number >> 1 & 3 == 1 else number >> 3
            if number & 1:
                self._left += self._checksum
                self._part = _MAGIC
        else:
            self._left, self._part = number, _MAGIC


_MAGIC, _DESCRIPTOR, _BLOCK, _SKIPPED = "magic", "descriptor", "block", "size"
_BYTES = {_MAGIC: 4, _DESCRIPTOR: 1, _BLOCK: 3, _SKIPPED: 4}
_FRAME = b"\x28\xb5\x2f\xfd"


def _begins_frame(magic: bytes) -> bool:
    """Return whether four bytes begin a frame, of data or one that is skipped."""
    return magic == _FRAME or (0x50 <= magic[0] <= 0x5F and magic[1:] == b"\x2a\x4d\x18")


class Zstandard:
    """A stream of zstd frames; with `to_end`, nothing else may follow them."""

    has_end = True

    def __init__(self, archive: Reader, offset: int, *, to_end: bool = False) -> None:
        import zstandard

        self._error, self.consumed, self._start = zstandard.ZstdError, -1, offset
        self._stop = archive.size if to_end else -1
        self._frames = _Frames(archive, offset)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        self._reader = decompressor.stream_reader(self._frames, _INPUT, read_across_frames=True)  # type: ignore[arg-type]

    def read(self, length: int) -> bytes:
        """Return the next bytes."""
        try:
            data: bytes = self._reader.read(length)
        except self._error:
            raise Damaged from None
        if not data:
            if self._frames.is_cut:
                raise Damaged(cut=True)
            if 0 <= self._frames.end < self._stop:
                raise Damaged
            self.consumed = self._frames.end - self._start
        return data


def of_method(method: int, archive: Reader, offset: int, size: int) -> Stream:
    """Return the stream of a member of a zip.

    Parameters
    ----------
    method : int
        Compression method.
    archive : Reader
    offset : int
        Of the first compressed byte.
    size : int
        Bytes of a member that is stored.

    Raises
    ------
    NotExtracted
        `unsupported_member` for other methods.
    """
    if method == STORED:
        return Stored(archive, offset, size)
    if method == DEFLATE:
        return Inflated(archive, offset)
    if method == BZIP2:
        return Decompressed(archive, offset, bz2.BZ2Decompressor(), has_end=True)
    if method == LZMA:
        return _lzma(archive, offset)
    if method == ZSTD:
        return Zstandard(archive, offset)
    raise NotExtracted("unsupported_member")


def _lzma(archive: Reader, offset: int) -> Stream:
    """Return the stream of a member with LZMA: version, length of the properties, and these (APPNOTE 5.8.8)."""
    head = archive.read(9, offset)
    length = int.from_bytes(head[2:4], "little")
    if len(head) < 9 or length != 5 or head[4] >= 9 * 5 * 5:
        raise NotExtracted("damaged_member")
    rest, lc = divmod(head[4], 9)
    pb, lp = divmod(rest, 5)
    size = int.from_bytes(head[5:9], "little")
    try:
        filters = [{"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(size, 4096)}]
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
    except (lzma.LZMAError, ValueError):
        raise NotExtracted("damaged_member") from None
    return Decompressed(archive, offset + 9, decompressor, has_end=False)
