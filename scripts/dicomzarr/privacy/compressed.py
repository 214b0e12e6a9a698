"""Inflate compressed parts of bytes, for the privacy search."""

from __future__ import annotations

import bz2
import functools
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator

MAX_INFLATED = 64 << 20  # bytes of one compressed part after inflation; the rest is not searched


def may_be_compressed(data: bytes) -> bool:
    """Return whether bytes hold a mark of a compressed part."""
    return bool(_ANY_MAGIC.search(data)) or _looks_like_blosc(data)


def _looks_like_blosc(data: bytes) -> bool:
    return 16 < len(data) <= MAX_INFLATED and data[0] == 2 and int.from_bytes(data[12:16], "little") == len(data)


def inflated(data: bytes) -> Iterator[bytes]:
    """Yield the inflated content of compressed parts, at any offset; bytes that only look compressed yield nothing."""
    for magic, inflate in _MAGICS if _ANY_MAGIC.search(data) else ():
        start = data.find(magic)
        tries = 0
        while start >= 0 and tries < 64:
            try:
                part = inflate(data[start:])
            except Exception:  # not compressed; messages of libraries may quote the bytes
                part = b""
            if part:
                yield part
            start = data.find(magic, start + 1)
            tries += 1
    if _looks_like_blosc(data):
        try:
            from numcodecs import blosc

            if int.from_bytes(data[4:8], "little") <= MAX_INFLATED:
                yield bytes(blosc.decompress(data))
        except Exception:
            return


def _zlib(bits: int) -> Callable[[bytes], bytes]:
    return lambda data: bytes(zlib.decompressobj(bits).decompress(data, MAX_INFLATED))


def _zip(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        parts = [name.encode("utf-8", "replace") for name in names]
        room = MAX_INFLATED
        for name in names:
            with archive.open(name) as member:
                parts.append(member.read(room))
                room -= len(parts[-1])
    return b"\n".join(parts)


def _zstd(data: bytes) -> bytes:
    return bytes(_zstd_decoder()(data))


@functools.cache
def _zstd_decoder() -> Callable[[bytes], bytes]:
    import imagecodecs

    return lambda data: bytes(imagecodecs.zstd_decode(data, out=min(MAX_INFLATED, 256 * len(data) + 4096)))


_MAGICS: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
    (b"\x1f\x8b\x08", _zlib(31)),
    (b"\x78\x01", _zlib(15)),
    (b"\x78\x5e", _zlib(15)),
    (b"\x78\x9c", _zlib(15)),
    (b"\x78\xda", _zlib(15)),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"PK\x03\x04", _zip),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data, MAX_INFLATED)),
    (b"\xfd7zXZ\0", lambda data: lzma.LZMADecompressor().decompress(data, MAX_INFLATED)),
)


_ANY_MAGIC = re.compile(b"|".join(re.escape(magic) for magic, _ in _MAGICS))
