"""Inflate compressed parts of bytes, for the privacy search, and say what of them it cannot read."""

from __future__ import annotations

import bz2
import lzma
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

from dicomzarr.system import shortage

MAX_INFLATED = 64 << 20  # bytes of a compressed part that are searched at once
MAX_TOTAL = 1 << 30  # bytes of a compressed part after inflation; the rest is not searched
_BLOCK = 1 << 10  # compressed bytes that are inflated at once; of zstd and bzip2 they become up to 32 MB
_BY_CHANCE = 4096  # compressed bytes that bytes which only look compressed do not get through
# Of a member of a zip archive, behind its mark: version, flags, method, compressed size, sizes of name and extra field.
_LOCAL_HEADER = struct.Struct("<HHH8xI4xHH")
_MAX_NAME, _IN_EXTRA_FIELD = 4096, 0xFFFFFFFF
_MARK_OF_ZLIB = 2  # bytes, which occur by chance

Missed: TypeAlias = Callable[[str], None]
# Yields content, and returns where the part ends; 0 if that is not known.
_Parts: TypeAlias = Generator[bytes, None, int]
_Inflate: TypeAlias = Callable[[bytes, int, Missed], _Parts]


def may_be_compressed(data: bytes) -> bool:
    """Return whether bytes hold a mark of a compressed part."""
    return bool(_ANY_MAGIC.search(data)) or _looks_like_blosc(data)


def starts_compressed(data: bytes) -> bool:
    """Return whether bytes begin with a mark of a compressed part that is no chance."""
    found = _ANY_MAGIC.match(data)
    return found is not None and len(found.group()) > _MARK_OF_ZLIB


def _looks_like_blosc(data: bytes) -> bool:
    return 16 < len(data) <= MAX_INFLATED and data[0] == 2 and int.from_bytes(data[12:16], "little") == len(data)


def inflated(data: bytes, missed: Missed) -> Iterator[bytes]:
    """Yield the inflated content of compressed parts, at any offset; bytes that only look compressed yield nothing.

    Parameters
    ----------
    data : bytes
        Of a file, or a part of one.
    missed : callable
        Called with a reason, a key of `unread.REASONS`, where a compressed part is not read to its end.

    Yields
    ------
    bytes
        At most `MAX_INFLATED` at once. After a member of a zip archive comes the next one.
    """
    at = 0
    while found := _ANY_MAGIC.search(data, at):
        at = found.start()
        end = yield from _MAGICS[found.group()](data, at, missed)
        at = max(at + 1, end)
    if _looks_like_blosc(data):
        try:
            from numcodecs import blosc

            if int.from_bytes(data[4:8], "little") <= MAX_INFLATED:
                yield bytes(blosc.decompress(data))
        except Exception as error:  # messages of libraries may quote the bytes
            shortage.refuse_at_value(error)
            return


def _streamed(
    make: Callable[[], Any],
    data: bytes,
    at: int,
    missed: Missed,
    *,
    is_certain: bool = False,
    has_end: bool = True,
) -> _Parts:
    """Yield what a decompressor makes of a stream; return where it ends, or 0 if it does not.

    `is_certain`: more than the mark says that this is a stream. `has_end`: it says itself where it ends.
    """
    decoder, view = make(), memoryview(data)
    start, total, piece, end = at, 0, bytearray(), 0
    try:
        while not decoder.eof and at < len(data) and total < MAX_TOTAL:
            block, at = view[at : at + _BLOCK], at + _BLOCK
            piece += decoder.decompress(block)
            if len(piece) >= MAX_INFLATED:
                total += len(piece)
                yield bytes(piece)
                piece.clear()
        if decoder.eof:
            end = min(at, len(data)) - len(getattr(decoder, "unused_data", b""))  # that of zipfile has none
        elif total >= MAX_TOTAL:
            missed("too_long")
        elif has_end and (is_certain or len(data) - start >= _BY_CHANCE):
            missed("damaged")
    except Exception as error:  # not compressed, or damaged; messages of libraries may quote the bytes
        shortage.refuse_at_value(error)
        if is_certain or total or at - start > _BY_CHANCE:
            missed("damaged")
        if not (is_certain or total):
            piece.clear()
    if piece:
        yield bytes(piece)
    return end


def _stream(make: Callable[[], Any], *, is_certain_at_start: bool = False) -> _Inflate:
    def inflate(data: bytes, at: int, missed: Missed) -> _Parts:
        return (yield from _streamed(make, data, at, missed, is_certain=is_certain_at_start and at == 0))

    return inflate


def _zip_member(data: bytes, at: int, missed: Missed) -> _Parts:
    """Yield name and content of a member of a zip archive, found by its own header: it may be damaged behind it."""
    if len(data) - at - 4 < _LOCAL_HEADER.size:
        return 0
    header: tuple[int, ...] = _LOCAL_HEADER.unpack_from(data, at + 4)
    version, flags, method, packed, name_size, extra = header
    start = at + 4 + _LOCAL_HEADER.size
    if version & 0xFF > 100 or name_size > _MAX_NAME:  # a mark by chance
        return 0
    yield data[start : start + name_size]
    start += name_size
    packed = _long_size(data[start : start + extra], packed)
    start += extra
    if flags & 1:
        missed("encrypted")
        return start
    if method == zipfile.ZIP_STORED:
        if 0 < packed <= len(data) - start:
            yield data[start : start + packed]
            return start + packed
    elif method == zipfile.ZIP_DEFLATED:
        return (yield from _streamed(_raw_deflate, data, start, missed, is_certain=True)) or start
    elif method == zipfile.ZIP_LZMA:
        end = start + packed if packed else len(data)
        yield from _streamed(_lzma_of_zip, data[start:end], 0, missed, is_certain=True, has_end=end > len(data))
        return start + packed
    elif method not in _BY_OWN_MARK:
        missed("archive")
    return start


def _long_size(extra: bytes, packed: int) -> int:
    """Return the compressed size of a member, from its extra field where it is ZIP64; 0 if it is not stated."""
    at = 0
    while packed == _IN_EXTRA_FIELD and at + 4 <= len(extra):
        kind, size = struct.unpack_from("<HH", extra, at)
        if kind == 1 and size >= 16:
            return int.from_bytes(extra[at + 12 : at + 20], "little")
        at += 4 + size
    return 0 if packed == _IN_EXTRA_FIELD else packed


def _raw_deflate() -> Any:
    return zlib.decompressobj(-zlib.MAX_WBITS)


def _lzma_of_zip() -> Any:
    return zipfile.LZMADecompressor()  # type: ignore[attr-defined]


_BY_OWN_MARK = (zipfile.ZIP_BZIP2, 93, 95)  # bzip2, zstd, xz: the content of the member begins with its own mark


def _zstd_decoder() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()


_gzip = _stream(lambda: zlib.decompressobj(31), is_certain_at_start=True)
_zlib = _stream(lambda: zlib.decompressobj(15))
_MAGICS: dict[bytes, _Inflate] = {
    b"\x1f\x8b\x08": _gzip,
    b"\x78\x01": _zlib,
    b"\x78\x5e": _zlib,
    b"\x78\x9c": _zlib,
    b"\x78\xda": _zlib,
    b"\x28\xb5\x2f\xfd": _stream(_zstd_decoder, is_certain_at_start=True),
    b"PK\x03\x04": _zip_member,
    b"BZh": _stream(bz2.BZ2Decompressor, is_certain_at_start=True),
    b"\xfd7zXZ\0": _stream(lzma.LZMADecompressor, is_certain_at_start=True),
}
_ANY_MAGIC = re.compile(b"|".join(re.escape(magic) for magic in _MAGICS))
