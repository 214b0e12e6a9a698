"""Files that the server gives out: below one folder, without following links, whole or in byte ranges."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not be waited for
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # of a path: no dotfile, no `..`, nothing that needs encoding
MOST_RANGES = 16  # in one request
CONTENT_TYPES = {
    ".json": "application/json",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".wasm": "application/wasm",
    ".map": "application/json",
    ".jpg": "image/jpeg",
}


def open_below(folder: Path, path: str) -> tuple[int, int]:
    """Open a file below a folder.

    Parameters
    ----------
    folder : Path
        The folder; it may be a link itself, nothing below it may.
    path : str
        Relative, with ``/``.

    Returns
    -------
    tuple of int
        A descriptor of the file, and its size in bytes.

    Raises
    ------
    OSError
        If it is no regular file, if a part of the path is a link, or if the path is not one of plain names.
    """
    parts = path.split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise FileNotFoundError(path)
    handle = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    for number, part in enumerate(parts, 1):
        try:
            below = os.open(part, _FILE if number == len(parts) else _FOLDER, dir_fd=handle)
        finally:
            os.close(handle)
        handle = below
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise FileNotFoundError(path)
    return handle, status.st_size


def is_below(folder: Path, path: str) -> bool:
    """Return whether `open_below` would open a file."""
    try:
        handle, _ = open_below(folder, path)
    except OSError:
        return False
    os.close(handle)
    return True


def content_type(path: str) -> str:
    """Return the media type of a file, from the end of its name."""
    return CONTENT_TYPES.get(os.path.splitext(path)[1], "application/octet-stream")


def ranges_of(header: str | None, size: int) -> list[tuple[int, int]] | None:
    """Return the parts of a file that a header `Range` asks for.

    Parameters
    ----------
    header : str or None
        Its value; None without the header.
    size : int
        Of the file, in bytes.

    Returns
    -------
    list of (int, int), or None
        Half-open ranges of bytes; none can be satisfied where the list is empty. None for the whole file: without the
        header, or where it has another form and so must be ignored.

    References
    ----------
    RFC 9110, section 14.
    """
    match = re.fullmatch(r"\s*bytes\s*=\s*(.+?)\s*", header or "", re.IGNORECASE)
    if match is None:
        return None
    found = []
    asked = match[1].split(",")
    for text in asked:
        ends = re.fullmatch(r"\s*(\d*)-(\d*)\s*", text, re.ASCII)
        if ends is None or not (ends[1] or ends[2]) or max(map(len, ends.groups())) > 20:
            return None
        if not ends[1]:
            first, end = max(0, size - int(ends[2])), size
        else:
            first, end = int(ends[1]), min(size, int(ends[2]) + 1) if ends[2] else size
            if ends[2] and int(ends[2]) < first:
                return None
        if first < end:
            found.append((first, end))
    total = sum(end - first for first, end in found)
    return [] if len(asked) > MOST_RANGES or (len(found) > 1 and total > size) else found
