"""Decompressed tars in a private folder, so that their members are read by position and not from the start each time.

The folder is bounded: the tar that was used longest ago makes room. It is removed once the dataset is sealed; a run
that was interrupted finds it again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Collection
from pathlib import Path

from dicomzarr.source.archives.bounds import Bounds
from dicomzarr.source.archives.names import TAR_ZSTD
from dicomzarr.source.archives.streams import PIECE, Damaged, Inflated, Reader, Zstandard
from dicomzarr.system import files
from dicomzarr.vocabulary.reasons import NotExtracted

WHOLE, CUT = ".tar", ".cut"  # of the names: all of it, or what there is of an archive that ends too early
_WAIT = 0.1  # s between two looks at the lock of another process


def name_of(archive: str, fingerprint: int) -> str:
    """Return the name of a decompressed tar, without its suffix."""
    return hashlib.sha256(f"{archive}\0{fingerprint}".encode("utf-8", "surrogateescape")).hexdigest()[:24]


def open_cached(folder: Path, name: str) -> tuple[int, bool] | None:
    """Return a descriptor of a decompressed tar, and whether its archive ends too early; None if it is not there."""
    for suffix in (WHOLE, CUT):
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(folder / (name + suffix), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            with contextlib.suppress(OSError):
                os.utime(handle)
            return handle, suffix == CUT
    return None


def decompress(archive: Reader, kind: str, name: str, bounds: Bounds, renew: Callable[[], None]) -> tuple[int, bool]:
    """Decompress a tar into the folder, unless another process has just done so; runs in a child process.

    Parameters
    ----------
    archive : Reader
    kind : str
        `names.TAR_GZIP` or `names.TAR_ZSTD`.
    name : str
        As `name_of` returns it.
    bounds : Bounds
    renew : callable
        Restarts the budget of processor time, after each piece.

    Returns
    -------
    tuple of int and bool
        As `open_cached` returns it. The descriptor stays whole if another process deletes the tar to make room.

    Raises
    ------
    NotExtracted
        `archive_bomb` or `too_large` beyond the bounds, `unreadable_archive` for malformed data.
    OSError
        If the disk is full.
    """
    files.make_private(bounds.folder)
    lock = os.open(bounds.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, files.PRIVATE_FILE)
    try:
        while not _locked(lock):
            renew()
            time.sleep(_WAIT)
        found = open_cached(bounds.folder, name)
        if found is not None:
            return found
        # A lock may not hold between nodes: then both decompress, each into a file of its own.
        beside = bounds.folder / f".{name}.{secrets.token_hex(8)}{files.TEMPORARY}"
        try:
            is_cut = _write(archive, kind, beside, bounds, renew)
            handle = os.open(beside, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.replace(beside, bounds.folder / (name + (CUT if is_cut else WHOLE)))
            except BaseException:
                os.close(handle)
                raise
            return handle, is_cut
        finally:
            beside.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    """Return whether no other process holds the lock; also on file systems that know none."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def _write(archive: Reader, kind: str, path: Path, bounds: Bounds, renew: Callable[[], None]) -> bool:
    """Write the decompressed tar; return whether its archive ends too early."""
    stream = Zstandard(archive, 0, to_end=True) if kind == TAR_ZSTD else Inflated(archive, 0, is_gzip=True)
    size, room, is_cut = 0, 0, False
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
    with open(handle, "wb", buffering=PIECE) as out:
        while True:
            try:
                piece = stream.read(PIECE)
            except Damaged as error:
                if not error.cut:
                    raise NotExtracted("unreadable_archive") from None
                piece, is_cut = b"", True
            if not piece:
                break
            size += len(piece)
            if bounds.is_bomb(size, archive.size):
                raise NotExtracted("archive_bomb", found=size, needed=bounds.ratio * archive.size)
            if size > bounds.cache:
                raise NotExtracted("too_large", found=size, needed=bounds.cache)
            if size > room:
                room = size + (bounds.cache >> 6)
                make_room(bounds, min(room, bounds.cache))
            out.write(piece)
            renew()
        os.fsync(out.fileno())  # a later run trusts a tar of this name, also after a crash of the machine
    return is_cut


def make_room(bounds: Bounds, needed: int) -> None:
    """Delete the tars used longest ago, until the folder has room for so many bytes."""
    entries = []
    for entry in _tars(bounds.folder):
        with contextlib.suppress(FileNotFoundError):
            status = entry.stat()
            entries.append((status.st_mtime_ns, status.st_size, entry))
    total = sum(size for _, size, _ in entries)
    for _, size, entry in sorted(entries):
        if total + needed <= bounds.cache:
            break
        entry.unlink(missing_ok=True)
        total -= size


def keep_only(folder: Path, names: Collection[str]) -> None:
    """Delete the tars of archives that are gone."""
    for entry in _tars(folder):
        if entry.stem not in names:
            entry.unlink(missing_ok=True)


def _tars(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix in (WHOLE, CUT)] if files.is_dir(folder) else []
