"""Write files atomically: temporary file in the same folder, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import IO

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
SHARED_FILE = 0o666  # minus the umask, as usual
TEMPORARY = ".partial"  # suffix of temporary files; the scan removes those that a killed run left behind
_BLOCK = 1 << 20


def is_disk_error(error: OSError) -> bool:
    """Return whether the disk failed to return existing data; else the file is missing or too short."""
    return error.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL)


# Nothing is there. Any other error, as of a disk or a folder that may not be entered, is no answer to what is there:
# `pathlib` raised it up to Python 3.13, and takes it for absence since.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EBADF, errno.ELOOP)


def _mode_of(path: Path, *, follow: bool = True) -> int:
    """Return the mode of what is at a path, 0 if there is nothing; OSError if that cannot be known."""
    try:
        return os.stat(path, follow_symlinks=follow).st_mode
    except OSError as error:
        if error.errno in _ABSENT:
            return 0
        raise
    except ValueError:  # a NUL in the path
        return 0


def exists(path: Path) -> bool:
    """Return whether there is anything at a path, links followed; OSError if that cannot be known."""
    return _mode_of(path) != 0


def is_file(path: Path) -> bool:
    """Return whether there is a file at a path, links followed; OSError if that cannot be known."""
    return stat.S_ISREG(_mode_of(path))


def is_dir(path: Path) -> bool:
    """Return whether there is a folder at a path, links followed; OSError if that cannot be known."""
    return stat.S_ISDIR(_mode_of(path))


def is_symlink(path: Path) -> bool:
    """Return whether there is a link at a path; OSError if that cannot be known."""
    return stat.S_ISLNK(_mode_of(path, follow=False))


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Errors of changing a mode: a file system without permissions, or the folder of another user.
_NO_PERMISSIONS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP)


def close_to_others(folder: Path) -> None:
    """Let only the owner read a folder, where the file system can keep that."""
    try:
        folder.chmod(PRIVATE_FOLDER)
    except OSError as error:
        if error.errno not in _NO_PERMISSIONS:
            raise


def make_private(folder: Path) -> Path:
    """Create `folder` and its missing parents, readable by the owner only, whatever the umask."""
    missing = itertools.takewhile(lambda part: not exists(part), (folder, *folder.parents))
    for part in reversed([*missing]):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=PRIVATE_FOLDER)
            close_to_others(part)
    return folder


def _put(beside: Path, path: Path) -> None:
    """Rename a file to `path`; a folder at `path`, which is not ours, is removed."""
    try:
        os.replace(beside, path)
    except IsADirectoryError:
        remove_tree(path)
        os.replace(beside, path)


@contextlib.contextmanager
def replacing(path: Path, *, private: bool) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; rename it to `path` if the block succeeds, remove it if not.

    Parameters
    ----------
    path : Path
        The file to write or replace; missing parent folders are created.
    private : bool
        Mode 0600 from the first byte, whatever the umask, and missing folders 0700.
    """
    if private:
        make_private(path.parent)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    mode = PRIVATE_FILE if private else SHARED_FILE
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with open(handle, "wb", buffering=_BLOCK) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        _put(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path` so that a reader sees either the old file or the complete new one."""
    with replacing(path, private=private) as stream:
        stream.write(data)


def write_unflushed(path: Path, data: bytes) -> None:
    """Write a private file that is of no use without its digest: a crash may leave it incomplete, a full disk not."""
    remove_tree(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        with open(handle, "wb") as stream:
            stream.write(data)
    except OSError:
        path.unlink(missing_ok=True)  # what is left of the disk is for files that are needed
        raise


def append_private(path: Path, data: bytes) -> None:
    """Append `data` to a private file in one call, so that lines of several processes do not mix."""
    make_private(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    handle = os.open(path, flags, PRIVATE_FILE)
    try:
        os.write(handle, data)
    finally:
        os.close(handle)


def write_private_if_changed(path: Path, data: bytes) -> bool:
    """Write `data` to a private file only if its content differs; return whether it was written."""
    if _holds(path, data):
        return False
    write_atomically(path, data, private=True)
    return True


def _holds(path: Path, data: bytes) -> bool:
    """Return whether a file can be read and has this content."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def replace_if_changed(path: Path, beside: Path, before: Callable[[], None]) -> bool:
    """Rename `beside` to `path` unless both have the same bytes, and call `before` just before; return whether."""
    if is_file(path) and path.stat().st_size == beside.stat().st_size and sha256_of(path) == sha256_of(beside):
        beside.unlink()
        return False
    before()
    _put(beside, path)
    sync_folder(path.parent)
    return True


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes, in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(data: bytes) -> str:
    """Return the SHA-256 of `data`, in hex."""
    return hashlib.sha256(data).hexdigest()


def temporaries(folder: Path, without: Collection[str]) -> Iterator[Path]:
    """Yield the temporary files that a killed process left below `folder`, not in `.zarr` folders and those named."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            listing = os.scandir(waiting.pop())
        except OSError:
            continue
        with listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    if not (entry.name.endswith(".zarr") or entry.name in without):
                        waiting.append(entry.path)
                elif entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                    yield Path(entry.path)


def link_or_copy(path: Path, target: Path) -> None:
    """Make `target` a second name of a file that is never written again, or a copy where links are not possible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def remove_tree(path: Path) -> None:
    """Remove a folder with its content, a file or a link, if it exists."""
    if is_dir(path) and not is_symlink(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
