"""List the directory entries of the source folders with their stat; no file is opened, no link is followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from dicomzarr.source.object_store import ObjectRoot, is_object_store
from dicomzarr.source.open_file import stat_key
from dicomzarr.system import shared_files
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError

UNREADABLE = "unreadable_file"
_Status: TypeAlias = os.stat_result | list[str]  # stat of an entry; its kind and error if stat failed
_REFUSED = frozenset((errno.EACCES, errno.EPERM))
# A link is broken, circular, or leads to a folder that this user may not enter.
_BROKEN = _REFUSED | {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def entries(root: bytes, prefix: bytes = b"", within: Sequence[bytes] = ()) -> Iterator[list[Any]]:
    """Yield every directory entry below `root` that is not a readable directory.

    Parameters
    ----------
    root : bytes
        An absolute folder.
    prefix : bytes
        Prefix of each path: the label of the source and a slash, or nothing.
    within : sequence of bytes
        Real paths of the source folders: a link to a file or folder in one of them has the kind `linked`. Its target is
        listed under its own path, so that links need not be followed.

    Yields
    ------
    list
        ``[path, "file", size, mtime_ns, ctime_ns, inode]`` or ``[path, kind]`` with a kind of `inventory.NOT_FILES`;
        ``[path, "unreadable_file", error]``, such as ``EIO``, if the disk or the network fails to return its type.
        `path` is percent-encoded.

    Raises
    ------
    UserError
        If a folder cannot be listed for another reason than a missing permission: its files must not count as deleted.

    Notes
    -----
    Every existing entry has a row. Only an entry for which the system returns ENOENT has none: it was deleted after its
    folder was listed.
    """
    waiting = [(root, prefix)]
    while waiting:
        folder, before = waiting.pop()
        try:
            read = partial(_listing, folder, may_be_link=folder == root)
            listing = shared_files.again(read, os.path.dirname(folder))
        except OSError as error:
            if folder != root and error.errno == errno.ENOENT:
                continue  # deleted after its parent was listed
            if folder != root and error.errno in (errno.ENOTDIR, errno.ELOOP):
                # It is no longer a folder, but there may be another entry at this path.
                replacement = _status_of_replacement(folder)
                if replacement is not None and stat.S_ISDIR(replacement.st_mode):
                    raise _cannot_be_listed(error) from None  # the disk contradicts itself: asking again may never end
                listing = [] if replacement is None else [(b"", replacement)]
            elif error.errno in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
                yield [encode_path(before.rstrip(b"/") or b"."), "unreadable_folder"]
                continue
            else:
                raise _cannot_be_listed(error) from None
        for name, status in listing:
            path = before + name if name else before.rstrip(b"/")
            location = folder + b"/" + name if name else folder
            if isinstance(status, list):
                yield [encode_path(path), *status]
            elif stat.S_ISDIR(status.st_mode):
                waiting.append((location, path + b"/"))
            elif stat.S_ISREG(status.st_mode):
                yield [encode_path(path), "file", *stat_key(status)]
            elif not stat.S_ISLNK(status.st_mode):
                yield [encode_path(path), "special"]
            else:
                yield [encode_path(path), *_kind_of_link(location, within)]


def _cannot_be_listed(error: OSError) -> UserError:
    return UserError(
        f"config key 'source': a folder of the source cannot be listed: {os.strerror(error.errno or 0)}; "
        "nothing was changed: check the disk or the mount, then run the same command again"
    )


def _listing(folder: bytes, *, may_be_link: bool) -> list[tuple[bytes, _Status]]:
    """Return the entries of a folder with their stat, or their kind if stat failed.

    Raises
    ------
    OSError
        If the folder cannot be opened or read to its end.
    UserError
        If stat fails for an entry that may be a folder: its files must not count as deleted.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if may_be_link else os.O_NOFOLLOW)
    handle = os.open(folder, flags)
    listed: list[tuple[bytes, _Status]] = []
    try:
        with os.scandir(handle) as listing:
            for entry in listing:
                if (status := _status(entry)) is not None:
                    listed.append((os.fsencode(entry.name), status))
    finally:
        os.close(handle)
    return listed


def _status(entry: os.DirEntry[str]) -> _Status | None:
    """Return the stat of an entry, its kind if stat failed, None if it was deleted."""
    for is_last in (False, True):
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None  # deleted between listing and stat
        except OSError as error:
            if error.errno in _REFUSED:  # the parent may be listed but not entered
                return [UNREADABLE if _may_be_folder(entry) is False else "unreadable_folder"]
            if is_last and _may_be_folder(entry) is not False:
                raise _cannot_be_listed(error) from None
            failed = _failed(error)
    return failed


def _failed(error: OSError) -> list[str]:
    return [UNREADABLE, errno.errorcode.get(error.errno or 0, "unknown")]


def _may_be_folder(entry: os.DirEntry[str]) -> bool | None:
    """Return whether an entry is a folder; None if neither the listing nor the disk returns its type."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return None


def _status_of_replacement(path: bytes) -> os.stat_result | None:
    """Return the stat of the entry that has replaced a folder, or None if there is none.

    Raises
    ------
    UserError
        If the disk fails to return it.
    """
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _cannot_be_listed(error) from None


def _kind_of_link(link: bytes, within: Sequence[bytes]) -> list[str]:
    """Return ``linked`` for a link to a regular file or a folder in one of the folders `within`.

    For any other link it is ``link``; ``unreadable_file`` with the error, if the disk fails to resolve the link.
    """
    if not within:
        return ["link"]
    try:
        target = os.path.realpath(link, strict=True)
        mode = os.lstat(target).st_mode
    except OSError as error:
        return ["link"] if error.errno in _BROKEN else _failed(error)
    is_within = any(target == folder or target.startswith(folder.rstrip(b"/") + b"/") for folder in within)
    return ["linked" if is_within and (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) else "link"]


def _objects(root: bytes, before: bytes, key: str, largest_loss: float) -> list[list[Any]]:
    """Return a row for each object of a root; a prefix that no object has is refused, as a folder that is missing."""
    from dicomzarr.source import object_listing  # parsers and clients that a source of folders does not need

    rows = list(object_listing.entries(ObjectRoot.parse(root), before, key))
    if not rows and largest_loss < 1.0:
        raise UserError(
            f"config key {key!r}: no object of the bucket has this prefix: check it; nothing was changed. If the "
            "objects were removed on purpose, add: --config confirm_drop=true"
        )
    return rows


def list_sources(
    sources: Mapping[str, bytes], *, follow_links: bool = False, largest_loss: float = 1.0
) -> list[list[Any]]:
    """Return the entries of all source folders, sorted by path.

    Parameters
    ----------
    sources : mapping of str to bytes
        Roots by label, absolute folders or URLs of object storage; the label is empty if there is one folder only.
    follow_links : bool
        A link into one of the folders is a `linked` entry, not a `link`.
    largest_loss : float
        Largest share of all entries for which the disk or the network may fail to return the type.

    Raises
    ------
    UserError
        If it fails for more entries, or a folder cannot be listed.
    """
    rows: list[list[Any]] = []
    within = [os.path.realpath(root) for root in sources.values() if not is_object_store(root)] if follow_links else []
    for label, root in sources.items():
        before = f"{label}/".encode() if label else b""
        if is_object_store(root):
            rows.extend(_objects(root, before, f"source.{label}" if label else "source", largest_loss))
        else:
            rows.extend(entries(root, before, within))
    failed = sum(len(row) == 3 for row in rows)
    if failed > largest_loss * len(rows):
        raise UserError(
            f"config key 'source': the disk failed to return the type of {failed} of {len(rows)} entries; nothing was "
            "changed. Check the disk or the mount. To quarantine these files instead, add: --config confirm_drop=true"
        )
    rows.sort(key=lambda row: row[0])
    return rows
