"""Split exported files (PNG, NPZ, NIfTI) into voxels and other bytes, for the privacy search.

Voxels are verified against decoded pixels, as the arrays are. All other bytes are searched: chunks of PNG other than
the image, names, comments and texts in archives, headers, and bytes after the end of any of these.
"""

from __future__ import annotations

import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from dicomzarr.system import shortage

EXPORTS = "results/exports/"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK = 1 << 24  # bytes of voxels that are searched at once
_VOLUME = re.compile(r"[0-9a-f]{8}(__[a-z][a-z0-9_]*)?\.npy")
_ID = re.compile(rb"\b[0-9a-f]{8}(?=(?:_[a-z0-9_]*)?\.npy)")  # of a volume, of which some are numbers
_NUMBERS = re.compile(rb"'descr': '[<|][iuf]\d'")
_NIFTI_START = 352
_ATTRIBUTES = "attributes.json"  # texts in an archive are JSON, whose numbers have names
Reader = Callable[[Path, bool], Iterator["Part"]]


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of a file to be searched; `voxels` where they are nothing but voxels, `name` where they are a file."""

    data: bytes
    voxels: bool = False
    name: str = ""


def reader_of(place: str) -> Reader | None:
    """Return the function that splits an exported file into parts, or None where the file is searched as a whole."""
    if not place.startswith(EXPORTS):
        return None
    return next((read for suffix, read in _READERS.items() if place.endswith(suffix)), None)


def png(path: Path, with_voxels: bool) -> Iterator[Part]:
    """Yield the chunks of a PNG file, and the decoded image."""
    data = path.read_bytes()
    if not data.startswith(_SIGNATURE):
        yield Part(data)
        return
    at, image, ended = len(_SIGNATURE), False, False
    while not ended and at + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + length
        if kind == b"IDAT" and end <= len(data):
            image = True
        else:
            yield Part(_texts_of(kind, data[at + 8 : end - 4]) or data[at + 4 : end])
        ended, at = kind == b"IEND", end
    if at < len(data):
        yield Part(data[at:])
    if image and with_voxels:
        yield Part(_decoded(data), voxels=True)


def _texts_of(kind: bytes, content: bytes) -> bytes:
    """Return the content of a text chunk without NUL bytes, else no bytes: next to NUL short words are not searched."""
    if kind == b"zTXt":
        keyword, _, packed = content.partition(b"\0")
        try:
            return keyword + b"\n" + zlib.decompress(packed[1:])
        except zlib.error:
            return b""
    is_packed = kind == b"iTXt" and content.partition(b"\0")[2][:1] == b"\1"
    return content.replace(b"\0", b"\n") if kind in (b"tEXt", b"iTXt") and not is_packed else b""


def _decoded(data: bytes) -> bytes:
    import imagecodecs

    try:
        return bytes(np.asarray(imagecodecs.png_decode(data)).tobytes())
    except Exception as error:  # damaged; messages of the library may quote the data
        shortage.refuse_at_value(error)
        return data


def npz(path: Path, with_voxels: bool) -> Iterator[Part]:
    """Yield the members of an archive, texts as UTF-8, and the bytes between them."""
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as raw:
            at = 0
            for member in sorted(archive.infolist(), key=lambda member: member.header_offset):
                raw.seek(member.header_offset + 26)
                name, extra = struct.unpack("<HH", raw.read(4))
                begin = member.header_offset + 30 + name + extra
                raw.seek(at)
                yield Part(raw.read(member.header_offset - at))
                # Without its mark: a header alone would be a member that is cut.
                yield Part(_ID.sub(b"", raw.read(begin - member.header_offset)[4:]))
                at = begin + member.compress_size
                with archive.open(member) as stream:
                    yield from _npy(stream, bool(_VOLUME.fullmatch(member.filename)), with_voxels)
            raw.seek(at)
            yield Part(_ID.sub(b"", raw.read()))
    except (OSError, ValueError, struct.error, zipfile.BadZipFile, zlib.error, EOFError):
        yield Part(path.read_bytes())


def _npy(stream: IO[bytes], is_volume: bool, with_voxels: bool) -> Iterator[Part]:
    """Yield the parts of a .npy file: its header, then numbers or a text."""
    head = stream.read(10)
    length = int.from_bytes(head[8:10], "little") if head.startswith(b"\x93NUMPY\x01") else 0
    head += stream.read(length)
    yield Part(head)
    if is_volume and _NUMBERS.search(head):
        while with_voxels and (block := stream.read(_BLOCK)):
            yield Part(block, voxels=True)
        return
    data = stream.read()
    if b"'<U" in head:
        yield Part(data.decode("utf-32-le", "replace").encode(), name=_ATTRIBUTES)
    else:
        yield Part(data)


def nifti(path: Path, with_voxels: bool) -> Iterator[Part]:
    """Yield the header of a NIfTI file, its voxels, and the bytes after them and around the compressed stream."""
    with open(path, "rb") as raw:
        head = raw.read(4096)
        raw.seek(0)
        if head[3:4] != b"\0":  # name, comment or other fields before the stream
            yield Part(head)
        inflate: Any = zlib.decompressobj(31)
        data, left, started = b"", 0, False
        try:
            while not inflate.eof and (block := raw.read(_BLOCK >> 2)):
                pending = block
                while pending:
                    data += inflate.decompress(pending, _BLOCK)
                    pending = inflate.unconsumed_tail
                    if not started and len(data) >= _NIFTI_START:
                        started, left = True, _voxel_bytes(data)
                        start = _start_of(data)
                        yield Part(data[:start])
                        data = data[start:]
                    if started and left:
                        if with_voxels:
                            yield Part(data[:left], voxels=True)
                        data, left = data[left:], left - min(left, len(data))
        except (zlib.error, struct.error):
            data += raw.read()
        yield Part(data + inflate.unused_data + raw.read())


def _start_of(header: bytes) -> int:
    return max(int(struct.unpack("<f", header[108:112])[0]), _NIFTI_START)


def _voxel_bytes(header: bytes) -> int:
    dimensions, *sizes = struct.unpack("<8h", header[40:56])
    bits = struct.unpack("<h", header[72:74])[0]
    return math.prod(max(int(size), 1) for size in sizes[: max(dimensions, 0)]) * int(bits) // 8


_READERS: dict[str, Reader] = {".png": png, ".npz": npz, ".nii.gz": nifti}


def planted(text: bytes) -> dict[str, bytes]:
    """Return exported files that hold a text in each place where one is possible, by file name."""
    import gzip

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    image = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)), chunk(b"IDAT", zlib.compress(b"\0\0"))
    with_name, with_comment, archive = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(archive, a=np.array(text.decode()))
    with zipfile.ZipFile(with_comment, "w") as packed:
        packed.comment = text
        packed.writestr(zipfile.ZipInfo("0a0a0a0a.npy"), b"\x93NUMPY\x01\0\0\0")
    header = bytearray(_NIFTI_START)
    header[148 : 148 + len(text)] = text
    with gzip.GzipFile(text.decode(), "wb", fileobj=with_name, mtime=0) as stream:
        stream.write(bytes(_NIFTI_START))
    end = chunk(b"IEND", b"")
    return {
        "text.png": b"".join([_SIGNATURE, image[0], chunk(b"tEXt", b"Comment\0" + text), image[1], end]),
        "packed.png": b"".join([_SIGNATURE, *image, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(text)), end]),
        "behind.png": b"".join([_SIGNATURE, *image, end, text]),
        "text.npz": archive.getvalue(),
        "comment.npz": with_comment.getvalue(),
        "header.nii.gz": gzip.compress(bytes(header), mtime=0),
        "name.nii.gz": with_name.getvalue(),
        "behind.nii.gz": gzip.compress(bytes(_NIFTI_START) + text, mtime=0) + text,
    }
