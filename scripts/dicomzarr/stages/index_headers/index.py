"""The header index: one line for each regular file of the inventory, read anew only where the file changed.

Everything streams: the inventory and the cache are sorted by path and merged, so memory does not grow with the number
of files. What is written lies in the private tree, readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import re
import shutil
import threading
import zlib
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import orjson

from dicomzarr.privacy.identifiers import IDENTIFIERS, Gatherer, IdentifierFile
from dicomzarr.stages.index_headers import read_chunk as header_worker
from dicomzarr.stages.index_headers.read_chunk import CHANGED, FAILED, Entry
from dicomzarr.system import sandbox
from dicomzarr.system.files import make_private, remove_tree, sync_folder
from dicomzarr.system.heartbeat import Progress
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import SetAside

HEADER_VERSION = 1  # raise it when a line of the index changes its form
DEATHS = 2  # of a process that reads one file alone, before that file is set aside
CHUNK = 256  # files that a process gets at once
_LINES = 4096  # lines held back for order, for each chunk
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """What one indexing did.

    Attributes
    ----------
    files : int
        Lines of the index: regular files of the source.
    read, kept : int
        Files whose header was read, and files whose line came from the cache.
    outcomes : dict
        Number of files by ``outcome`` or ``outcome reason``.
    """

    files: int
    read: int
    kept: int
    outcomes: dict[str, int] = field(default_factory=dict)


def index_headers(
    inventory: Path,
    index: Path,
    cache: Path,
    processes: int,
    code: str = "",
    *,
    trust: bool = True,
    largest_loss: float = 1.0,
) -> IndexCounts:
    """Write the header index of the files in an inventory.

    Parameters
    ----------
    inventory : Path
        JSON lines: an object with the roots, then an array for each entry of the source, sorted by path.
    index : Path
        To be written: JSON lines, a `HeaderRow` for each regular file, in the order of the inventory.
    cache : Path
        Folder of the state that outlives a run: the last whole index, what interrupted runs have read since, and the
        identifiers of all that was read, for the search for leaks. Where those are lost every file is read again.
    processes : int
        Processes that read headers.
    code : str
        Digest of the code that reads headers: lines read by other code are not taken from the cache.
    trust : bool
        Take the line of a file whose stat is the same from the cache; else read every file.
    largest_loss : float
        Share of all files that the disk or the network may fail to give.

    Raises
    ------
    UserError
        If it fails to give more: what lies on a mount that went away is not to be set aside.

    Notes
    -----
    A file that is no longer what the inventory says has an outcome of its own, ``changed``: its neighbours are
    extracted all the same, and consolidation ends the run. Its line, and that of a file that could not be read, is not
    taken from the cache again.
    """
    make_private(index.parent)
    make_private(cache)
    gathered = IdentifierFile(cache / IDENTIFIERS, code)
    state = _Cache(cache, code, gathered.load() and trust)
    beside = index.with_name(f".{index.name}.partial")
    with open(inventory, encoding="utf-8", newline="\n") as lines:
        roots = json.loads(lines.readline())["roots"]
        with _create(beside) as out, state.record() as record, _Readers(roots, processes, gathered) as readers:
            tally, progress = _Tally(), Progress(index.parent, "index_headers")
            for row, is_new in _rows(_entries(lines), state, readers):
                line = row if row.endswith("\n") else row + "\n"  # those of the cache have it
                if is_new:
                    record.write(line)
                out.write(line)
                tally.add(line, is_new)
                progress.add(1, 0)
            out.flush()
            os.fsync(out.fileno())
    gathered.save()
    counts = tally.counts()
    if readers.failed > largest_loss * counts.files:
        beside.unlink()
        raise UserError(
            f"config key 'source': {readers.failed} of {counts.files} files could not be read, and not for want of "
            "permission; nothing was changed. Is the disk or the mount whole? If the files are to be set aside, add: "
            "--config confirm_drop=true"
        )
    state.replace(beside, tally.checksum)
    os.replace(beside, index)
    sync_folder(index.parent)
    return counts


class _Tally:
    """Counts lines and sums them up as they pass."""

    def __init__(self) -> None:
        self.checksum = 0
        self._new = 0
        self._outcomes: Counter[tuple[str, str]] = Counter()

    def add(self, line: str, is_new: bool) -> None:
        self.checksum = zlib.crc32(line.encode("ascii"), self.checksum)
        self._new += is_new
        outcome = line.rfind(',"outcome":"') + 12
        reason = line.rfind(',"reason":"') + 11
        self._outcomes[line[outcome : line.index('"', outcome)], line[reason : line.index('"', reason)]] += 1

    def counts(self) -> IndexCounts:
        files = self._outcomes.total()
        outcomes = {" ".join(filter(None, key)): self._outcomes[key] for key in sorted(self._outcomes)}
        return IndexCounts(files=files, read=self._new, kept=files - self._new, outcomes=outcomes)


def _entries(lines: IO[str]) -> Iterator[Entry]:
    for line in lines:
        row = orjson.loads(line)
        if row[1] == "file":
            yield row[0], (row[2], row[3], row[4], row[5])


def _rows(entries: Iterator[Entry], state: _Cache, readers: _Readers) -> Iterator[tuple[str, bool]]:
    """Yield a line for each entry, in order, and whether it was read just now."""
    waiting: deque[tuple[list[str | None], Future[list[str]]]] = deque()
    slots: list[str | None] = []
    misses: list[Entry] = []
    for path, key in entries:
        known = state.find(path, key)
        if known is not None and not waiting and not misses:
            yield known, False
            continue
        slots.append(known)
        if known is None:
            misses.append((path, key))
        if len(misses) >= CHUNK or len(slots) >= _LINES:
            waiting.append((slots, readers.read(misses)))
            slots, misses = [], []
            while waiting and (len(waiting) > readers.ahead or waiting[0][1].done()):
                yield from _filled(*waiting.popleft())
    waiting.append((slots, readers.read(misses)))
    while waiting:
        yield from _filled(*waiting.popleft())


def _filled(slots: list[str | None], future: Future[list[str]]) -> Iterator[tuple[str, bool]]:
    fresh = iter(future.result())
    for slot in slots:
        yield (next(fresh), True) if slot is None else (slot, False)


# --- readers -----------------------------------------------------------------------------------------------------


class _Readers:
    """Reads chunks of files in children of `isolation`, each of which answers a thread of its own.

    Where a child dies its chunk is read again, each file alone: the one that kills is set aside.
    """

    def __init__(self, roots: Mapping[str, str], processes: int, gathered: IdentifierFile) -> None:
        self.ahead = 3 * max(processes, 1)
        self._roots = roots
        self._gathered = gathered
        self._threads = ThreadPoolExecutor(max(processes, 1))
        self._lock = threading.Lock()
        self._closing = False
        self.failed = 0  # files that the disk or the network did not give

    def __enter__(self) -> _Readers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._closing = True
        if kind is not None:
            sandbox.kill_all()
        self._threads.shutdown(wait=True, cancel_futures=True)
        sandbox.end_all()

    def read(self, entries: list[Entry]) -> Future[list[str]]:
        """Return the lines of these files, in order, as a future."""
        if entries:
            return self._threads.submit(self._each, entries)
        nothing: Future[list[str]] = Future()
        nothing.set_result([])
        return nothing

    def _each(self, entries: list[Entry]) -> list[str]:
        """Return the lines of a chunk; where its process dies, of each file alone; what kills it again is set aside."""
        try:
            return self._ask(entries)
        except SetAside:
            return [self._alone(entry) for entry in entries]

    def _alone(self, entry: Entry) -> str:
        reason = ""
        for _ in range(DEATHS):
            try:
                return self._ask([entry])[0]
            except SetAside as error:
                reason = error.code
                if reason != "decoder_died":  # a death may have had other causes
                    break
        path = Gatherer()
        path.add(header_worker.below_source(self._roots, entry[0]), [])
        with self._lock:
            self._gathered.add(path.take())
        return header_worker.quarantined(*entry, reason)

    def _ask(self, entries: list[Entry]) -> list[str]:
        if self._closing:
            raise CancelledError
        rows: list[str]
        fault = "unreadable_header"
        rows, identifiers = sandbox.call(header_worker.read_within_limits, self._roots, entries, fault=fault)
        with self._lock:
            self._gathered.add(identifiers)
        for number, row in enumerate(rows):
            if row == CHANGED:
                rows[number] = header_worker.changed(*entries[number])
            elif row == FAILED:
                rows[number] = header_worker.quarantined(*entries[number], "unreadable_file")
                with self._lock:
                    self.failed += 1
        return rows


# --- cache -------------------------------------------------------------------------------------------------------


class _Cache:
    """Lines read earlier, in order of path: the last whole index, and the records of runs that were interrupted.

    The digest of the code and a checksum stand in the names of the files, so that neither can part from the content.
    """

    def __init__(self, folder: Path, code: str, trust: bool) -> None:
        self._folder = folder
        self._tag = hashlib.sha256(f"{HEADER_VERSION} {code}".encode()).hexdigest()[:16]
        wholes = [path for path in sorted(folder.glob(f"{_OURS}{self._tag}-*.jsonl")) if _is_sound(path)]
        # Lines and identifiers of an interrupted run are not flushed one before the other: after a crash of the whole
        # machine either may be missing, and a file without its identifiers would escape the search for leaks.
        self._tag_of_records = f"{self._tag}-{_boot()}"
        self._records = sorted(folder.glob(f"{_OURS}{self._tag_of_records}-*.partial"))
        streams = [_whole_lines(path) for path in wholes[:1]] + [_recorded_lines(path) for path in self._records]
        streams = streams if trust else []
        self._lines = heapq.merge(*streams, key=lambda item: item[0])
        self._head = next(self._lines, None)

    def find(self, path: str, key: tuple[int, int, int, int]) -> str | None:
        """Return the line of a file whose stat is the same; paths are to be asked for in order."""
        while self._head is not None and self._head[0] < path:
            self._head = next(self._lines, None)
        found = None
        if self._head is not None and self._head[0] == path:
            wanted = f"{key[0]},{key[1]},{key[2]},{key[3]}"
            while self._head is not None and self._head[0] == path:
                if self._head[1] == wanted and not _is_open(self._head[2]):
                    found = self._head[2]
                self._head = next(self._lines, None)
        return found

    def record(self) -> IO[str]:
        """Open the record of what this run reads, which a later run takes up if this one is interrupted."""
        number = 1 + max((int(path.stem.rpartition("-")[2]) for path in self._records), default=0)
        return _create(self._folder / f"{_OURS}{self._tag_of_records}-{number:06d}.partial", buffering=1 << 16)

    def replace(self, whole: Path, checksum: int) -> None:
        """Take over a whole index, and drop everything older."""
        target = self._folder / f"{_OURS}{self._tag}-{checksum:08x}.jsonl"
        beside = target.with_suffix(".new")
        remove_tree(beside)
        remove_tree(target)
        try:
            os.link(whole, beside)
        except OSError:  # a file system without hard links
            with open(whole, encoding="ascii", newline="\n") as source, _create(beside) as copy:
                shutil.copyfileobj(source, copy, _BUFFER)
        os.replace(beside, target)
        for path in self._folder.glob(f"{_OURS}*"):
            if path != target:
                remove_tree(path)
        sync_folder(self._folder)


_OURS = "headers-"  # others may keep something in the same folder
_NAME = re.compile(_OURS + r"[0-9a-f]{16}-([0-9a-f]{8})\.jsonl")


def _boot() -> str:
    """Return what is another word after each start of the machine, or nothing where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def _is_open(line: str) -> bool:
    """Return whether a line says that its file is to be looked at again."""
    return line.find(f',"outcome":"{CHANGED}",') >= 0 or line.find(',"reason":"unreadable_file",') >= 0


def _is_sound(path: Path) -> bool:
    """Whether the content has the checksum of the name."""
    name = _NAME.fullmatch(path.name)
    if name is None:
        return False
    checksum = 0
    try:
        with open(path, "rb") as source:
            while block := source.read(_BUFFER):
                checksum = zlib.crc32(block, checksum)
    except OSError:
        return False
    return checksum == int(name[1], 16)


def _whole_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    with open(path, encoding="ascii", newline="\n", buffering=_BUFFER) as lines:
        for line in lines:
            yield _key_of(line)


def _recorded_lines(path: Path) -> Iterator[tuple[str, str, str]]:
    """Yield the lines of a record up to the first that is torn or damaged."""
    with open(path, encoding="ascii", errors="replace", newline="\n", buffering=_BUFFER) as lines:
        for line in lines:
            try:
                row = json.loads(line)
                key = _key_of(line)
                if not line.endswith("\n") or row["path"] != key[0] or not line.startswith('{"facts":{'):
                    return
            except (ValueError, KeyError, TypeError):
                return
            yield key


def _key_of(line: str) -> tuple[str, str, str]:
    """Return path, stat and line. Keys are sorted, so path and stat stand at the end; parsing the line would cost more.

    The marks cannot stand inside a JSON string, where a quotation mark has a backslash before it.
    """
    start = line.rfind(',"path":"') + 9
    end = line.index('","reason":"', start)
    stat = line.index('"stat":[', end) + 8
    path = line[start:end]
    if "\\" in path:
        path = json.loads(f'"{path}"')
    return path, line[stat : line.index("]", stat)], line


# --- files -------------------------------------------------------------------------------------------------------


def _create(path: Path, buffering: int = _BUFFER) -> IO[str]:
    """Open a new file for its owner alone, whatever the umask."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return open(fd, "w", encoding="ascii", newline="\n", buffering=buffering)
