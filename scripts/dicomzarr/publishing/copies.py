"""Where a copy of a dataset may be: a folder, a web server, or a bucket; read only."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from dicomzarr import remote
from dicomzarr.publishing import stores
from dicomzarr.records.digests import SEALED
from dicomzarr.remote import RemotePath
from dicomzarr.system import files
from dicomzarr.vocabulary.errors import UserError

_BLOCK = 1 << 20
_LOST_AND_FOUND = "lost+found"
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Folder:
    """A copy in a folder. Its files may be links, as in the cache of a hub: what they hold is compared."""

    path: Path

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return b"".join(self.blocks(name))

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in blocks; what is no regular file is an error."""
        handle = os.open(self.path / name, _OPEN)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("not a regular file")
            with suppress(OSError):
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
            offset = 0
            while block := os.pread(handle, _BLOCK, offset):
                yield block
                offset += len(block)
        finally:
            os.close(handle)

    def names(self) -> set[str] | None:
        """Return the paths of all files, or None where they cannot be listed; no link is followed: it is one path.

        Passed over is the folder that a disk of its own has at its top, if only root may list it: decision 0215.
        """
        names, waiting = set(), [""]
        while waiting:
            below = waiting.pop()
            try:
                listing = os.scandir(self.path / below)
            except PermissionError:
                if below != _LOST_AND_FOUND or os.lstat(self.path / below).st_uid != 0:
                    raise
                continue
            with listing:
                for entry in listing:
                    path = f"{below}/{entry.name}" if below else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    else:
                        names.add(path)
        return names


@dataclass(frozen=True, slots=True)
class Remote:
    """A copy below a URL."""

    path: RemotePath

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def blocks(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in blocks."""
        return (self.path / name).blocks()

    def names(self) -> set[str] | None:
        """Return the paths of all objects in a bucket that may be listed; None for a web server, which lists none."""
        if not self.path.url.startswith("s3://"):
            return None
        target = stores.Target.of({"target": self.path.url})
        try:
            return {*stores.listed(stores.open_store(target, os.environ), "")}
        except UserError:
            return None


Place = Folder | Remote


def find(text: str) -> Place:
    """Return the dataset at a path or URL.

    Parameters
    ----------
    text : str
        A dataset folder; a results folder; what `./run publish` wrote to, of which it is the latest version; or the URL
        of one of these.

    Raises
    ------
    UserError
        If there is none, or it cannot be read.
    """
    try:
        if remote.is_url(text):
            return Remote(remote.published(text, SEALED))
        if "://" in text and not text.startswith("file://"):
            raise UserError(
                f"{text.partition('://')[0]}:// cannot be read; needed is a folder, https://, http:// or s3://"
            )
        folder = Path(unquote(text.removeprefix("file://")) if text.startswith("file://") else text)
        for candidate in (folder, folder / "dataset", remote.pointed_to(folder)):
            if candidate is not None and files.is_file(candidate / SEALED):
                return Folder(candidate)
    except (OSError, ValueError) as error:
        raise UserError(_text_of(error)) from None
    if not files.is_dir(folder):
        found = f"{text!r} is a file" if files.exists(folder) else f"there is no folder {text!r}"
        raise UserError(f"{found}; needed is a dataset or results folder, one that ./run publish wrote to, or a URL")
    raise UserError(
        f"{text!r} is no dataset: it has no {SEALED}, which a finished run writes last. Needed is a folder with "
        "one, such as results/dataset"
    )


def _text_of(error: Exception) -> str:
    """Return what went wrong, as a user can read it."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
