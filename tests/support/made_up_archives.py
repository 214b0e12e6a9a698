"""Archives of known content, well-made and hostile."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import zstandard

DAY = (1990, 1, 1, 0, 0, 0)


def zip_of(files: Mapping[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with these files, in this order; a name may occur twice."""
    out = io.BytesIO()
    pairs = list(files.items()) if isinstance(files, Mapping) else list(files)
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in pairs:
            info = zipfile.ZipInfo(name, DAY)
            info.compress_type = method
            archive.writestr(info, content)
    return out.getvalue()


def streamed_zip_of(files: Mapping[str, bytes]) -> bytes:
    """Return a zip as it is written to a pipe: sizes and checksums follow the data (data descriptors)."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation

    out = Pipe()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, DAY)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w") as stream:
                stream.write(content)
    return out.getvalue()


def tar_of(
    members: Mapping[str, bytes] | Sequence[tuple[tarfile.TarInfo | str, bytes]], form: int = tarfile.PAX_FORMAT
) -> bytes:
    """Return a tar with these files; members may be given as `TarInfo`."""
    out = io.BytesIO()
    pairs = list(members.items()) if isinstance(members, Mapping) else list(members)
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in pairs:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member of a tar that is no file: a link, a device."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def gz(content: bytes) -> bytes:
    """Return gzipped bytes."""
    return gzip.compress(content, mtime=0)


def zst(content: bytes) -> bytes:
    """Return bytes compressed by zstd."""
    return zstandard.ZstdCompressor().compress(content)


PACKERS = {
    ".zip": zip_of,
    ".tar": tar_of,
    ".tgz": lambda files: gz(tar_of(files)),
    ".tar.zst": lambda files: zst(tar_of(files)),
}


def pack(files: Mapping[str, bytes], target: Path) -> None:
    """Write an archive of the kind that its name says."""
    target.write_bytes(PACKERS[target.name[target.name.index(".") :]](files))


def unpacked(archive: Path) -> dict[str, bytes]:
    """Return the files in an archive that `pack` wrote."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            return {name: opened.read(name) for name in opened.namelist()}
    data = archive.read_bytes()
    if archive.suffix == ".zst":
        data = zstandard.ZstdDecompressor().decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        return {info.name: opened.extractfile(info).read() for info in opened}  # type: ignore[union-attr]


class RawZip:
    """A zip that is written field by field, so that any of them can be wrong."""

    def __init__(self) -> None:
        self.data, self.directory, self.count = bytearray(), bytearray(), 0

    def add(
        self,
        name: bytes,
        content: bytes,
        *,
        flags: int = 0,
        method: int = 8,
        size: int | None = None,
        crc: int | None = None,
        compressed: int | None = None,
        offset: int | None = None,
        attributes: int = 0,
        extra: bytes = b"",
    ) -> None:
        """Add a member; fields that are given are those of the directory."""
        deflated = zlib.compressobj(9, zlib.DEFLATED, -15)
        body = deflated.compress(content) + deflated.flush() if method == 8 else content
        at = len(self.data)
        true_crc = zlib.crc32(content)
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 0, true_crc, len(body), len(content), len(name), 0
        )
        self.data += head + name + body
        self.directory += struct.pack(
            "<4s4B4HL2L5H2L",
            *(b"PK\1\2", 20, 3, 20, 0, flags, method, 0, 0),
            true_crc if crc is None else crc,
            len(body) if compressed is None else compressed,
            len(content) if size is None else size,
            *(len(name), len(extra), 0, 0, 0, attributes),
            at if offset is None else offset,
        )  # fmt: skip
        self.directory += name + extra
        self.count += 1

    def bytes(self, count: int | None = None) -> bytes:
        """Return the archive; `count` is the number of entries that its end states."""
        number = self.count if count is None else count
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, number, number, len(self.directory), len(self.data), 0)
        return bytes(self.data + self.directory) + end
