"""Extended attributes of files and folders: some programs keep where a file is from there, and copies keep them."""

from __future__ import annotations

import contextlib
import os

from dicomzarr.privacy.scanner import Leak, Scanner

CODE = "value_in_xattr"
_PREFIX = "user."  # of names that users and their programs give; others belong to the system


def has_xattrs(path: str) -> bool:
    """Return whether a file or folder has extended attributes that are searched."""
    return bool(_names(path))


def search_xattrs(scanner: Scanner, path: str) -> Leak | None:
    """Return the finding in names and values of the extended attributes of a file or folder; a link has none.

    Parameters
    ----------
    scanner : Scanner
        With the identifiers.
    path : str

    Returns
    -------
    Leak or None
        `value_in_xattr`.
    """
    for name in _names(path):
        value = b""
        with contextlib.suppress(OSError):
            value = os.getxattr(path, name, follow_symlinks=False)
        if scanner.name(name[len(_PREFIX) :]) or scanner.content(value):
            return Leak(CODE)
    return None


def _names(path: str) -> list[str]:
    try:
        return [name for name in os.listxattr(path, follow_symlinks=False) if name.startswith(_PREFIX)]
    except OSError:  # deleted since, or a file system without such attributes
        return []
