"""The directory entries of the source folders, with their stat; no file is opened, no link followed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.source.safe_open import stat_key
from dicomzarr.system.path_text import encode_path
from dicomzarr.vocabulary.errors import UserError


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
        `path` is percent-encoded. No file is opened, no link is followed.

    Raises
    ------
    UserError
        If a folder cannot be listed for another reason than a missing permission: what lies in it is not gone.
    """
    waiting = [(root, prefix)]
    while waiting:
        folder, before = waiting.pop()
        try:
            listing = _listing(folder, may_be_link=folder == root)
        except OSError as error:
            if folder != root and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                continue  # it vanished since its parent was listed: it is not there
            if error.errno not in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG):
                raise UserError(
                    f"config key 'source': a folder of the source cannot be listed: {os.strerror(error.errno or 0)}; "
                    "nothing was changed: check the disk or the mount, then run the same command again"
                ) from None
            yield [encode_path(before.rstrip(b"/") or b"."), "unreadable_folder"]
            continue
        for name, found in listing:
            path = before + name
            if isinstance(found, str):
                yield [encode_path(path), found]
            elif stat.S_ISDIR(found.st_mode):
                waiting.append((folder + b"/" + name, path + b"/"))
            elif stat.S_ISREG(found.st_mode):
                yield [encode_path(path), "file", *stat_key(found)]
            elif not stat.S_ISLNK(found.st_mode):
                yield [encode_path(path), "special"]
            else:
                yield [encode_path(path), "linked" if _leads_into(folder + b"/" + name, within) else "link"]


def _listing(folder: bytes, *, may_be_link: bool) -> list[tuple[bytes, os.stat_result | str]]:
    """Return the entries of a folder with their stat, or their kind where permission to ask for it is missing."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | (0 if may_be_link else os.O_NOFOLLOW)
    handle = os.open(folder, flags)
    found: list[tuple[bytes, os.stat_result | str]] = []
    try:
        with os.scandir(handle) as listing:
            for entry in listing:
                name = os.fsencode(entry.name)
                try:
                    found.append((name, entry.stat(follow_symlinks=False)))
                except PermissionError:  # a folder that may be listed and not entered
                    is_folder = entry.is_dir(follow_symlinks=False)
                    found.append((name, "unreadable_folder" if is_folder else "unreadable_file"))
                except OSError:
                    continue  # it vanished between listing and stat: it is not there
    finally:
        os.close(handle)
    return found


def _leads_into(link: bytes, within: Sequence[bytes]) -> bool:
    """Return whether a link ends at a regular file or a folder in one of the folders `within`."""
    if not within:
        return False
    try:
        target = os.path.realpath(link, strict=True)
        mode = os.lstat(target).st_mode
    except OSError:
        return False  # it leads nowhere, or round in a circle
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and any(
        target == folder or target.startswith(folder.rstrip(b"/") + b"/") for folder in within
    )


def list_sources(sources: Mapping[str, Path], *, follow_links: bool = False) -> list[list[Any]]:
    """Return the entries of all source folders, sorted by path.

    Parameters
    ----------
    sources : mapping of str to Path
        Absolute folders by label; the label is empty where there is one folder only.
    follow_links : bool
        A link into one of the folders is a `linked` entry, not a `link`.
    """
    rows: list[list[Any]] = []
    folders = {label: os.fsencode(folder) for label, folder in sources.items()}
    within = [os.path.realpath(folder) for folder in folders.values()] if follow_links else []
    for label, folder in folders.items():
        rows.extend(entries(folder, f"{label}/".encode() if label else b"", within))
    rows.sort(key=lambda row: row[0])
    return rows
