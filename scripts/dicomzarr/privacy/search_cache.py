"""What the search for leaks found clean, so that a run searches only what is new or changed.

Files count by their stat, tables by the content of their blocks, arrays by groups of series: one digest over the stats
of all that lies in them. A memory that is damaged, or was made by other code, for other words or with other needles
than those it could answer for, is no memory: everything is searched again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from dicomzarr.privacy.known_absent import Lookups
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.system import digested_json, files

MEMORY = "searched.json"  # in the folder of caches
GROUP_DIGITS = 3  # of the ids of the series of a group


@dataclass(frozen=True, slots=True)
class Group:
    """What lies in the folders of a group of series.

    Attributes
    ----------
    series : mapping of str to list of str
        For each series, the paths below its folder whose stats count, "" for itself; in the order of `in_order`.
    state : str
        Digest of the stats.
    """

    series: Mapping[str, Sequence[str]]
    state: str


def in_a_volume(path: str) -> bool:
    """Return whether a path below a series is, or is below, a folder whose name is as long as that of a volume."""
    return len(path) >= 9 and path[9:10] in ("", "/") and path.find("/", 1, 9) < 0


def in_order(paths: Iterable[str]) -> list[str]:
    """Return paths below a series by name, those of volumes last: as the memory gives them back."""
    return sorted(paths, key=lambda path: (in_a_volume(path), path))


def state_of(images: str, series: Mapping[str, Sequence[str]]) -> str:
    """Return a digest of the stats of the folders of series and of what counts in them; empty where one is gone."""
    lstat, stats = os.lstat, []
    try:
        for name, paths in series.items():
            home = f"{images}/{name}"
            for path in paths:
                one = lstat(home + path)
                stats.append((one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino))
    except OSError:
        return ""
    return hashlib.blake2b(repr(stats).encode(), digest_size=12).hexdigest()


def key_of(status: os.stat_result) -> list[int]:
    """Return what says that a file is as it was."""
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def version_of(folder: Path) -> list[str]:
    """Return the version of the memory in a folder of caches.

    Raises
    ------
    OSError, ValueError, KeyError
        If there is none.
    """
    version: list[str] = digested_json.read_record(folder / MEMORY)["version"]
    return version


class Memory:
    """Which files were found clean.

    Parameters
    ----------
    folder : Path
        Of caches, in the private tree.
    version : list of str
        Code, level and the like: what another version found clean is searched again.
    words : sequence of frozenset of str
        Words that do not count, for each scanner: with others the same holds.
    needles : ndarray of uint64
        Sorted.
    lookups : Lookups
        Notes what is looked for.
    run : str
        Which run of the workflow this is.
    """

    def __init__(
        self,
        folder: Path,
        version: list[str],
        words: Sequence[frozenset[str]],
        needles: NDArray[np.uint64],
        lookups: Lookups,
        run: str,
    ) -> None:
        self._path, self._lookups = folder / MEMORY, lookups
        self._names: dict[tuple[Scanner, str], Leak | None] = {}
        digest = blake3(np.ascontiguousarray(needles).data.cast("B")).hexdigest(length=16)
        own = hashlib.blake2b(repr([sorted(each) for each in words]).encode(), digest_size=12).hexdigest()
        self._same: dict[str, Any] = {"version": version, "words": own}
        self._needles, self._run = digest, run
        self._files: dict[str, list[int]] = {}
        self._tables: dict[str, list[str]] = {}
        self._groups: dict[str, list[Any]] = {}
        self.searched = 0
        known: Mapping[str, Any] = {}
        try:
            said = digested_json.read_record(self._path)
            same = all(said[key] == value for key, value in self._same.items())
            new = None if said["needles"] == digest else needles
            if same and lookups.take_over(said["looked_up"], new):
                known = said
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self._known = {key: known.get(key, {}) for key in ("files", "tables", "groups")}
        # The same numbers as before, so that what is known stays as it stands.
        self._known_layouts: list[Sequence[str]] = list(known.get("layouts", []))
        self._layouts = {tuple(paths): number for number, paths in enumerate(self._known_layouts)}
        # Whether this very run has searched the arrays already, after the last job that writes any.
        self._is_fresh = bool(run) and known.get("run") == run

    def name(self, name: str, scanner: Scanner) -> Leak | None:
        """Search a name; the same names come again in every series."""
        if (scanner, name) not in self._names:
            self._names[scanner, name] = scanner.name(name)
        return self._names[scanner, name]

    # ---- files and tables

    def knows(self, shown: str, status: os.stat_result) -> bool:
        """Return whether the file was found clean and is as it was then."""
        if self._known["files"].get(shown) != key_of(status):
            self.searched += 1
            return False
        self._files[shown] = key_of(status)
        if shown in self._known["tables"]:
            self._tables[shown] = self._known["tables"][shown]
        return True

    def keep(self, shown: str, status: os.stat_result, blocks: list[str] | None) -> None:
        """Note that a file is clean, and the blocks of it if it is a table."""
        self._files[shown] = key_of(status)
        if blocks is not None:
            self._tables[shown] = blocks

    def blocks(self, shown: str) -> frozenset[str]:
        """Return the digests of the blocks of a table that were found clean."""
        return frozenset(self._known["tables"].get(shown, ()))

    # ---- groups of series

    def knows_group(self, name: str, images: str, series: Sequence[str]) -> bool:
        """Return whether a group of these series was found clean, and all in it is as it was then."""
        try:
            state, *rows = self._known["groups"][name]
            known = {row[0]: self._paths(row) for row in rows}
        except (KeyError, IndexError, TypeError, ValueError):
            return False
        if list(known) != list(series) or (not self._is_fresh and state_of(images, known) != state):
            return False
        self._groups[name] = self._known["groups"][name]
        return True

    def _paths(self, row: Sequence[Any]) -> list[str]:
        _, rest, *volumes = row
        paths = list(self._known_layouts[rest])
        for volume, number in zip(volumes[::2], volumes[1::2], strict=True):
            paths += [f"/{volume}{path}" for path in self._known_layouts[number]]
        return paths

    def keep_group(self, name: str, group: Group) -> None:
        """Note that a group is clean: what lies in it, by numbers of layouts, which many share, and the state."""
        if not group.state:
            return
        rows = []
        for series, paths in group.series.items():
            volumes: dict[str, list[str]] = {}
            for path in paths:
                if in_a_volume(path):
                    volumes.setdefault(path[1:9], []).append(path[9:])
            row: list[Any] = [series, self._layout([path for path in paths if not in_a_volume(path)])]
            for volume, below in volumes.items():
                row += [volume, self._layout(below)]
            rows.append(row)
        self._groups[name] = [group.state, *rows]

    def _layout(self, paths: Sequence[str]) -> int:
        return self._layouts.setdefault(tuple(paths), len(self._layouts))

    # ---- a process apart

    def begin_apart(self) -> None:
        """Forget, in a forked process, what the parent has noted already."""
        self._files, self._tables, self._groups = {}, {}, {}
        self.searched = 0
        self._lookups.begin_apart()

    def told(self) -> dict[str, Any]:
        """Return what a process noted, for its parent."""
        return {
            "files": self._files,
            "tables": self._tables,
            "groups": self._groups,
            "layouts": [*self._layouts],
            "looked_up": self._lookups.new(),
            "searched": self.searched,
        }

    def take(self, told: Mapping[str, Any]) -> None:
        """Take over what a process noted."""
        self._files |= told["files"]
        self._tables |= told["tables"]
        numbers = [self._layout(paths) for paths in told["layouts"]]
        for name, (state, *rows) in told["groups"].items():
            for row in rows:
                row[1] = numbers[row[1]]
                row[3::2] = [numbers[number] for number in row[3::2]]
            self._groups[name] = [state, *rows]
        self._lookups.add(told["looked_up"])
        self.searched += told["searched"]

    def save(self) -> None:
        """Write it whole, for the owner alone; what was looked up is on the disk before."""
        content = self._same | {
            "needles": self._needles,
            "looked_up": self._lookups.save(),
            "run": self._run,
            "files": self._files,
            "tables": self._tables,
            "groups": self._groups,
            "layouts": [*self._layouts],
        }
        files.write_if_changed(self._path, digested_json.record_json(content), private=True)
        self._lookups.sweep()
