"""Files that are whole or not there: write beside, fsync, rename, fsync the folder."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
SHARED_FILE = 0o666  # less the umask, as any program writes
TEMPORARY = ".partial"  # suffix of what is being written; the scan sweeps what a killed run left
_BLOCK = 1 << 20


def canonical_json(value: object) -> bytes:
    """Return `value` as JSON with sorted keys and no spaces, ended by a newline: equal values give equal bytes."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "surrogateescape") + b"\n"


def is_of_the_disk(error: OSError) -> bool:
    """Return whether the disk did not give what is there; else there is no such file, or one too short."""
    return error.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL)


def json_line(value: object) -> str:
    """Return `value` as JSON in ASCII with sorted keys and without a line break, for files that are lines of these."""
    line = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    if line.isascii():
        return line.decode("ascii")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_json(path: Path) -> Any:
    """Return the JSON value in the file."""
    return orjson.loads(path.read_bytes())


class Damaged(ValueError):
    """A file of ours is no longer as it was written; nothing in it is of use."""

    def __init__(self, path: Path) -> None:
        super().__init__("a file in private/ is damaged")
        self.path = path


_MARK = b',"~sha256":"'  # sorts behind every other key


def record_json(value: Mapping[str, Any]) -> bytes:
    """Return a record as canonical JSON whose last key is the SHA-256 of the bytes before it, so that damage shows."""
    body = canonical_json(value)[: -len(b"}\n")]
    return body + _MARK + sha256_of_bytes(body).encode() + b'"}\n'


def _digest_of(path: Path, data: bytes) -> str:
    body, mark, end = data.rpartition(_MARK)
    digest = sha256_of_bytes(body)
    if not mark or end != digest.encode() + b'"}\n':
        raise Damaged(path)
    return digest


def read_record(path: Path) -> dict[str, Any]:
    """Return what `record_json` made a file of.

    Raises
    ------
    OSError
        If it cannot be read.
    Damaged
        If it is not whole, or of another version of this program.
    """
    return read_record_and_digest(path)[0]


def read_record_and_digest(path: Path) -> tuple[dict[str, Any], str]:
    """Return a record and its digest, that is its last key; errors as `read_record`."""
    data = path.read_bytes()
    digest = _digest_of(path, data)
    value: dict[str, Any] = orjson.loads(data)
    del value["~sha256"]
    return value, digest


def digest_said_by(data: bytes) -> str:
    """Return the last key of what `record_json` made, which is taken for whole."""
    return data[-len(b'"}\n') - 64 : -len(b'"}\n')].decode("ascii")


def digest_of_record(path: Path) -> str:
    """Return the digest of a record without reading what it says; errors as `read_record`."""
    return _digest_of(path, path.read_bytes())


def digest_of_digests(digests: Iterable[str]) -> str:
    """Return one digest of many, which depends on their order."""
    return sha256_of_bytes("\n".join(digests).encode())


def sync_folder(folder: Path) -> None:
    """Make the entries of `folder` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private(folder: Path) -> Path:
    """Make `folder` and what is missing above it, readable by its owner alone whatever the umask."""
    missing = [folder, *folder.parents][: [p.exists() for p in (folder, *folder.parents)].index(True)]
    for part in reversed(missing):
        with contextlib.suppress(FileExistsError):
            part.mkdir(mode=PRIVATE_FOLDER)
            part.chmod(PRIVATE_FOLDER)
    return folder


def _put(beside: Path, path: Path) -> None:
    """Rename a file onto `path`; a folder there, which is none of ours, makes way."""
    try:
        os.replace(beside, path)
    except IsADirectoryError:
        remove_tree(path)
        os.replace(beside, path)


@contextlib.contextmanager
def replacing(path: Path, *, private: bool = False) -> Iterator[IO[bytes]]:
    """Open a file beside `path`; rename it into place when the block ends well, remove it when it does not.

    Parameters
    ----------
    path : Path
        The file to write or replace; missing folders above it are made.
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


class Staged:
    """Small files that become durable together: each written beside its place, all renamed after one flush.

    An `fsync` for each of thousands of records would take longer than the work they speak for.

    Parameters
    ----------
    disk : Disk
        Where they will lie.
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
        """Write `data` beside `path` only where the file holds something else."""
        if not _holds(path, data):
            self.add(path, data)

    def rename(self) -> None:
        """Put the files into place; what they hold must have been flushed."""
        for path, beside in self._waiting.items():
            _put(beside, path)
        self._waiting = {}

    def publish(self) -> None:
        """Flush the file system and put the files into place."""
        if self._waiting:
            self._disk.flush(self._waiting.values())
            self.rename()

    def abandon(self) -> None:
        """Remove what was not renamed."""
        for beside in self._waiting.values():
            beside.unlink(missing_ok=True)
        self._waiting = {}


def write_atomically(path: Path, data: bytes, *, private: bool = False) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, whole."""
    with replacing(path, private=private) as stream:
        stream.write(data)


class Disk:
    """A file system, to be flushed as a whole: one call for many files.

    Parameters
    ----------
    folder : Path
        A folder on it. Made before the first write that it is to flush: the system tells each descriptor only of errors
        since it was opened, or of those that nobody has been told of.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def flush(self, written: Iterable[Path] = ()) -> None:
        """Make durable all that was written to the file system.

        Parameters
        ----------
        written : iterable of Path
            The files that matter; looked at only where the system does not know that call.

        Raises
        ------
        OSError
            If the disk could not take it.
        """
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(self._handle) == 0:
            return
        error = ctypes.get_errno()
        if error not in _NO_SUCH_CALL:
            raise OSError(error, os.strerror(error))
        os.sync()  # of all file systems, and without a word on errors: those come from what follows
        for path in written:
            sync_file(path)

    def close(self) -> None:
        """Let go of it."""
        os.close(self._handle)


_SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2)


def begin_to_write_out(handle: int) -> None:
    """Have the system begin to write a file to the disk, without waiting: `Disk.flush` then has less to wait for.

    Parameters
    ----------
    handle : int
        Of a file that is written whole. Where the system cannot begin, nothing is lost; errors of the disk are told by
        the flush.
    """
    import ctypes

    with contextlib.suppress(AttributeError):
        begin = ctypes.CDLL(None).sync_file_range
        begin(ctypes.c_int(handle), ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_SYNC_FILE_RANGE_WRITE))


# A kernel, a sandbox or a file system that does not know syncfs.
_NO_SUCH_CALL = (errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP, errno.EINVAL)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_if_changed(path: Path, data: bytes, *, private: bool = False) -> bool:
    """Write `data` only where the file holds something else; return whether it was written."""
    if _holds(path, data):
        return False
    write_atomically(path, data, private=private)
    return True


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file can be read and has this content."""
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def replace_if_changed(path: Path, beside: Path) -> bool:
    """Rename `beside` onto `path` unless both hold the same bytes; return whether it was renamed."""
    if path.is_file() and path.stat().st_size == beside.stat().st_size and sha256_of(path) == sha256_of(beside):
        beside.unlink()
        return False
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


def temporaries(folder: Path) -> Iterator[Path]:
    """Yield the temporary files that a killed process left below `folder`; image stores are not entered."""
    waiting = [os.fspath(folder)]
    while waiting:
        try:
            listing = os.scandir(waiting.pop())
        except OSError:
            continue
        with listing:
            for entry in listing:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.endswith(".zarr"):
                        waiting.append(entry.path)
                elif entry.name.startswith(".") and entry.name.endswith(TEMPORARY):
                    yield Path(entry.path)


def remove_tree(path: Path) -> None:
    """Remove a folder and all below it, a file or a link; nothing happens if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
