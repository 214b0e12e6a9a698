"""Tell JPEG files that hold pixels alone from those that may hold texts."""

from __future__ import annotations

import re
from pathlib import Path

_JFIF = rb"\xff\xe0\x00\x10JFIF\x00.{9}"  # version, density and the size of a preview, which has no place here
# Quantisation and Huffman tables, and the header of a baseline frame; each with its length.
_SEGMENT = re.compile(rb"\xff[\xdb\xc4\xc0](..)", re.DOTALL)
_SCAN = re.compile(rb"\xff\xda\x00(?:\x08.{6}|\x0c.{10})(?:[^\xff]++|\xff\x00)*+\xff\xd9", re.DOTALL)
_START = re.compile(rb"\xff\xd8" + _JFIF, re.DOTALL)


def is_bare_jpeg(path: str) -> bool:
    """Return whether a file is a baseline JPEG of one scan without comments, metadata or bytes after its end.

    Parameters
    ----------
    path : str
        Of a regular file.
    """
    data = Path(path).read_bytes()
    start = _START.match(data)
    if not start:
        return False
    at = start.end()
    while segment := _SEGMENT.match(data, at):
        at = segment.start() + 2 + int.from_bytes(segment[1], "big")
    return bool(_SCAN.fullmatch(data, at))
