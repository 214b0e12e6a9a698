"""Arrays and pictures that were copied back: the same names and sizes, other times or inodes.

If nearly all files of a batch moved, a random sample of them is compared with the digests in the records, and none is
read back. A series that was extracted again has no record of its last check, so that it is never taken for a copy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dicomzarr.records import samples
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.check_record import CheckRecord, FileState
from dicomzarr.records.record_file import FileClaim
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

# Of ten files of a batch, so many must have moved: a single one that changed is read back.
MOVED, OF = 9, 10
MOST_FILES, MOST_BYTES = 100, 256 << 20  # of the sample of a batch

_Files = Mapping[str, FileState]


def on_disk(folder: Path) -> dict[str, FileState]:
    """Return the state of the files below an image or a folder of pictures, by path.

    Raises
    ------
    OSError
        If the disk cannot list a folder; one that is missing has no files.
    """

    def refuse(error: OSError) -> None:
        if files.is_disk_error(error):
            raise error

    states = {}
    for base, _, names in os.walk(folder, onerror=refuse):
        for name in names:
            status = os.lstat(os.path.join(base, name))
            relative = os.path.relpath(os.path.join(base, name), folder)
            states[relative] = FileState(status.st_size, status.st_mtime_ns, status.st_ino)
    return states


@dataclass(frozen=True, slots=True)
class SeriesState:
    """The files of a series on disk, and its record of the last check, if that was of the same code and content."""

    record: SeriesRecord
    arrays: Mapping[str, _Files]
    pictures: _Files
    last: CheckRecord | None

    @classmethod
    def of(cls, results: Results, record: SeriesRecord, code: str) -> SeriesState:
        """Return the state of a series now."""
        arrays = {volume.array: on_disk(results.images / volume.array) for volume in record.volumes}
        pictures = on_disk(results.pictures / record.series_id)
        try:
            last = CheckRecord.load(results.series_record(CHECK, record.series_id))
        except (OSError, Damaged):
            last = None
        is_valid = last is not None and (last.code, last.fingerprint) == (code, record.fingerprint)
        return cls(record, arrays, pictures, last if is_valid else None)

    @property
    def count(self) -> int:
        """Number of files."""
        return sum(map(len, self.arrays.values())) + len(self.pictures)

    def moved(self, results: Results) -> dict[Path, FileClaim] | None:
        """Return the files with another time or inode than at the last check; None unless that is all that changed."""
        if self.last is None or self.last.disk.keys() != self.arrays.keys():
            return None
        claims = self.record.claimed_files()
        moved: dict[Path, FileClaim] = {}
        for array, states in self.arrays.items():
            of_array = {name: claims.get(f"{array}/{name}") for name in states}
            if not _add_moved(moved, results.images / array, states, self.last.disk[array], of_array):
                return None
        folder, of_pictures = results.pictures / self.record.series_id, self.last.picture_files
        return moved if _add_moved(moved, folder, self.pictures, self.last.pictures_on_disk, of_pictures) else None


def _add_moved(
    moved: dict[Path, FileClaim], folder: Path, now: _Files, before: _Files, claims: Mapping[str, FileClaim | None]
) -> bool:
    """Add the files of a folder that moved; return whether all have the names and sizes of before, and a claim."""
    if now.keys() != before.keys():
        return False
    for name, state in now.items():
        claim = claims.get(name)
        if state.size != before[name].size or claim is None:
            return False
        if state != before[name]:
            moved[folder / name] = claim
    return True


@dataclass(slots=True)
class Copies:
    """Whether a batch is a copy of what was checked; compared once, when a series that moved asks."""

    results: Results
    code: str
    series: Sequence[str]
    _are_intact: bool | None = field(default=None)

    def are_intact(self) -> bool:
        """Return whether nearly all files moved, and a sample of them has the recorded contents."""
        if self._are_intact is None:
            moved: dict[Path, FileClaim] = {}
            count = 0
            for series_id in self.series:
                with contextlib.suppress(OSError, Damaged):
                    record = SeriesRecord.load(self.results.series_record(EXTRACT, series_id))
                    state = SeriesState.of(self.results, record, self.code)
                    count += state.count if state.last else 0
                    moved |= state.moved(self.results) or {}
            self._are_intact = (
                OF * len(moved) >= MOVED * count
                and samples.compare_claims(moved, most_files=MOST_FILES, most_bytes=MOST_BYTES).is_equal
            )
        return self._are_intact
