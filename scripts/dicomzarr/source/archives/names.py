"""Paths of archives and of their members: ``export.zip!/a/b.dcm`` is the member ``a/b.dcm`` of ``export.zip``."""

from __future__ import annotations

import hashlib
import re

from dicomzarr.system.path_text import encode_path

MARK = "!/"  # between the path of an archive and that of a member; `encode_path` writes the ! of a real folder as %21
ZIP, TAR, TAR_GZIP, TAR_ZSTD, GZIP = "zip", "tar", "tar.gz", "tar.zst", "gz"
COMPRESSED_TARS = frozenset((TAR_GZIP, TAR_ZSTD))
# The longest first, since .tar.gz ends with .gz too.
_KINDS = (
    *((".tar.gz", TAR_GZIP), (".tgz", TAR_GZIP), (".tar.zst", TAR_ZSTD), (".tzst", TAR_ZSTD)),
    *((".zip", ZIP), (".tar", TAR), (".gz", GZIP)),
)
SUFFIXES = tuple(suffix for suffix, _ in _KINDS)
LONGEST = 4096  # bytes of a member's name, as of a path in the file system
_SHOWN = 200  # bytes of a longer name that its row holds
_DRIVE = re.compile(rb"[A-Za-z]:")


def kind_by_name(path: str) -> str:
    """Return the kind of archive that a path claims to be by its suffix; empty if none."""
    lower = path[-8:].lower()
    return next((kind for suffix, kind in _KINDS if lower.endswith(suffix)), "")


def split(path: str) -> tuple[str, str]:
    """Return the path of the archive and that of the member in it; the latter is empty for any other file."""
    archive, _, member = path.partition(MARK)
    return archive, member


def is_member(path: str) -> bool:
    """Return whether a path of the accounts is that of a member of an archive."""
    return MARK in path


def member_text(name: bytes) -> str:
    """Return the name of a member as the accounts have it after the mark: percent-encoded like other paths."""
    return encode_path(b"/" + name)[1:]


def of_single_file(archive: str) -> bytes:
    """Return the name of the only file in a gzipped file: its own name without the suffix."""
    from dicomzarr.system.path_text import decode_path

    return decode_path(archive).rpartition(b"/")[2][: -len(".gz")] or b"content"


def checked_name(raw: bytes) -> tuple[bytes, bool]:
    """Return the name of a member without empty and ``.`` parts, and whether it may be read under that name.

    Names that lead out of the folder where an archive is unpacked may not: ``..``, absolute paths and drive letters.
    Nor may names that no file could have: empty, with a NUL, or too long; of the latter the first bytes and a digest
    are returned. Backslashes separate folders on Windows, so that they count here.
    """
    parts = [part for part in raw.split(b"/") if part not in (b"", b".")]
    if len(raw) > LONGEST:
        return raw[:_SHOWN] + b"~" + hashlib.sha256(raw).hexdigest()[:16].encode(), False
    refused = raw.startswith((b"/", b"\\")) or _DRIVE.match(raw) or b"\0" in raw or not parts
    if refused or b".." in re.split(rb"[/\\]", raw):
        return raw or b"~", False
    return b"/".join(parts), True
