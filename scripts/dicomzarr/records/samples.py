"""Compare a bounded random sample of files with their recorded digests: of a restored source, or of restored results.

All files of a small source or dataset are in it. A sample of the source is the same one while nothing changes: a dry
run says what a run would.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from dicomzarr.records.batch_record import EXTRACT
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source.archives import bounds, names
from dicomzarr.source.archives.keys import fingerprint
from dicomzarr.source.opener import Opener
from dicomzarr.source.row import StatKey
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged, SourceChanged
from dicomzarr.vocabulary.reasons import NotExtracted

FILES = 1000  # of the largest sample; at most so many records of series are read for it
BYTES = 2 << 30  # no further file is drawn once the sample has so many
_BLOCK = 1 << 22
_UNREADABLE = "0" * 64  # recorded in place of the digest of a file that could not be read


@dataclass(frozen=True, slots=True)
class Sample:
    """The result of comparing a sample: files compared, and whether all had the recorded content."""

    files: int
    is_equal: bool


class Keys(NamedTuple):
    """The keys of a file that moved: under which it was verified, and now."""

    verified: StatKey
    now: StatKey


def compare_source(results: Results, roots: Mapping[str, bytes], moved: Mapping[str, Keys], seed: str) -> Sample:
    """Compare a sample of source files, and of members of archives, with the digests that extraction recorded of them.

    Parameters
    ----------
    results : Results
    roots : mapping of str to bytes
        Roots of the source by label.
    moved : mapping of str to Keys
        The files to draw from, by path.
    seed : str
        Decides the sample: the same as long as nothing changes.

    Returns
    -------
    Sample
        Without files if none of them has a recorded digest: only images and masks have one.
    """
    from dicomzarr.system import sandbox  # imports numpy; members are unpacked in its child

    draw = random.Random(seed)
    recorded: list[list[tuple[str, StatKey, str]]] = []
    paths = sorted((results.records / EXTRACT).glob("*/*.json"))
    for path in draw.sample(paths, min(FILES, len(paths))):
        with contextlib.suppress(OSError, Damaged):
            known = []
            for file in SeriesRecord.load(path).read_files():
                key = _key_now(file.path, file.stat, moved)
                if key is not None and file.content != _UNREADABLE:
                    known.append((file.path, key, file.content))
            draw.shuffle(known)
            recorded.append(known)
    # One of each series, then the next of each: series lie in folders of their own.
    in_turn = {file[0]: file for turn in zip_longest(*recorded) for file in turn if file}
    size, count = 0, 0
    bounds.use(bounds.Bounds(results.private / "cache" / bounds.FOLDER))
    try:
        with Opener(roots) as opener:
            for name, key, content in [*in_turn.values()][:FILES]:
                if count and size >= BYTES:
                    break
                count, size = count + 1, size + key[0]
                if _content(opener, name, key) != content:
                    return Sample(count, is_equal=False)
    finally:
        sandbox.end_all()
    return Sample(count, is_equal=True)


def _key_now(path: str, verified: StatKey, moved: Mapping[str, Keys]) -> StatKey | None:
    """Return the key that a recorded file must have now; None if it is not to be compared.

    Members of compressed tars and large members are not: they would be unpacked to the disk.
    """
    if path in moved:
        return moved[path].now if moved[path].verified == verified else None
    archive, member = names.split(path)
    keys = moved.get(archive) if member else None
    if keys is None or fingerprint(keys.verified) != verified[3] or verified[0] > bounds.IN_MEMORY:
        return None
    return None if names.kind_by_name(archive) in names.COMPRESSED_TARS else (*verified[:3], fingerprint(keys.now))


def _content(opener: Opener, path: str, key: StatKey) -> str:
    """Return the BLAKE3 of a source file, hex; empty if it cannot be read, or changed since it was listed."""
    from blake3 import blake3

    digest, offset = blake3(), 0
    try:
        with contextlib.closing(opener.open(path, key)) as file:
            while block := file.read(_BLOCK, offset):
                digest.update(block)
                offset += len(block)
            return digest.hexdigest() if file.key() == key else ""
    except (OSError, LookupError, NotExtracted, SourceChanged):
        return ""


def compare_claims(claims: Mapping[Path, FileClaim], *, most_files: int = FILES, most_bytes: int = BYTES) -> Sample:
    """Compare a sample of files that records claim with the digests in these claims.

    Parameters
    ----------
    claims : mapping of Path to FileClaim
        The files to draw from, with their digests.
    most_files, most_bytes : int
        No further file is drawn once the sample has so many.

    Returns
    -------
    Sample
    """
    size, count = 0, 0
    for path in random.sample(sorted(claims), min(most_files, len(claims))):
        if count and size >= most_bytes:
            break
        count, size = count + 1, size + claims[path].size
        try:
            if files.sha256_of(path) != claims[path].digest:
                return Sample(count, is_equal=False)
        except OSError:
            return Sample(count, is_equal=False)
    return Sample(count, is_equal=True)
