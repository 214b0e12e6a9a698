"""Archives of every kind, listed and unpacked in a child process as a run does."""

from __future__ import annotations

import contextlib
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import orjson
from made_up_archives import RawZip, gz, streamed_zip_of, tar_of, zip_of, zst

from dicomzarr.source.archives import bounds, listing
from dicomzarr.source.archives.bounds import Bounds
from dicomzarr.source.open_file import stat_key
from dicomzarr.source.opener import Opener
from dicomzarr.system import limits, sandbox

GOOD = {"a/one.dcm": b"one" * 5000, "a/two.dcm": Random(1).randbytes(70_000), "empty": b""}
ZEROS = bytes(80_000_000)


class Archive:
    """A source folder with one archive, read as a run reads it: listed and unpacked in a child process."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source"
        self.source.mkdir()
        self.cache = folder / "private" / "cache" / "archives"

    @property
    def roots(self) -> dict[str, bytes]:
        return {"": os.fsencode(self.source)}

    def list(self, name: str, content: bytes, **limit: int) -> tuple[str, dict[str, str]]:
        """Return the reason of the archive, and by member its reason, or "" if it can be read."""
        (self.source / name).write_bytes(content)
        return self.list_again(name, **limit)

    def list_again(self, name: str, **limit: int) -> tuple[str, dict[str, str]]:
        bounds.use(Bounds(self.cache, **limit))
        sandbox.end_all()  # a child has the bounds that were in force when it was forked
        self.key = stat_key((self.source / name).stat())
        reason, lines = listing.in_answer(sandbox.call(listing.list_archive, self.roots, name, self.key))
        self.rows = [orjson.loads(line) for line in lines.splitlines()]
        assert [row[0] for row in self.rows] == sorted(row[0] for row in self.rows)
        return reason, {row[0].removeprefix(f"{name}!/"): "" if row[1] == "file" else row[2] for row in self.rows}

    def read(self, member: str) -> bytes:
        """Return the content of a member as extraction reads it."""
        key = self.key_of(member)
        with Opener(self.roots) as opener, contextlib.closing(opener.open(self.path_of(member), key)) as file:
            assert file.key() == key
            with open(file.descriptor(), "rb", closefd=False) as stream:
                stream.seek(0)
                content = stream.read()
            assert file.read(len(content) + 1, 0) == content and file.read(5, 3) == content[3:8]
            return content

    def path_of(self, member: str) -> str:
        return next(row[0] for row in self.rows if row[0].endswith(f"!/{member}"))

    def key_of(self, member: str) -> tuple[int, int, int, int]:
        return tuple(next(row[2:] for row in self.rows if row[0].endswith(f"!/{member}")))


@contextlib.contextmanager
def archive_in(folder: Path) -> Iterator[Archive]:
    """Yield the source of a test; afterwards, limits are as before, and child processes have ended."""
    before = limits.current()
    yield Archive(folder)
    limits.use(before)
    sandbox.end_all()


def zstd_zip_of(files: dict[str, bytes]) -> bytes:
    """Return a zip whose members are compressed by Zstandard, which `zipfile` cannot write."""
    raw = RawZip()
    for name, content in files.items():
        raw.add(name.encode(), zst(content), method=93, size=len(content), crc=zlib.crc32(content))
    return raw.bytes()


KINDS = {
    "zstd.zip": zstd_zip_of,
    "stored.zip": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "DEFLATED.ZIP": zip_of,
    "bzip2.zip": lambda files: zip_of(files, zipfile.ZIP_BZIP2),
    "lzma.zip": lambda files: zip_of(files, zipfile.ZIP_LZMA),
    "streamed.zip": streamed_zip_of,
    "plain.tar": tar_of,
    "old.tar": lambda files: tar_of(files, tarfile.USTAR_FORMAT),
    "gnu.tgz": lambda files: gz(tar_of(files, tarfile.GNU_FORMAT)),
    "two streams.tar.gz": lambda files: gz(tar_of(files)[:6000]) + gz(tar_of(files)[6000:]),
    "frames.tar.zst": lambda files: zst(tar_of(files)[:6000]) + zst(tar_of(files)[6000:]),
}
