"""Reads headers of many files, in a process that a file may kill (`dicomzarr.system.sandbox`)."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from dicomzarr.headers.classify import Header, read_header
from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.source.row import HeaderRow, StatKey
from dicomzarr.source.safe_open import Opener, stat_key
from dicomzarr.system import json_files, limits
from dicomzarr.system.path_text import decode_path
from dicomzarr.vocabulary.reasons import REASONS

# A path of the inventory with the stat it had there
Entry: TypeAlias = tuple[str, StatKey]

CHANGED = "changed"  # stands in place of a row whose file is no longer what the inventory says
FAILED = "failed"  # stands in place of a row whose file the disk or the network did not give
# All else that goes wrong in opening or reading is of the disk or the network.
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG))
# Not there any more; or a link now, it or a folder on the way; or a socket now. All else is no change.
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO))
_BLOCK = 1 << 20


def read_files(roots: Mapping[str, str], entries: list[Entry], gatherer: Gatherer) -> Iterator[str]:
    """Yield one line of the header index for each entry, in order, or `CHANGED`, or `FAILED` after a second try.

    Parameters
    ----------
    roots : mapping of str to str
        Label, as it is, to absolute folder, percent-encoded; "" stands for a single source without labels.
    entries : list of (path, stat)
        Percent-encoded paths below the roots, with size, mtime_ns, ctime_ns and inode of the inventory.
    gatherer : Gatherer
        Receives what identifies a patient, for the search for leaks.
    """
    with Opener({label: decode_path(folder) for label, folder in roots.items()}) as opener:
        for path, key in entries:
            texts: list[tuple[str, bytes]] = []
            row = _read_file(opener, path, key, texts)
            if row == FAILED:
                row = _read_file(opener, path, key, texts)
            gatherer.add(below_source(roots, path), texts)
            yield row


def below_source(roots: Mapping[str, str], path: str) -> bytes:
    """Return a path relative to its source folder: without the label."""
    raw = decode_path(path)
    return raw if "" in roots else raw.partition(b"/")[2]


def read_within_limits(roots: Mapping[str, str], entries: list[Entry]) -> tuple[list[str], list[int]]:
    """Return what `read_files` yields, and the identifiers of it that this process has not given before.

    Each file has a budget of time: the process ends at one that takes more.
    """
    lines, rows = [], iter(read_files(roots, entries, _gatherer))
    with limits.current().budget() as renew:
        for _ in entries:
            renew()
            lines.append(next(rows))
    return lines, _gatherer.take()


_gatherer = Gatherer()


def quarantined(path: str, key: StatKey, reason: str) -> str:
    """Return the line of a file that could not be read at all."""
    return _line(path, key, Header(REASONS[reason].outcome, reason, (), {}))


def changed(path: str, key: StatKey) -> str:
    """Return the line of a file that changed or vanished: it ends the run when all else is done."""
    return _line(path, key, Header(CHANGED, "", (), {}))


def _not_given(path: str, key: StatKey, error: OSError) -> str:
    return quarantined(path, key, "unreadable_file") if error.errno in _REFUSED else FAILED


def _read_file(opener: Opener, path: str, key: StatKey, texts: list[tuple[str, bytes]]) -> str:
    try:
        fd = opener.open(path)
    except OSError as error:
        return CHANGED if error.errno in _GONE else _not_given(path, key, error)
    except MemoryError:
        return quarantined(path, key, "too_large")
    try:
        if _key_of(os.fstat(fd)) != key:
            return CHANGED
        header = read_header(fd, key[0], texts)
        facts = header.facts
        if header.outcome == "image" and not ("SeriesInstanceUID" in facts and "SOPInstanceUID" in facts):
            facts["content_sha256"] = _sha256(fd)
        # Read while it was written: what was read is worth nothing.
        if _key_of(os.fstat(fd)) != key:
            return CHANGED
        return _line(path, key, header)
    except OSError as error:
        return _not_given(path, key, error)
    except MemoryError:
        return quarantined(path, key, "too_large")
    except Exception:  # a fault of ours costs this file; its text could quote the header
        return quarantined(path, key, "unreadable_header")
    finally:
        os.close(fd)


def _key_of(found: os.stat_result) -> StatKey | None:
    """Return the stat of a regular file; nothing else was in the inventory."""
    if not stat.S_ISREG(found.st_mode):
        return None
    return stat_key(found)


def _sha256(fd: int) -> str:
    import hashlib

    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(fd, _BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return digest.hexdigest()


def _line(path: str, key: StatKey, header: Header) -> str:
    row = HeaderRow(
        path=path,
        stat=key,
        outcome=header.outcome,
        reason=header.reason,
        flags=list(header.flags),
        facts=header.facts,
    )
    return json_files.json_line(row)
