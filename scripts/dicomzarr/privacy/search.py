"""Where the search for leaks looks: every name and every file outside `private/` that is new or changed.

Names are searched while the folders are listed. What has to be read is gathered first, so that processes can share it.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from dicomzarr.privacy import export_readers
from dicomzarr.privacy.identifiers import LEAST
from dicomzarr.privacy.scanner import LEAST_IN_PIXELS, Leak, Scanner
from dicomzarr.privacy.search_cache import GROUP_DIGITS, Group, Memory, in_order, state_of
from dicomzarr.privacy.table_blocks import NoTable, search_table
from dicomzarr.system import sandbox
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.reasons import SetAside

SNAKEMAKES = (".snakemake/", "results/benchmarks/")  # what Snakemake writes, in words of its own
_RECORDS = ".snakemake/metadata/"  # JSON, whatever the names say; much of it is the same for every job
WORTH_IT = 200.0  # milliseconds of work for one more process
_LARGEST = 256 << 20  # bytes of a file that are looked at in one piece
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Finding:
    """A leak and its place: a path below the results or the working folder, without the part that gives it away."""

    place: str
    leak: Leak

    def __str__(self) -> str:
        line = f", line {self.leak.line}" if self.leak.line else ""
        return f"{self.leak.code} in {self.place}{line}"


Found: TypeAlias = Iterator[Finding]
Placed: TypeAlias = tuple[str, os.DirEntry[str]]  # what lies below a folder, with its path from there


@dataclass(frozen=True, slots=True)
class _File:
    """A file to be searched, and its stat before; most of a table may be known."""

    shown: str
    path: str
    status: os.stat_result
    is_known: bool

    @property
    def cost(self) -> float:
        """Milliseconds, about: texts that come again are searched once."""
        is_json = self.shown.endswith((".json", ".jsonl")) or self.shown.startswith(_RECORDS)
        return self.status.st_size * (1e-5 if self.is_known else 3e-4 if is_json else 1e-3)


@dataclass(frozen=True, slots=True)
class _Series:
    """A group of series to be searched: folders of the images by name."""

    name: str
    entries: Sequence[os.DirEntry[str]]

    @property
    def cost(self) -> float:
        """Milliseconds, about."""
        return float(len(self.entries))


class Search:
    """A search over a results folder.

    Parameters
    ----------
    scanners : mapping of str to Scanner
        ``dataset``, and ``snakemake`` for what that writes.
    results : Results
    work : Path
        The folder in which Snakemake runs.
    level : str
        ``standard``, or ``full`` to search decompressed pixels as well.
    memory : Memory
    """

    def __init__(
        self, scanners: Mapping[str, Scanner], results: Results, work: Path, level: str, memory: Memory
    ) -> None:
        self._scanners, self._memory = scanners, memory
        self._results, self._work = results, work
        self._unread = level != "full"

    def run(self, processes: int) -> list[Finding]:
        """Return the findings in all files and folders of the results and of `.snakemake/`, by place."""
        found: list[Finding] = []
        waiting: list[_File | _Series] = []
        for one in self._walk():
            if isinstance(one, Finding):
                found.append(one)
            else:
                waiting.append(one)
        for places in self._shared(waiting, processes):
            found += [Finding(place, Leak(code, line)) for place, code, line in places]
        return sorted(found, key=lambda finding: (finding.place, finding.leak.line))

    def _shared(self, waiting: Sequence[_File | _Series], processes: int) -> Iterator[list[list[Any]]]:
        """Yield the findings in each share of what waits; this process remembers what the children found clean.

        A share whose child died, or failed, is searched here, so that nothing is left out.
        """
        shares = _shares(waiting, processes)
        if len(shares) == 1:
            yield self._read(shares[0])
            return
        answers: list[Any] = [None] * len(shares)

        def read_apart(number: int) -> tuple[list[list[Any]], Any]:
            self._memory.begin_apart()
            return self._read(shares[number]), self._memory.told()

        with closing(sandbox.each(read_apart, [(number,) for number in range(len(shares))], len(shares))) as done:
            for (number,), answer in done:
                with suppress(SetAside):
                    answers[number] = answer.result()
        for share, answer in zip(shares, answers, strict=True):
            if answer is None:
                yield self._read(share)
            else:
                yield answer[0]
                self._memory.take(answer[1])

    def _read(self, waiting: Iterable[_File | _Series]) -> list[list[Any]]:
        """Return place, code and line of the findings in what waits."""
        found: list[Finding] = []
        for one in waiting:
            found += self._read_file(one) if isinstance(one, _File) else self._read_group(one)
        return [[finding.place, finding.leak.code, finding.leak.line] for finding in found]

    def _walk(self) -> Iterator[Finding | _File | _Series]:
        """Yield the findings in names, and what of the rest is new or changed."""
        for base, shown, without in (
            (str(self._results.root), "results", "results/private"),
            (str(self._work / ".snakemake"), ".snakemake", ".snakemake/conda"),
        ):
            waiting = [shown]
            while waiting:
                folder = waiting.pop()
                for entry in _listed(base + folder[len(shown) :]):
                    path = f"{folder}/{entry.name}"
                    if path == without:
                        continue
                    is_folder = entry.is_dir(follow_symlinks=False)
                    if folder == _IMAGES and is_folder and _SERIES.fullmatch(entry.name):
                        continue  # with its group
                    yield from self._look_at(path, entry)
                    if is_folder:
                        waiting.append(path)
                    if path == _IMAGES and is_folder:
                        yield from self._groups(entry.path)

    def _groups(self, images: str) -> Iterator[_Series]:
        """Yield the groups of series in which something is not as when it was found clean."""
        groups: dict[str, list[os.DirEntry[str]]] = {}
        for entry in _listed(images):
            if _SERIES.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                groups.setdefault(entry.name[:GROUP_DIGITS], []).append(entry)
        for name, series in groups.items():
            if not self._memory.knows_group(name, images, [entry.name for entry in series]):
                yield _Series(name, series)

    def _look_at(self, shown: str, entry: os.DirEntry[str]) -> Iterator[Finding | _File]:
        """Yield what a name, or where a link leads, gives away; else the file, if it is to be read."""
        scanner = self._scanner_of(shown)
        leak = self._memory.name(entry.name, scanner)
        if leak:
            number = 1 + sorted(os.listdir(os.path.dirname(entry.path))).index(entry.name)
            yield Finding(f"{shown.rpartition('/')[0]}/ (entry {number} by name)", leak)
        elif not entry.is_dir(follow_symlinks=False):
            try:
                status = os.lstat(entry.path)
                link = os.readlink(entry.path) if stat.S_ISLNK(status.st_mode) else ""
            except FileNotFoundError:
                return  # it went while we looked
            if leak := scanner.name(link) if link else None:
                yield Finding(shown, leak)
            elif stat.S_ISREG(status.st_mode) and not self._memory.knows(shown, status):
                yield _File(shown, entry.path, status, bool(self._memory.blocks(shown)))

    def _read_group(self, group: _Series) -> list[Finding]:
        """Return the findings in the folders of series; the ids of volumes alone may look like a date."""
        below = {series.name: [("", series), *_below(series.path)] for series in group.entries}
        counted = {name: in_order(self._counted(name, entries)) for name, entries in below.items()}
        images = os.path.dirname(group.entries[0].path)
        state = state_of(images, counted)
        found: list[Finding] = []
        for name, entries in below.items():
            for path, entry in entries:
                shown = f"{_IMAGES}/{name}{path}"
                if _VOLUME.fullmatch(shown) and entry.is_dir(follow_symlinks=False):
                    continue
                for one in self._look_at(shown, entry):
                    found += [one] if isinstance(one, Finding) else self._read_file(one, keep=False)
        if not found:
            self._memory.keep_group(group.name, Group(counted, state))
        return found

    def _counted(self, series: str, found: Sequence[Placed]) -> Iterator[str]:
        """Yield what of a series is to be as it was: a file of voxels that is not read counts by its folder."""
        for path, entry in found:
            if not self._unread or entry.is_dir(follow_symlinks=False) or not _is_payload(f"{_IMAGES}/{series}{path}"):
                yield path

    def _read_file(self, file: _File, *, keep: bool = True) -> list[Finding]:
        """Return what the content of a file gives away."""
        scanner, path, name = self._scanner_of(file.shown), file.path, os.path.basename(file.path)
        leak, blocks = None, None
        try:
            if read := export_readers.reader_of(file.shown):
                leak = search_parts(scanner, read(Path(path), not self._unread))
            elif name.endswith(".csv"):
                leak, blocks = _search_rows(scanner, path, self._memory.blocks(file.shown))
            elif not _is_payload(file.shown):
                leak = search_content(scanner, path, "record.json" if file.shown.startswith(_RECORDS) else name)
            elif not self._unread:
                leak = _search_pixels(scanner, path)
        except FileNotFoundError:
            return []
        if leak:
            return [Finding(file.shown, leak)]
        if keep:
            self._memory.keep(file.shown, file.status, blocks)
        return []

    def _scanner_of(self, shown: str) -> Scanner:
        return self._scanners["snakemake" if shown.startswith(SNAKEMAKES) else "dataset"]


def _shares(waiting: Sequence[_File | _Series], processes: int) -> list[list[_File | _Series]]:
    """Return what waits in parts of about equal cost, for so many processes at the most; one where it is little."""
    count = max(1, min(processes, int(sum(piece.cost for piece in waiting) / WORTH_IT)))
    shares: list[list[_File | _Series]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for piece in sorted(waiting, key=lambda piece: -piece.cost):
        least = costs.index(min(costs))
        shares[least].append(piece)
        costs[least] += piece.cost
    return shares


def _listed(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as listing:
            return sorted(listing, key=_name_of)
    except OSError:
        return []


def _name_of(entry: os.DirEntry[str]) -> str:
    return entry.name


def _below(home: str) -> Iterator[Placed]:
    """Yield all that lies below a folder, with its path from there."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        for entry in _listed(home + below):
            path = f"{below}/{entry.name}"
            yield path, entry
            if entry.is_dir(follow_symlinks=False):
                waiting.append(path)


def _is_payload(shown: str) -> bool:
    """Whether a file holds nothing but compressed voxels, each of which is proven equal to a decoded one."""
    return bool(_PAYLOAD.fullmatch(shown))


_IMAGES = "results/dataset/images.zarr"
_SERIES = re.compile(r"[0-9a-f]{16}")
_VOLUME = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}")
# Series, volume, array, and the chunk's place in it: no other file of a store is one.
_PAYLOAD = re.compile(r"results/dataset/images\.zarr/[0-9a-f]{16}/[0-9a-f]{8}/\w+/c(/\d+)*")


def _search_rows(scanner: Scanner, path: str, known: frozenset[str]) -> tuple[Leak | None, list[str] | None]:
    """Search the rows of a table that are new or changed; where one gives something away, all, to tell its line."""
    try:
        found, blocks = search_table(scanner, Path(path), known)
    except NoTable:
        return search_content(scanner, path, os.path.basename(path)), None
    if found:
        return search_content(scanner, path, os.path.basename(path)) or Leak("value_in_file"), None
    return None, blocks


def search_content(scanner: Scanner, path: str, name: str) -> Leak | None:
    """Search a file as it is."""
    with open(os.open(path, _OPEN), "rb") as stream:
        while data := stream.read(_LARGEST):
            if leak := scanner.content(data, name):
                return leak
    return None


def search_parts(scanner: Scanner, parts: Iterator[export_readers.Part]) -> Leak | None:
    """Search an exported file; its voxels as those of the arrays, where that is asked for."""
    for part in parts:
        for start in range(0, len(part.data), _LARGEST):
            data = part.data[start : start + _LARGEST]
            if leak := scanner.content(data, "", LEAST_IN_PIXELS if part.voxels else LEAST):
                return Leak(leak.code)  # lines of a binary file say nothing
    return None


def _search_pixels(scanner: Scanner, path: str) -> Leak | None:
    """Search the voxels of the array that a shard belongs to, chunk by chunk."""
    import zarr

    parts = Path(path).parts
    depth = len(parts) - 1 - parts[::-1].index("c")
    array: Any = zarr.open_array(str(Path(*parts[:depth])), mode="r")
    sizes = array.shards or array.chunks
    starts = [int(part) * size for part, size in zip(parts[depth + 1 :], sizes, strict=True)]
    ends = [min(start + size, whole) for start, size, whole in zip(starts, sizes, array.shape, strict=True)]
    first, *rest = map(range, starts, ends)
    for begin in first[:: array.chunks[0]]:
        region = (slice(begin, min(begin + array.chunks[0], first.stop)), *(slice(one.start, one.stop) for one in rest))
        if leak := scanner.content(array[region].tobytes(), "", LEAST_IN_PIXELS):
            return leak
    return None
