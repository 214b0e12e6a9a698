"""Cache of clean files, so that the privacy search reads only new and changed ones.

Files are cached by their stat, tables by the digests of their blocks, and arrays by groups of series: one digest over
the stats of all their files, and one over their sizes and times in seconds. The second counts if the results were
copied back and a sample of their contents is as recorded. The cache is not used, and everything is searched again, if
it is damaged, was written by other code or for other words, or if a new identifier may occur in a cached file
(`absent_hashes`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.privacy.absent_hashes import AbsentHashes
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.privacy.series_groups import CachedGroups, Group, is_in_volume
from dicomzarr.privacy.table_blocks import CHECKSUMS, Share
from dicomzarr.system import digested_json, files

SEARCH_CACHE = "searched.json"  # in the folder of caches
_CLAIMED = "results/dataset/"  # places of files whose digests are recorded


def key_of(status: os.stat_result) -> list[int]:
    """Return size, times and inode: if they are equal, the file is unchanged."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def read_cache(folder: Path) -> Mapping[str, Any]:
    """Return the content of the cache in a folder of caches; empty if there is no valid one."""
    try:
        content: Mapping[str, Any] = digested_json.read_record(folder / SEARCH_CACHE)
    except (OSError, ValueError, KeyError, TypeError):
        content = {}
    return content


class CleanShare(NamedTuple):
    """A clean share of the blocks of a table."""

    place: str
    key: list[int]  # of the file, from before the search
    blocks: list[str] | None
    share: Share


class Notes(TypedDict):
    """What a child process recorded: files by place, tables by place, groups by name; see `SearchCache`."""

    files: dict[str, list[int]]
    tables: dict[str, list[str]]
    shares: list[CleanShare]
    groups: dict[str, list[Any]]
    layouts: list[Sequence[str]]
    absent_hashes: list[str]
    searched: int


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """What a search looks for, and how: a cache of another search is not used, but for identifiers that it excludes.

    Attributes
    ----------
    version : sequence of str
        Code, level and the like.
    words : sequence of frozenset of str
        Words that do not count, for each scanner.
    identifiers : ndarray of uint64
        Sorted.
    """

    version: Sequence[str]
    words: Sequence[frozenset[str]]
    identifiers: NDArray[np.uint64]

    @property
    def conditions(self) -> dict[str, Any]:
        """Return what must be equal for a cache to be used, as the cache records it."""
        digest = hashlib.blake2b(repr([sorted(each) for each in self.words]).encode(), digest_size=12)
        return {"version": [*self.version], "words": digest.hexdigest()}

    @property
    def digest_of_identifiers(self) -> str:
        """Return a digest of the identifiers."""
        return blake3(np.ascontiguousarray(self.identifiers).data.cast("B")).hexdigest(length=16)


@dataclass(frozen=True, slots=True)
class ThisRun:
    """The run of the workflow that searches, and where.

    Attributes
    ----------
    token : str
        Identifies the run.
    place : tuple of int
        Changes if the results are copied to another place, or back.
    is_intact : callable
        Called if the place changed: whether a sample of the files has the recorded contents.
    """

    token: str
    place: tuple[int, ...]
    is_intact: Callable[[], bool]


class SearchCache:
    """Files that were searched and are clean.

    Parameters
    ----------
    folder : Path
        Of caches, in the private tree.
    sought : Sought
        What this search looks for.
    absent_hashes : AbsentHashes
        Records the hashes that were looked up.
    this_run : ThisRun
        The run that searches.
    content : mapping, optional
        What `read_cache` returned, if it was called.
    """

    def __init__(
        self,
        folder: Path,
        sought: Sought,
        absent_hashes: AbsentHashes,
        this_run: ThisRun,
        content: Mapping[str, Any] | None = None,
    ) -> None:
        self._path, self._absent_hashes = folder / SEARCH_CACHE, absent_hashes
        self._leaks_of_names: dict[tuple[Scanner, str], Leak | None] = {}
        self._conditions, self._identifiers = sought.conditions, sought.digest_of_identifiers
        self._run, self._place = this_run.token, [*this_run.place]
        self._files: dict[str, list[int]] = {}
        self._tables: dict[str, list[str]] = {}
        self._shares: list[CleanShare] = []
        self._groups: dict[str, list[Any]] = {}
        self.searched = 0
        cached: Mapping[str, Any] = {}
        try:
            record = read_cache(folder) if content is None else content
            is_same_search = all(record[key] == value for key, value in self._conditions.items())
            new_identifiers = None if record["identifiers"] == self._identifiers else sought.identifiers
            if is_same_search and absent_hashes.load(record["absent_hashes"], new_identifiers):
                cached = record
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._cached = {key: cached.get(key, {}) for key in ("files", "tables", "groups")}
        # Layouts keep their numbers, so that cached groups need no change.
        layouts: list[Sequence[str]] = list(cached.get("layouts", []))
        self._layouts = {tuple(paths): number for number, paths in enumerate(layouts)}
        self._cached_groups = CachedGroups(self._cached["groups"], layouts)
        # Whether this run has searched the arrays already, after its last job that writes arrays.
        self._is_fresh = bool(self._run) and cached.get("run") == self._run
        self._is_copy = bool(cached) and cached.get("place") != self._place and this_run.is_intact()

    def name(self, place: str, name: str, scanner: Scanner) -> Leak | None:
        """Search the name of a file or folder; cached, since the names repeat in every series.

        The name of a file that was clean at the same place, be it changed since, was clean too.
        """
        if place in self._cached["files"]:
            return None
        if (scanner, name) not in self._leaks_of_names:
            self._leaks_of_names[scanner, name] = scanner.name(name)
        return self._leaks_of_names[scanner, name]

    # ---- files and tables

    def is_clean(self, place: str, status: os.stat_result) -> bool:
        """Return whether the file is clean and unchanged since its search."""
        if self._cached["files"].get(place) != key_of(status) and not self._is_copied(place, status):
            self.searched += 1
            return False
        self._files[place] = key_of(status)
        if place in self._cached["tables"]:
            self._tables[place] = self._cached["tables"][place]
        return True

    def _is_copied(self, place: str, status: os.stat_result) -> bool:
        """Return whether a file of the dataset has the size and time, in seconds, of the one that was searched."""
        if not self._is_copy or not place.startswith(_CLAIMED):
            return False
        size, mtime_ns, *_ = self._cached["files"].get(place, (-1, 0))
        return (size, mtime_ns // 10**9) == (status.st_size, int(status.st_mtime))

    def add_file(self, place: str, status: os.stat_result, blocks: list[str] | None) -> None:
        """Record a clean file.

        Parameters
        ----------
        place : str
            Its path below the results or the working folder.
        status : os.stat_result
            From before its search.
        blocks : list of str or None
            Digests of its blocks if it is a table.
        """
        self._files[place] = key_of(status)
        if blocks is not None:
            self._tables[place] = blocks

    def add_share(self, place: str, status: os.stat_result, blocks: list[str] | None, share: Share) -> None:
        """Record a clean share of a table, as `add_file` a file; the table is clean once all its shares are."""
        self._shares.append(CleanShare(place, key_of(status), blocks, share))

    def _add_shared_tables(self) -> None:
        """Record each table of which every share is clean, where all were searched in the same content."""
        by_place: dict[str, list[CleanShare]] = {}
        for clean in self._shares:
            by_place.setdefault(clean.place, []).append(clean)
        for place, shares in by_place.items():
            first = shares[0]
            is_whole = {clean.share for clean in shares} == {Share(n, first.share.of) for n in range(first.share.of)}
            if is_whole and all(clean[:3] == first[:3] for clean in shares):
                self._files[place] = first.key
                if first.blocks is not None:
                    self._tables[place] = first.blocks

    def blocks(self, place: str) -> frozenset[str]:
        """Return the digests of the clean blocks of a table."""
        return frozenset(self._cached["tables"].get(place, ()))

    # ---- groups of series

    def clean_groups(self, prefix: str, images: str, groups: Mapping[str, Sequence[str]], processes: int) -> set[str]:
        """Return the groups that are clean and unchanged since their search.

        Parameters
        ----------
        prefix, images, groups, processes
            As for `CachedGroups.unchanged`.
        """
        clean = self._cached_groups.unchanged(prefix, images, groups, processes, is_trusted=self._is_fresh)
        for name in clean:
            self._groups[prefix + name] = self._cached["groups"][prefix + name]
        return clean

    def is_copied_group(self, name: str, group: Group) -> bool:
        """Return whether a group has the names, sizes and times of a clean one, in results that were copied back."""
        return self._is_copy and self._cached_groups.is_copy(name, group)

    def add_group(self, name: str, group: Group) -> None:
        """Record a clean group: its state, and its paths by the numbers of layouts, which many volumes share."""
        if not group.state:
            return
        rows = []
        for series, paths in group.series.items():
            volumes: dict[str, list[str]] = {}
            for path in paths:
                if is_in_volume(path):
                    volumes.setdefault(path[1:9], []).append(path[9:])
            row: list[Any] = [series, self._layout([path for path in paths if not is_in_volume(path)])]
            for volume, below in volumes.items():
                row += [volume, self._layout(below)]
            rows.append(row)
        self._groups[name] = [group.state, *rows]

    def _layout(self, paths: Sequence[str]) -> int:
        return self._layouts.setdefault(tuple(paths), len(self._layouts))

    # ---- processes

    def start_in_child(self) -> None:
        """Start empty in a forked process: the parent has its own notes."""
        self._files, self._tables, self._shares, self._groups = {}, {}, [], {}
        self.searched = 0
        self._absent_hashes.start_in_child()

    def notes(self) -> Notes:
        """Return what a child process recorded, for its parent."""
        return {
            "files": self._files,
            "tables": self._tables,
            "shares": self._shares,
            "groups": self._groups,
            "layouts": [*self._layouts],
            "absent_hashes": self._absent_hashes.flush(),
            "searched": self.searched,
        }

    def merge(self, notes: Notes) -> None:
        """Add what a child process recorded."""
        self._files |= notes["files"]
        self._tables |= notes["tables"]
        self._shares += notes["shares"]
        numbers = [self._layout(paths) for paths in notes["layouts"]]
        for name, (state, *rows) in notes["groups"].items():
            for row in rows:
                row[1] = numbers[row[1]]
                row[3::2] = [numbers[number] for number in row[3::2]]
            self._groups[name] = [state, *rows]
        self._absent_hashes.merge(notes["absent_hashes"])
        self.searched += notes["searched"]

    def save(self) -> None:
        """Write the cache atomically, readable by the owner alone; the absent hashes are written before."""
        self._add_shared_tables()
        if CHECKSUMS in self._cached["tables"]:  # it is missing while a run makes the dataset, until the seal
            self._tables.setdefault(CHECKSUMS, self._cached["tables"][CHECKSUMS])
        content = self._conditions | {
            "identifiers": self._identifiers,
            "absent_hashes": self._absent_hashes.save(),
            "run": self._run,
            "place": self._place,
            "files": self._files,
            "tables": self._tables,
            "groups": self._groups,
            "layouts": [*self._layouts],
        }
        files.write_private_if_changed(self._path, digested_json.record_json(content))
        self._absent_hashes.remove_unlisted()
