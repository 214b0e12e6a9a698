"""Content digests of the files of a series: from the last record if the stat is the same, else read from the file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from dicomzarr.records.plan import SeriesPlan
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.source.row import HeaderRow, StatKey
from dicomzarr.stages.extract_batch.series_files import UNREADABLE, Contents, Roots, content_of
from dicomzarr.system.thread_pool import ThreadPool

Key = tuple[str, StatKey]  # path and stat: a recorded file with the same key is not opened again


@dataclass(frozen=True, slots=True)
class SeriesContents:
    """The contents of the files of a series.

    Attributes
    ----------
    digests : dict of str to str
        BLAKE3 of each file, hex, by path; `UNREADABLE` for a file that could not be read.
    small_files : dict of str to bytes
        The bytes of small files, by path, as far as they were read and fit in memory.
    blocks : dict of str to bytes
        Digests of the blocks of files that were read, by path; see `Contents.blocks`.
    hashed : int
        Number of files that were read.
    """

    digests: dict[str, str]
    small_files: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)
    hashed: int = 0


def unreadable_in(record: SeriesRecord) -> list[str]:
    """Return the paths of the files of a series that could not be read."""
    return [file.path for file in record.read_files() if file.content == UNREADABLE]


def _key(row: HeaderRow) -> Key:
    return row["path"], (*row["stat"],)


def _recorded(record: SeriesRecord | None) -> dict[Key, str]:
    """Return the digests in a record, by path and stat."""
    files = record.read_files() if record else []
    return {(file.path, file.stat): file.content for file in files if file.content != UNREADABLE}


def read_contents(plan: SeriesPlan, record: SeriesRecord | None, roots: Roots, pool: ThreadPool) -> SeriesContents:
    """Return the contents of the files of a series; files whose path and stat are recorded are not opened.

    Parameters
    ----------
    plan : SeriesPlan
    record : SeriesRecord, optional
        The record of the last extraction; without one, all files are read.
    roots : Roots
    pool : ThreadPool
        Its threads read large files.

    Returns
    -------
    SeriesContents

    Raises
    ------
    SourceChanged
        If the stat of a file differs from the inventory.
    """
    recorded = _recorded(record)
    digests = {row["path"]: recorded.get(_key(row), "") for row in plan.all_files()}
    unread: Sequence[HeaderRow] = [row for row in plan.all_files() if not digests[row["path"]]]
    mean_size = sum(row["stat"][0] for row in unread) // max(len(unread), 1)
    with contextlib.closing(Contents(roots)) as contents:
        contents.ahead(plan.all_files())  # extraction reads all of them, whether their digests are recorded or not
        if pool.is_parallel(mean_size):
            blocks = {}
            read = pool.map(lambda row: content_of(row, roots, pool.threads), unread, mean_size)
            for row, (digest, of_blocks) in zip(unread, read, strict=True):
                digests[row["path"]], blocks[row["path"]] = digest, of_blocks
            return SeriesContents(digests, blocks=blocks, hashed=len(unread))
        digests |= {row["path"]: contents.digest(row) for row in unread}
        return SeriesContents(digests, contents.small_files, contents.blocks, len(unread))
