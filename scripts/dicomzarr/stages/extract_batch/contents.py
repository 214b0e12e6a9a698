"""Content digests of the files of a series: those that the last record knows, and the rest read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source.row import HeaderRow, StatKey
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Contents, Roots, content_of
from dicomzarr.system.thread_pool import ThreadPool

Key = tuple[str, StatKey]  # of a file that is not opened again


@dataclass(frozen=True, slots=True)
class SeriesContents:
    """The content of the files of a series.

    Attributes
    ----------
    digests : dict of str to str
        BLAKE3 of each file, by path; `UNREADABLE` where the disk does not give it.
    small : dict of str to bytes
        The bytes of small files, by path, as far as they were read and there is room.
    hashed : int
        How many files were read.
    """

    digests: dict[str, str]
    small: dict[str, bytes]
    hashed: int


def unreadable_in(record: SeriesRecord) -> list[str]:
    """Return the paths of the files of a series that the disk did not give."""
    return [file.path for file in record.read_files() if file.content == UNREADABLE]


def _key(row: HeaderRow) -> Key:
    return row["path"], (*row["stat"],)


def _recorded(record: SeriesRecord | None) -> dict[Key, str]:
    """Return the digests that a record has, by path and stat."""
    files = record.read_files() if record else []
    return {(file.path, file.stat): file.content for file in files if file.content != UNREADABLE}


def read_contents(plan: SeriesPlan, record: SeriesRecord | None, roots: Roots, pool: ThreadPool) -> SeriesContents:
    """Return the content of the files of a series; files whose stat is recorded are not opened.

    Parameters
    ----------
    plan : SeriesPlan
    record : SeriesRecord, optional
        Without one, all files are read.
    roots : Roots
    pool : ThreadPool
        Shares large files.

    Raises
    ------
    SourceChanged
        If a file is not the one that the run listed.
    """
    recorded = _recorded(record)
    digests = {row["path"]: recorded.get(_key(row), "") for row in plan.all_files()}
    unread: Sequence[HeaderRow] = [row for row in plan.all_files() if not digests[row["path"]]]
    each = sum(row["stat"][0] for row in unread) // max(len(unread), 1)
    if pool.is_parallel(each):
        read = pool.map(lambda row: content_of(row, roots, pool.threads), unread, each)
        return SeriesContents(digests | dict(zip((row["path"] for row in unread), read, strict=True)), {}, len(unread))
    with contextlib.closing(Contents(roots)) as contents:
        digests |= {row["path"]: contents.digest(row) for row in unread}
        return SeriesContents(digests, contents.kept, len(unread))
