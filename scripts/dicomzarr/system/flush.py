"""Make many files durable at once: one flush of the file system instead of an fsync for each."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from dicomzarr.system.files import PRIVATE_FILE, SHARED_FILE, TEMPORARY, _holds, _put, make_private


class Staged:
    """Small files that become durable together: each is written beside its path, all are renamed after one flush.

    An `fsync` for each of thousands of records would take longer than the recorded work.

    Parameters
    ----------
    disk : Disk
        File system of the files.
    private : bool
        Mode 0600 from the first byte, whatever the umask, and missing folders 0700.
    """

    def __init__(self, disk: Disk, *, private: bool = True) -> None:
        self._disk, self._private = disk, private
        self._waiting: dict[Path, Path] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, path: Path, data: bytes) -> None:
        """Write `data` beside `path`."""
        if self._private:
            make_private(path.parent)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
        mode = PRIVATE_FILE if self._private else SHARED_FILE
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with open(handle, "wb") as stream:
            stream.write(data)
        self._waiting[path] = beside

    def add_if_changed(self, path: Path, data: bytes) -> None:
        """Write `data` beside `path`, only if the file differs."""
        if not _holds(path, data):
            self.add(path, data)

    def flush(self) -> None:
        """Flush the file system, without renaming the files."""
        self._disk.flush(self._waiting.values())

    def rename(self) -> None:
        """Rename the files to their paths; their content must have been flushed."""
        for path, beside in self._waiting.items():
            _put(beside, path)
        self._waiting = {}

    def commit(self) -> None:
        """Flush the file system and rename the files to their paths."""
        if self._waiting:
            self.flush()
            self.rename()

    def abandon(self) -> None:
        """Remove the files that were not renamed."""
        for beside in self._waiting.values():
            beside.unlink(missing_ok=True)
        self._waiting = {}


class Disk:
    """A file system, to be flushed as a whole: one call for many files.

    Parameters
    ----------
    folder : Path
        A folder on it. Create the `Disk` before the first write: Linux reports to a descriptor only write-back errors
        since it was opened, and those not reported to any descriptor before.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def flush(self, written: Iterable[Path] = ()) -> None:
        """Make everything durable that was written to the file system.

        Parameters
        ----------
        written : iterable of Path
            The files that must be durable; used only if the system has no `syncfs`.

        Raises
        ------
        OSError
            If the data could not be written to the disk.
        """
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(self._handle) == 0:
            return
        error = ctypes.get_errno()
        if error not in _NO_SUCH_CALL:
            raise OSError(error, os.strerror(error))
        os.sync()  # all file systems, without reporting errors: `sync_file` reports them
        for path in written:
            sync_file(path)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._handle)


_SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2)


def begin_to_write_out(handle: int) -> None:
    """Start writing a file to the disk without waiting, so that `Disk.flush` has less to do.

    Parameters
    ----------
    handle : int
        Descriptor of a completely written file. If the system cannot start, nothing is lost; the flush reports errors
        of the disk.
    """
    import ctypes

    with contextlib.suppress(AttributeError):
        begin = ctypes.CDLL(None).sync_file_range
        begin(ctypes.c_int(handle), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))


# Errors of a kernel, a sandbox or a file system without syncfs.
_NO_SUCH_CALL = (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
