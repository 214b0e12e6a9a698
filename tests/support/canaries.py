"""Texts that must not get out, and a search for them.

Every canary holds one of `MARKS`, so that a search for those finds each of them.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

WORD = "Qzxwvkcanary"
ROOT = "1.2.826.0.1.3680043.90210.77"
TIME, STAMP = "071539.4711", "18370203071539"
DATES = [f"1837020{day}" for day in range(3, 9)]
MARKS = (WORD[:8], ROOT, TIME, STAMP, *DATES)


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield what stays the same of a text in base64, wherever it begins and whatever stands around it."""
    import base64

    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + raw)
        yield whole[-(-8 * shift // 6) : len(whole) - 4 if (shift + len(raw)) % 3 else len(whole)]


@cache
def pattern(extra: tuple[str, ...] = ()) -> re.Pattern[bytes]:
    """Return what finds a mark, or one of the extra texts, in plain, UTF-16, base64 and hex."""
    forms: set[bytes] = set()
    for mark in (*MARKS, *extra):
        raw = mark.encode()
        forms |= {raw, mark.encode("utf-16-le"), mark.encode("utf-16-be"), raw.hex().encode(), *_base64(raw)}
    return re.compile(b"|".join(map(re.escape, sorted(forms))), re.IGNORECASE)


def unpacked(data: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and what they hold where they are compressed."""
    yield data
    if data[:2] == b"\x1f\x8b":
        yield zlib.decompressobj(31).decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        from numcodecs.zstd import Zstd

        yield bytes(Zstd().decode(data))


def leaks(folders: Iterable[Path], private: Path, extra: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the files and folders that show a canary, in name or content, but what lies in `private`."""
    find, found = pattern(extra), {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if private in (path, *path.parents):
                continue
            name = str(path.relative_to(folder))
            hit = find.search(os.fsencode(name))
            if not hit and path.is_file() and not path.is_symlink():
                hit = next(filter(None, map(find.search, unpacked(path.read_bytes()))), None)
            if hit:
                found[name] = hit.group().decode("latin-1")
    return found
