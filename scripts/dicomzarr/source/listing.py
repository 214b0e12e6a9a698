"""The directory entries of the source folders, with their stat; no file is opened, no link followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dicomzarr.source.safe_open import stat_key
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError

UNREADABLE = "unreadable_file"
_Status: TypeAlias = os.stat_result | list[str]  # of an entry, or its kind and error where the system does not give it
_REFUSED = frozenset((errno.EACCES, errno.EPERM))
# A link leads nowhere, round in a circle, or to where this user may not look.
_NOWHERE = _REFUSED | {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def entries(root: bytes, prefix: bytes = b"", within: Sequence[bytes] = ()) -> Iterator[list[Any]]:
    """Yield every directory entry below `root` that is not a readable directory.

    Parameters
    ----------
    root : bytes
        An absolute folder.
    prefix : bytes
        Put before each path: the label of the source and a slash, or nothing.
    within : sequence of bytes
        Real paths of the source folders: a link to a file or folder in one of them is a `linked` one. That is found by
        its own path, so that no link need ever be opened.

    Yields
    ------
    list
        ``[path, "file", size, mtime_ns, ctime_ns, inode]`` or ``[path, kind]`` with a kind of `inventory.NOT_FILES`;
        ``[path, "unreadable_file", error]``, such as ``EIO``, where the disk or the network does not say what it is.
        `path` is percent-encoded. No file is opened, no link is followed.

    Raises
    ------
    UserError
        If a folder cannot be listed for another reason than a missing permission: what lies in it is not gone.

    Notes
    -----
    Every entry that is there has a row. Only what the system says is not there (ENOENT) has none: it vanished since its
    folder was listed.
    """
    waiting = [(root, prefix)]
    while waiting:
        folder, before = waiting.pop()
        try:
            listing = _listing(folder, may_be_link=folder == root)
        except OSError as error:
            if folder != root and error.errno == errno.ENOENT:
                continue  # it vanished since its parent was listed: it is not there
            if folder != root and error.errno in (errno.ENOTDIR, errno.ELOOP):
                # It is no folder any more, but something else may be at its place.
                now = _status_of_no_folder(folder)
                listing = [] if now is None else [(b"", now)]
            elif error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
                yield [encode_path(before.rstrip(b"/") or b"."), "unreadable_folder"]
                continue
            else:
                raise _cannot_be_listed(error) from None
        for name, found in listing:
            path = before + name if name else before.rstrip(b"/")
            place = folder + b"/" + name if name else folder
            if isinstance(found, list):
                yield [encode_path(path), *found]
            elif stat.S_ISDIR(found.st_mode):
                waiting.append((place, path + b"/"))
            elif stat.S_ISREG(found.st_mode):
                yield [encode_path(path), "file", *stat_key(found)]
            elif not stat.S_ISLNK(found.st_mode):
                yield [encode_path(path), "special"]
            else:
                yield [encode_path(path), *_kind_of_link(place, within)]


def _cannot_be_listed(error: OSError) -> UserError:
    return UserError(
        f"config key 'source': a folder of the source cannot be listed: {os.strerror(error.errno or 0)}; "
        "nothing was changed: check the disk or the mount, then run the same command again"
    )


def _listing(folder: bytes, *, may_be_link: bool) -> list[tuple[bytes, _Status]]:
    """Return the entries of a folder with their stat, or their kind where the system does not give it.

    Raises
    ------
    OSError
        If the folder cannot be opened or read to its end.
    UserError
        If the disk does not tell what an entry is that may be a folder: what lies in it is not gone.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if may_be_link else os.O_NOFOLLOW)
    handle = os.open(folder, flags)
    found: list[tuple[bytes, _Status]] = []
    try:
        with os.scandir(handle) as listing:
            for entry in listing:
                if (status := _status(entry)) is not None:
                    found.append((os.fsencode(entry.name), status))
    finally:
        os.close(handle)
    return found


def _status(entry: os.DirEntry[str]) -> _Status | None:
    """Return the stat of an entry, its kind where the system does not give its stat, None where it is not there."""
    for is_last in (False, True):
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None  # it vanished between listing and stat
        except OSError as error:
            if error.errno in _REFUSED:  # a folder that may be listed and not entered
                return [UNREADABLE if _may_be_folder(entry) is False else "unreadable_folder"]
            if is_last and _may_be_folder(entry) is not False:
                raise _cannot_be_listed(error) from None
            failed = _failed(error)
    return failed


def _failed(error: OSError) -> list[str]:
    return [UNREADABLE, errno.errorcode.get(error.errno or 0, "unknown")]


def _may_be_folder(entry: os.DirEntry[str]) -> bool | None:
    """Return whether an entry is a folder, None if neither the listing nor the disk says so."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return None


def _status_of_no_folder(path: bytes) -> os.stat_result | None:
    """Return the stat of what is now in the place of a folder, or None if nothing is.

    Raises
    ------
    UserError
        If the disk does not give it.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot_be_listed(error) from None


def _kind_of_link(link: bytes, within: Sequence[bytes]) -> list[str]:
    """Return ``linked`` for a link that ends at a regular file or a folder in one of the folders `within`.

    For any other it is ``link``; an ``unreadable_file``, with the error, where the disk does not say where it ends.
    """
    if not within:
        return ["link"]
    try:
        target = os.path.realpath(link, strict=True)
        mode = os.lstat(target).st_mode
    except OSError as error:
        return ["link"] if error.errno in _NOWHERE else _failed(error)
    is_within = any(target == folder or target.startswith(folder.rstrip(b"/") + b"/") for folder in within)
    return ["linked" if is_within and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) else "link"]


def list_sources(
    sources: Mapping[str, Path], *, follow_links: bool = False, largest_loss: float = 1.0
) -> list[list[Any]]:
    """Return the entries of all source folders, sorted by path.

    Parameters
    ----------
    sources : mapping of str to Path
        Absolute folders by label; the label is empty where there is one folder only.
    follow_links : bool
        A link into one of the folders is a `linked` entry, not a `link`.
    largest_loss : float
        Share of all entries of which the disk or the network may fail to say what they are.

    Raises
    ------
    UserError
        If it fails for more, or a folder cannot be listed.
    """
    rows: list[list[Any]] = []
    folders = {label: os.fsencode(folder) for label, folder in sources.items()}
    within = [os.path.realpath(folder) for folder in folders.values()] if follow_links else []
    for label, folder in folders.items():
        rows.extend(entries(folder, f"{label}/".encode() if label else b"", within))
    failed = sum(len(row) == 3 for row in rows)
    if failed > largest_loss * len(rows):
        raise UserError(
            f"config key 'source': of {failed} of {len(rows)} entries the disk does not say what they are; nothing was "
            "changed. Is the disk or the mount whole? If the files are to be set aside, add: --config confirm_drop=true"
        )
    rows.sort(key=lambda row: row[0])
    return rows
