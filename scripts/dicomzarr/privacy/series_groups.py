"""Groups of series in the cache of the privacy search: the stats of all their files and folders, as one digest.

A group is unchanged if its series are the same and all stats have the digest that they had when it was searched.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any

from dicomzarr.system.forked_work import sharing

# Places of the folders of series, and the prefix of their groups in the cache.
PREFIXES = {"results/dataset/images.zarr": "", "results/dataset/reports/pictures": "pictures "}
GROUP_DIGITS = 3  # first digits of a series id, which the series of a group share
_DIGEST = 24  # hex digits of a digest of stats
_BITS = (1 << 64) - 1  # times may be negative, and inodes use all bits
_FOLDER = (_BITS, _BITS)  # in place of size and time of a folder, which a copy does not keep
_SERIES_PER_PROCESS = 1000  # that one more process is worth, to ask for the stats of their files


@dataclass(frozen=True, slots=True)
class Group:
    """The contents of the folders of a group of series.

    Attributes
    ----------
    series : mapping of str to list of str
        Series id to the paths below its folder whose stats count, "" for the folder itself; sorted by `sort_paths`.
    state : str
        What `state_of` returns.
    """

    series: Mapping[str, Sequence[str]]
    state: str


def is_in_volume(path: str) -> bool:
    """Return whether a path below a series has a name as long as a volume id: of a folder, or before the first dot."""
    return len(path) >= 9 and path[9:10] in ("", "/", ".") and path.find("/", 1, 9) < 0


def sort_paths(paths: Iterable[str]) -> list[str]:
    """Sort paths below a series by name, those of volumes last, as the cache returns them."""
    return sorted(paths, key=lambda path: (is_in_volume(path), path))


def state_of(images: str, series: Mapping[str, Sequence[str]]) -> str:
    """Return two digests of the stats of these paths in the folders of series; empty where one does not exist.

    The second is the same for a copy: it has the sizes and times of files alone, in seconds, which is what archives
    keep of them.
    """
    try:
        stats = _stats((f"{images}/{name}", paths) for name, paths in series.items())
    except OSError:
        return ""
    of_copy = [
        _FOLDER if stat.S_ISDIR(status.st_mode) else (status.st_size, status.st_mtime_ns // 10**9 & _BITS)
        for status in stats
    ]
    return _digest(stats) + _blake2b(array("Q", itertools.chain.from_iterable(of_copy)))


def _stats(places: Iterable[tuple[str, Sequence[str]]]) -> list[os.stat_result]:
    """Return the stats of paths, given as folders and paths below each; links are not followed."""
    lstat = os.lstat
    return [lstat(folder + path) for folder, paths in places for path in paths]


_NUMBERS = attrgetter("st_size", "st_mtime_ns", "st_ctime_ns", "st_ino")


def _digest(stats: Sequence[os.stat_result]) -> str:
    """Return the first of the digests that `state_of` returns."""
    try:
        return _blake2b(array("Q", itertools.chain.from_iterable(map(_NUMBERS, stats))))
    except OverflowError:  # a time before 1970
        numbers = itertools.chain.from_iterable(map(_NUMBERS, stats))
        return _blake2b(array("Q", [number & _BITS for number in numbers]))


def _blake2b(numbers: array[int]) -> str:
    return hashlib.blake2b(numbers, digest_size=_DIGEST // 2).hexdigest()


class CachedGroups:
    """The groups of series in the cache.

    Parameters
    ----------
    groups : mapping
        By prefix and name: the state of a group, and a row for each of its series with the numbers of its layouts.
    layouts : sequence
        Paths below the folder of a series or a volume, which many of them share.
    """

    def __init__(self, groups: Mapping[str, Sequence[Any]], layouts: Sequence[Sequence[str]]) -> None:
        self._groups, self._layouts = groups, layouts

    def unchanged(
        self,
        prefix: str,
        images: str,
        groups: Mapping[str, Sequence[str]],
        processes: int,
        *,
        is_trusted: bool,
    ) -> set[str]:
        """Return the groups that are unchanged since their search.

        Parameters
        ----------
        prefix : str
            Of the names of these groups in the cache.
        images : str
            Path of the folder of all their series.
        groups : mapping of str to sequence of str
            By name, the first digits of the ids of its series, the ids of the series that exist now; a group of other
            series is not unchanged.
        processes : int
            Most processes to use; few series are looked at by one.
        is_trusted : bool
            Compare the ids of series alone: no stat is asked for.
        """
        same = [name for name, series in groups.items() if self._has_series(prefix + name, series)]
        if is_trusted:
            return set(same)
        count = min(processes, sum(len(groups[name]) for name in same) // _SERIES_PER_PROCESS)
        with sharing(partial(self._has_state, prefix, images), same, count - 1) as work:
            return {name for name, is_unchanged in zip(same, work.finish(), strict=True) if is_unchanged}

    def is_copy(self, name: str, group: Group) -> bool:
        """Return whether a group, by prefix and name, has the names, sizes and times of the one in the cache."""
        if not group.state:
            return False
        try:
            state, *rows = self._groups[name]
            paths = {row[0]: [top + path for top, below in self._folders(row) for path in below] for row in rows}
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        return paths == {**group.series} and state[_DIGEST:] == group.state[_DIGEST:]

    def _has_series(self, name: str, series: Sequence[str]) -> bool:
        try:
            state, *rows = self._groups[name]
            return bool(state) and [row[0] for row in rows] == list(series)
        except (KeyError, IndexError, TypeError, ValueError):
            return False

    def _has_state(self, prefix: str, images: str, name: str) -> bool:
        """Return whether all stats of a group have the digest that they had."""
        try:
            state, *rows = self._groups[prefix + name]
            places = ((f"{images}/{row[0]}{folder}", paths) for row in rows for folder, paths in self._folders(row))
            return bool(_digest(_stats(places)) == state[:_DIGEST])
        except (OSError, KeyError, IndexError, TypeError, ValueError):
            return False

    def _folders(self, row: Sequence[Any]) -> Iterator[tuple[str, Sequence[str]]]:
        """Yield the folder of a series, "", and those of its volumes, with the paths below each that count."""
        _, rest, *volumes = row
        yield "", self._layouts[rest]
        for volume, number in zip(volumes[::2], volumes[1::2], strict=True):
            yield f"/{volume}", self._layouts[number]


_SERIES = re.compile(r"[0-9a-f]{16}")


def is_series(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is the folder of a series."""
    return _SERIES.fullmatch(entry.name) is not None and entry.is_dir(follow_symlinks=False)


def by_group(series: Iterable[str]) -> dict[str, list[str]]:
    """Return the ids of series, given in order, by the name of their group."""
    return {name: [*ids] for name, ids in itertools.groupby(series, lambda series_id: series_id[:GROUP_DIGITS])}
