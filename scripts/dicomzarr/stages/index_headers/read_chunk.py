"""Read the headers of a chunk of files; runs in a child process, which a file may kill (`dicomzarr.system.sandbox`)."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from dicomzarr.dicom.facts import ImageFacts, MaskReferences
from dicomzarr.dicom.sop_classes import MASK_CLASSES
from dicomzarr.headers.classify import Header, read_header
from dicomzarr.headers.mended_items import mended_file
from dicomzarr.privacy.identifiers import Gatherer
from dicomzarr.source.archives.keys import UNLISTED
from dicomzarr.source.archives.names import is_member
from dicomzarr.source.object_store import ObjectRoot, is_object_store
from dicomzarr.source.open_file import OpenFile
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import HeaderRow, StatKey
from dicomzarr.system import json_files, limits, shortage
from dicomzarr.system.path_text import decode_path
from dicomzarr.system.sandbox import DISK_FULL
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted

# A path and its stat in the inventory.
Entry: TypeAlias = tuple[str, StatKey]

CHANGED = "changed"  # in place of a line: the stat of the file differs from the inventory
FAILED = "failed"  # in place of a line: the disk or the network failed
# The system refuses the file. All other errors of opening or reading are failures of the disk or the network.
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG))
# The file was deleted; it, or a folder above it, became a link; or it became a socket. No other error is a change.
_NOT_A_FILE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO))
_BLOCK = 1 << 20


def read_files(roots: Mapping[str, str], entries: list[Entry], gatherer: Gatherer) -> Iterator[str]:
    """Yield one line of the header index for each entry, in order; or `CHANGED`; or `FAILED` after a second try.

    Parameters
    ----------
    roots : mapping of str to str
        Label (not encoded) to root (percent-encoded); the label of a single source without labels is "".
    entries : list of (path, stat)
        Percent-encoded paths below the roots, each with its size, mtime_ns, ctime_ns and inode in the inventory.
    gatherer : Gatherer
        Receives the texts that may identify a patient, for the privacy check.

    Yields
    ------
    str
    """
    with Opener({label: decode_path(root) for label, root in roots.items()}, whole=False) as opener:
        opener.ahead([(path, key[0]) for path, key in entries])
        for path, key in entries:
            texts: list[tuple[str, bytes]] = []
            row = _read_file(opener, path, key, texts)
            if row == FAILED:
                row = _read_file(opener, path, key, texts)
            gatherer.add(below_source(roots, path), texts)
            yield row


def below_source(roots: Mapping[str, str], path: str) -> bytes:
    """Return a path relative to its source folder: without the label; for object storage with bucket and prefix."""
    root, raw = root_of(roots, path), decode_path(path)
    below = raw if "" in roots else raw.partition(b"/")[2]
    return ObjectRoot.parse(root).location + below if is_object_store(root) else below


def root_of(roots: Mapping[str, str], path: str) -> bytes:
    """Return the root below which a path is."""
    return decode_path(roots["" if "" in roots else decode_path(path).partition(b"/")[0].decode()])


def read_within_limits(roots: Mapping[str, str], entries: list[Entry]) -> tuple[list[str], list[int]]:
    """Return what `read_files` yields, and the hashes of identifiers that this process has not returned before.

    Each file has a limit of time: the process ends if a file takes longer.
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
    """Return the line of a file that changed or vanished: `consolidate_dataset` ends the run because of it."""
    return _line(path, key, Header(CHANGED, "", (), {}))


def _unreadable(path: str, key: StatKey, error: OSError) -> str:
    """Return the line of a file that the system refuses to open, or `FAILED` for any other error."""
    if error.errno in DISK_FULL:
        raise error
    shortage.refuse(error)
    return quarantined(path, key, "unreadable_file") if error.errno in _REFUSED else FAILED


def _read_file(opener: Opener, path: str, key: StatKey, texts: list[tuple[str, bytes]]) -> str:
    if key[3] == UNLISTED:  # whatever opening it says now: its members are not known
        return CHANGED
    try:
        file = opener.open(path, key)
    except OSError as error:
        return CHANGED if error.errno in _NOT_A_FILE else _unreadable(path, key, error)
    except NotExtracted as error:  # a member that cannot be unpacked
        return quarantined(path, key, error.code)
    except MemoryError:
        shortage.refuse()
        return quarantined(path, key, "too_large")
    try:
        if file.key() != key:
            return CHANGED
        header = read_header(file.read, key[0], texts)
        if fault := getattr(file, "fault", ""):  # a library that reads headers may have hidden it
            return quarantined(path, key, fault)
        if header.reason == "archive" and is_member(path):
            header = header._replace(reason="nested_archive")
        facts = header.facts
        if header.outcome == "image" and not ("SeriesInstanceUID" in facts and "SOPInstanceUID" in facts):
            facts["content_sha256"] = _sha256(file)
        is_used = header.outcome == "image" or header.reason == "structure_set"
        if is_used and facts.get("SOPClassUID", "") in MASK_CLASSES:
            facts["mask_references"] = _references(file, key[0], facts)
        # The file was written while it was read: the header cannot be trusted.
        if file.key() != key:
            return CHANGED
        return _line(path, key, header)
    except NotExtracted as error:
        return quarantined(path, key, error.code)
    except OSError as error:
        return _unreadable(path, key, error)
    except MemoryError:
        shortage.refuse()
        return quarantined(path, key, "too_large")
    except Exception as error:  # a bug costs this file alone; the text of the error could quote the header
        shortage.refuse(error)
        return quarantined(path, key, "unreadable_header")
    finally:
        file.close()


def _references(opened: OpenFile, size: int, facts: ImageFacts) -> MaskReferences:
    from dicomzarr.masks.references import read_references

    with open(opened.descriptor(), "rb", closefd=False) as file:
        file.seek(0)
        references = read_references(file, facts["SOPClassUID"])
    if references or "TransferSyntaxUID" not in facts:
        return references
    try:
        data = mended_file(opened.read, size, facts["TransferSyntaxUID"])
    except (OSError, MemoryError):
        raise
    except Exception as error:  # file meta information that cannot be followed
        shortage.refuse(error)
        return references
    return references if data is None else read_references(io.BytesIO(data), facts["SOPClassUID"])


def _sha256(file: OpenFile) -> str:
    import hashlib

    digest = hashlib.sha256()
    offset = 0
    while block := file.read(_BLOCK, offset):
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
