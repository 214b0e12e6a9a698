"""Privacy search over a results folder: all names, and all new or changed files, outside `private/`.

Names are searched while the folders are listed. Files to be read are collected first and shared between processes.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

from dicomzarr.privacy.bare_jpeg import is_bare_jpeg
from dicomzarr.privacy.file_contents import PICTURE, RECORDS, VOLUME, has_id_as_name, is_table, is_voxels, search_file
from dicomzarr.privacy.scanner import Leak, Scanner
from dicomzarr.privacy.search_cache import Notes, SearchCache
from dicomzarr.privacy.series_groups import PREFIXES, Group, by_group, is_series, sort_paths, state_of
from dicomzarr.privacy.table_blocks import WHOLE, Share
from dicomzarr.privacy.xattrs import search_xattrs
from dicomzarr.system import sandbox
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.results_folder import EXPORT_FOLDERS, FOLDERS, Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import NotExtracted

SNAKEMAKE_PLACES = (".snakemake/", "results/benchmarks/")  # written by Snakemake, with its words
# Logs and scripts of jobs on other nodes: other people of a site can often read them, and no job is told the source.
EXECUTOR_PLACES = (".snakemake/slurm_logs/", ".snakemake/tmp.", ".snakemake/auxiliary/")
MIN_COST = 100.0  # milliseconds of work that justify one more process
EXPORTS = "results/exports/"  # made by jobs of their own: until they run they show what was configured before
JOB_LOGS = "results/logs/"  # each line begins with the time at which it was written
LOGS = ".snakemake/log/"  # of the main process: they name the user, the host and the command
FOLLOWED = frozenset(f"results/{name}" for name in (*FOLDERS, *EXPORT_FOLDERS))  # searched also where they are links
# Root's own, closed to others, where such a folder is the top of a disk of ext2 to ext4: no run can write there.
LOST_AND_FOUND = frozenset(f"{top}/lost+found" for top in ("results", *FOLLOWED))
_JOB = "check_privacy"  # name under which progress is reported: of each share, and of all


@dataclass(frozen=True, slots=True)
class Finding:
    """A leak and its place: a path below the results or the working folder, without a name that is the leak."""

    place: str
    leak: Leak

    def __str__(self) -> str:
        line = f", line {self.leak.line}" if self.leak.line else ""
        attribute = f", attribute {self.leak.attribute}" if self.leak.attribute else ""
        return f"{self.leak.code} in {self.place}{line}{attribute}"


@dataclass(frozen=True, slots=True)
class _SeriesFolder:
    """The folder of a series, as an entry; it was a folder when it was listed."""

    name: str
    path: str

    def is_dir(self, *, follow_symlinks: bool) -> bool:
        """Return True."""
        return True

    def is_file(self, *, follow_symlinks: bool) -> bool:
        """Return False."""
        return False

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        """Return its stat now."""
        return os.stat(self.path, follow_symlinks=follow_symlinks)


Entry: TypeAlias = "os.DirEntry[str] | _SeriesFolder"
RelativeEntry: TypeAlias = tuple[str, Entry]  # path below some folder, and entry


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be searched, with its stat before the search."""

    place: str
    path: str
    status: os.stat_result
    has_clean_blocks: bool  # most of a table may be clean
    share: Share = WHOLE  # of the blocks of a table

    @property
    def cost(self) -> float:
        """Milliseconds, roughly; repeated texts of JSON are searched once, and a report is mostly its shipped parts."""
        per_byte = 3e-4 if self.place.endswith((".html", ".jsonl")) else 1e-3
        if self.place.endswith(".json") or self.place.startswith(RECORDS):
            per_byte = 1.5e-4
        return 0.5 + self.status.st_size * (1e-5 if self.has_clean_blocks else per_byte) / self.share.of

    def shared(self, count: int) -> list[_File]:
        """Return the file as up to `count` pieces of work; only one if it is no table, or a small one."""
        count = min(count, int(self.cost / MIN_COST))
        if count < 2 or self.has_clean_blocks or not is_table(self.place):
            return [self]
        return [replace(self, share=Share(number, count)) for number in range(count)]


@dataclass(frozen=True, slots=True)
class _Series:
    """A group of series to be searched: folders of their images, or of their pictures, by name."""

    top: str  # place of these folders
    name: str
    folder: str  # path of these folders
    series: Sequence[str]  # ids: entries of all series of a large dataset would take many times their memory

    @property
    def cost(self) -> float:
        """Milliseconds, roughly."""
        return float(len(self.series))


class Search:
    """A privacy search over a results folder.

    Parameters
    ----------
    scanners : mapping of str to Scanner
        ``dataset``, ``exports``, ``snakemake`` for files that Snakemake writes, ``log`` for its logs, ``job`` for
        those of jobs, and ``executor`` for those of jobs on other nodes.
    results : Results
        The results folder.
    work : Path
        The folder in which Snakemake runs.
    level : str
        ``standard``, or ``full`` to search decompressed pixels as well.
    cache : SearchCache
        Of clean files; it is updated.
    """

    def __init__(
        self, scanners: Mapping[str, Scanner], results: Results, work: Path, level: str, cache: SearchCache
    ) -> None:
        self._scanners, self._cache = scanners, cache
        self._results, self._work = results, work
        self._skips_voxels = level != "full"

    def run(self, processes: int) -> list[Finding]:
        """Return the findings in all files and folders of the results and of `.snakemake/`, sorted by place.

        Raises
        ------
        UserError
            If something cannot be read: a search that leaves it out must not look like one that found nothing.
        """
        try:
            return self._all_findings(processes)
        except _Unreadable as problem:
            place = self._shown(f"{problem.place}/").removesuffix("/")
            raise UserError(
                f"{place} cannot be {problem.what} ({os.strerror(problem.number)}), so it cannot be searched for "
                "identities: make it readable for you, or remove it"
            ) from None

    def _all_findings(self, processes: int) -> list[Finding]:
        findings: list[Finding] = []
        waiting: list[_File | _Series] = []
        for item in self._walk(processes):
            if isinstance(item, Finding):
                findings.append(item)
            else:
                waiting.append(item)
        for rows in self._shared(waiting, processes):
            findings += [Finding(place, Leak(*leak)) for place, *leak in rows]
        findings = [Finding(self._shown(finding.place), finding.leak) for finding in findings]
        distinct = dict.fromkeys(findings)  # several shares of a table report one line
        return sorted(distinct, key=lambda finding: (finding.place, finding.leak.line))

    def _shown(self, place: str) -> str:
        """Return a place without the names of folders that are findings themselves."""
        parts = place.split("/")
        for number in range(1, len(parts) - 1):
            above = "/".join(parts[: number + 1])
            if not has_id_as_name(above) and self._scanner_of(above).name(parts[number]):
                return f"{'/'.join(parts[:number])}/ (below a name that is a finding)"
        return place

    def _shared(self, waiting: Sequence[_File | _Series], processes: int) -> Iterator[list[list[Any]]]:
        """Yield the findings in each share of the work, and add what the children recorded to the cache.

        A share whose child died or failed is searched in this process.
        """
        shares = _shares(waiting, processes)
        in_all = Progress(self._results.private, f"{_JOB}.all")
        in_all.add(*_size_of([piece for share in shares for piece in share]))
        in_all.note()
        if len(shares) == 1:
            yield self._read(shares[0])
            return
        answers: list[tuple[list[list[Any]], Notes] | None] = [None] * len(shares)

        def read_in_child(number: int) -> tuple[list[list[Any]], Notes]:
            self._cache.start_in_child()
            return self._read(shares[number], number), self._cache.notes()

        with closing(
            sandbox.each(read_in_child, [(number,) for number in range(len(shares))], len(shares))
        ) as finished:
            for (number,), future in finished:
                with suppress(NotExtracted):
                    answers[number] = future.result()
        for share, answer in zip(shares, answers, strict=True):
            if answer is None:
                yield self._read(share)
            else:
                yield answer[0]
                self._cache.merge(answer[1])

    def _read(self, waiting: Iterable[_File | _Series], number: int = 0) -> list[list[Any]]:
        """Return place, code, line and attribute of the findings in files and groups; `number` is that of the share."""
        findings: list[Finding] = []
        progress = Progress(self._results.private, f"{_JOB}.{number}")
        for item in waiting:
            progress.add(*_size_of([item]))
            findings += self._read_file(item) if isinstance(item, _File) else self._read_group(item)
        return [[found.place, found.leak.code, found.leak.line, found.leak.attribute] for found in findings]

    def _walk(self, processes: int) -> Iterator[Finding | _File | _Series]:
        """Yield the findings in names, and the files and groups of series that are new or changed."""
        for base, top, skipped in (
            (str(self._results.root), "results", "results/private"),
            (str(self._work / ".snakemake"), ".snakemake", ".snakemake/conda"),
        ):
            waiting = [top]
            while waiting:
                folder = waiting.pop()
                entries = _listed(base + folder[len(top) :], folder)
                if folder in PREFIXES:
                    series, entries = _series_and_others(entries)
                    yield from self._groups(folder, base + folder[len(top) :], series, processes)
                for entry in entries:
                    path = f"{folder}/{entry.name}"
                    if path == skipped:
                        continue
                    yield from self._search_name(path, entry)
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._search_xattrs(path, entry.path)
                    if entry.is_dir(follow_symlinks=path in FOLLOWED or folder in PREFIXES):  # or of one series
                        waiting.append(path)

    def _groups(self, top: str, images: str, series: Sequence[str], processes: int) -> Iterator[_Series]:
        """Yield the groups of series that are new or changed, of all series in order."""
        groups = by_group(series)
        clean = self._cache.clean_groups(PREFIXES[top], images, groups, processes)
        for name, ids in groups.items():
            if name not in clean:
                yield _Series(top, name, images, ids)

    def _search_name(self, place: str, entry: Entry) -> Iterator[Finding | _File]:
        """Yield the finding in a name or in the target of a link, else the file if it has to be read."""
        scanner = self._scanner_of(place)
        leak = None if has_id_as_name(place) else self._cache.name(place, entry.name, scanner)
        if leak:
            number = 1 + sorted(os.listdir(os.path.dirname(entry.path))).index(entry.name)
            yield Finding(f"{place.rpartition('/')[0]}/ (entry {number} by name)", leak)
        elif not entry.is_dir(follow_symlinks=False):
            try:
                status = os.lstat(entry.path)
                link = os.readlink(entry.path) if stat.S_ISLNK(status.st_mode) else ""
            except FileNotFoundError:
                return  # deleted since it was listed
            if leak := scanner.name(link) if link else None:
                yield Finding(place, leak)
            elif stat.S_ISREG(status.st_mode) and not self._cache.is_clean(place, status):
                yield _File(place, entry.path, status, bool(self._cache.blocks(place)))

    def _search_xattrs(self, place: str, path: str) -> list[Finding]:
        leak = search_xattrs(self._scanner_of(place), path)
        return [Finding(place, leak)] if leak else []

    def _read_group(self, group: _Series) -> list[Finding]:
        """Return the findings in the folders of a group of series.

        The names of volumes and pictures are not searched: they may look like a date.
        """
        folders = [_SeriesFolder(name, f"{group.folder}/{name}") for name in group.series]
        below: dict[str, list[RelativeEntry]] = {
            folder.name: [("", folder), *_below(folder.path, f"{group.top}/{folder.name}")] for folder in folders
        }
        counted = {
            name: sort_paths(self._paths_that_count(f"{group.top}/{name}", entries)) for name, entries in below.items()
        }
        searched = Group(counted, state_of(group.folder, counted))
        if self._cache.is_copied_group(PREFIXES[group.top] + group.name, searched):
            self._cache.add_group(PREFIXES[group.top] + group.name, searched)
            return []
        findings: list[Finding] = []
        for name, entries in below.items():
            for path, entry in entries:
                place = f"{group.top}/{name}{path}"
                findings += self._search_xattrs(place, entry.path)
                if VOLUME.fullmatch(place) and entry.is_dir(follow_symlinks=False):
                    continue
                if PICTURE.fullmatch(place) and entry.is_file(follow_symlinks=False):
                    if not is_bare_jpeg(entry.path):
                        picture = _File(place, entry.path, entry.stat(follow_symlinks=False), has_clean_blocks=False)
                        findings += self._read_file(picture, is_cached=False)
                    continue
                for item in self._search_name(place, entry):
                    findings += [item] if isinstance(item, Finding) else self._read_file(item, is_cached=False)
        if not findings:
            self._cache.add_group(PREFIXES[group.top] + group.name, searched)
        return findings

    def _paths_that_count(self, series: str, entries: Sequence[RelativeEntry]) -> Iterator[str]:
        """Yield the paths whose stats decide whether a series is unchanged; of skipped voxels only the folders.

        `series` is the place of its folder.
        """
        for path, entry in entries:
            if not self._skips_voxels or entry.is_dir(follow_symlinks=False) or not is_voxels(f"{series}{path}"):
                yield path

    def _read_file(self, file: _File, *, is_cached: bool = True) -> list[Finding]:
        """Search the content of a file; cache a clean one unless it is cached with its group."""
        scanner = self._scanner_of(file.place)
        try:
            leak, blocks = search_file(
                scanner,
                file.path,
                file.place,
                self._cache.blocks(file.place),
                file.share,
                with_voxels=not self._skips_voxels,
            )
        except FileNotFoundError:
            return []
        except PermissionError as error:
            raise _Unreadable(file.place, "read", error) from None
        if leak:
            return [Finding(file.place, leak)]
        if is_cached and (findings := self._search_xattrs(file.place, file.path)):
            return findings
        if is_cached and file.share == WHOLE:
            self._cache.add_file(file.place, file.status, blocks)
        elif is_cached:
            self._cache.add_share(file.place, file.status, blocks, file.share)
        return []

    def _scanner_of(self, place: str) -> Scanner:
        if place.startswith(EXECUTOR_PLACES):
            return self._scanners["executor"]
        if place.startswith(EXPORTS):
            return self._scanners["exports"]
        if place.startswith((LOGS, JOB_LOGS)):
            return self._scanners["log" if place.startswith(LOGS) else "job"]
        return self._scanners["snakemake" if place.startswith(SNAKEMAKE_PLACES) else "dataset"]


def _size_of(waiting: Sequence[_File | _Series]) -> tuple[int, int]:
    """Return how many files and series these are, and their cost in microseconds, for the progress of the job."""
    items = sum(len(item.series) if isinstance(item, _Series) else 1 for item in waiting)
    return items, round(1000 * sum(item.cost for item in waiting))


def _shares(waiting: Sequence[_File | _Series], processes: int) -> list[list[_File | _Series]]:
    """Return the work in shares of about equal cost, at most one for each process; a single share if it is little."""
    count = max(1, min(processes, int(sum(piece.cost for piece in waiting) / MIN_COST)))
    waiting = [part for piece in waiting for part in (piece.shared(count) if isinstance(piece, _File) else [piece])]
    shares: list[list[_File | _Series]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for piece in sorted(waiting, key=lambda piece: -piece.cost):
        cheapest = costs.index(min(costs))
        shares[cheapest].append(piece)
        costs[cheapest] += piece.cost
    return shares


class _Unreadable(Exception):
    """A file or folder cannot be read: its place, and what the system does not do."""

    def __init__(self, place: str, what: str, error: OSError) -> None:
        super().__init__()
        self.place, self.what, self.number = place, what, error.errno or 0


def _listed(folder: str, place: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder; none if it was deleted, or never made, or is that of the file system itself."""
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=attrgetter("name"))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if place in LOST_AND_FOUND and isinstance(error, PermissionError) and os.lstat(folder).st_uid == 0:
            return []
        raise _Unreadable(place, "listed", error) from None


def _series_and_others(entries: Sequence[os.DirEntry[str]]) -> tuple[list[str], list[os.DirEntry[str]]]:
    """Return the names of the folders of series, which are searched by group, and all other entries."""
    series: list[str] = []
    others: list[os.DirEntry[str]] = []
    for entry in entries:
        if is_series(entry):
            series.append(entry.name)
        else:
            others.append(entry)
    return series, others


def _below(top: str, place: str) -> Iterator[RelativeEntry]:
    """Yield all entries below a folder, at any depth, with their paths from there."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry in _listed(top + folder, place + folder):
            path = f"{folder}/{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)
