"""The header index: one line for each regular file of the inventory; only new and changed files are read.

Everything streams: the inventory and the cache are sorted by path and merged, so memory does not grow with the number
of files. All output lies in the private folder, readable by its owner alone.
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
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, NamedTuple

from dicomzarr.privacy.identifiers import IDENTIFIERS, Gatherer, IdentifierFile, identifiers_of_root
from dicomzarr.source.archives.bounds import FULL
from dicomzarr.source.inventory import read_roots, rows_of
from dicomzarr.source.object_store import NOT_REACHED, is_object_store
from dicomzarr.stages.index_headers import read_chunk
from dicomzarr.stages.index_headers.read_chunk import CHANGED, FAILED, Entry
from dicomzarr.system import sandbox
from dicomzarr.system.files import make_private, remove_tree, sync_folder
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.path_text import decode_path, encode_path
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import NotExtracted

HEADER_VERSION = 1  # raise it when a line of the index changes its form
DEATHS = 2  # of the child process that reads one file alone, before that file is quarantined
CHUNK = 256  # files that a child process reads in one call
_LINES = 4096  # lines that wait for an earlier one, for each chunk
_BUFFER = 1 << 20


@dataclass(frozen=True, slots=True)
class IndexCounts:
    """What one run of `index_headers` did.

    Attributes
    ----------
    files : int
        Lines of the index: regular files of the source.
    read, cached : int
        Files whose header was read, and files whose line came from the cache.
    outcomes : dict
        Number of files by ``outcome`` or ``outcome reason``.
    """

    files: int
    read: int
    cached: int
    outcomes: dict[str, int] = field(default_factory=dict)


def index_headers(
    inventory: Path,
    index: Path,
    cache: Path,
    processes: int,
    code: str = "",
    *,
    members: Path | None = None,
    trust: bool = True,
    largest_loss: float = 1.0,
) -> IndexCounts:
    """Write the header index of the files in an inventory.

    Parameters
    ----------
    inventory : Path
        JSON lines: an object with the roots, then an array for each entry of the source, sorted by path.
    index : Path
        The file to write: JSON lines, a `HeaderRow` for each regular file, in the order of the inventory.
    cache : Path
        Folder that persists from run to run: the last complete index, the lines that interrupted runs have read since,
        and the identifiers of all headers, for the privacy check. Without the identifiers every file is read again.
    processes : int
        Number of processes that read headers.
    code : str
        Digest of the code that reads headers: lines read by other code are not taken from the cache.
    members : Path, optional
        The rows of archives and of their members, which are read as files are.
    trust : bool
        Take the line of a file from the cache if its stat is the same; if false, read every file.
    largest_loss : float
        Largest share of all files that may be unreadable because the disk or the network failed; from 0 to 1.

    Returns
    -------
    IndexCounts

    Raises
    ------
    UserError
        If a larger share is unreadable: probably a mount is missing, and its files must not be quarantined.

    Notes
    -----
    A file whose stat differs from the inventory gets the outcome ``changed``: other files are extracted all the same,
    and `consolidate_dataset` ends the run. Lines of changed and of unreadable files are never taken from the cache.
    """
    make_private(index.parent)
    make_private(cache)
    identifiers = IdentifierFile(cache / IDENTIFIERS, code)
    state = _Cache(cache, code, identifiers.load() and trust)
    partial = index.with_name(f".{index.name}.partial")
    folders = read_roots(inventory)
    roots = {label: encode_path(root) for label, root in folders.items()}
    in_folders = [root for root in folders.values() if not is_object_store(root)]  # of a bucket every path has it
    identifiers.add([number for root in in_folders for number in identifiers_of_root(root)])
    with _create(partial) as out, state.journal() as journal, _Readers(roots, processes, identifiers) as readers:
        written = _Written(out, Progress(index.parent, "index_headers"))
        entries = _entries(rows_of(inventory, members), readers)
        for line, is_new in _rows(entries, state, readers):
            if is_new:
                journal.write(line.text)
            written.add(line, is_new=is_new)
        written.flush()
        os.fsync(out.fileno())
    identifiers.save()
    counts = written.counts()
    if readers.failed > largest_loss * counts.files:
        partial.unlink()
        raise UserError(
            f"config key 'source': {readers.failed} of {counts.files} files could not be read because the disk or the "
            "network failed (not for lack of permission); nothing was changed. Check the disk or the mount. To go on "
            "and quarantine these files, add: --config confirm_drop=true"
        )
    state.replace(partial, written.checksum)
    os.replace(partial, index)
    sync_folder(index.parent)
    return counts


def unreadable_paths(index: Path) -> tuple[str, ...]:
    """Return the paths of files that could not be read, or changed; once they can be read, the record is revoked.

    Of changes `consolidate_dataset` revokes it too, unless the run is killed before.

    Parameters
    ----------
    index : Path
        The header index.
    """
    with open(index, "rb") as lines:
        rows = [json.loads(line) for line in lines if any(mark in line for mark in _UNREAD)]
    return tuple(row["path"] for row in rows if row["reason"] == "unreadable_file" or row["outcome"] == CHANGED)


_UNREAD = (b',"reason":"unreadable_file",', b',"outcome":"%s",' % CHANGED.encode())


class _Line(NamedTuple):
    """A line of the index and what is asked of it, without parsing it."""

    path: str
    stat: str
    outcome: str
    reason: str
    text: str  # the whole line, with the newline at its end

    @property
    def must_be_read_again(self) -> bool:
        """Whether its file changed or was unreadable."""
        return self.outcome == CHANGED or self.reason == "unreadable_file"


class _Written:
    """The index while it is written, many lines at a time: their checksum, and their number by outcome."""

    def __init__(self, out: IO[str], progress: Progress) -> None:
        self.checksum = 0
        self._out, self._progress = out, progress
        self._waiting: list[str] = []
        self._new = 0
        self._outcomes: Counter[tuple[str, str]] = Counter()

    def add(self, line: _Line, *, is_new: bool) -> None:
        """Write a line, some time before `flush` ends."""
        self._waiting.append(line.text)
        self._new += is_new
        self._outcomes[line.outcome, line.reason] += 1
        if len(self._waiting) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait."""
        text = "".join(self._waiting)
        self.checksum = zlib.crc32(text.encode("ascii"), self.checksum)
        self._out.write(text)
        self._out.flush()
        self._progress.add(len(self._waiting), 0)
        self._waiting.clear()

    def counts(self) -> IndexCounts:
        """Return the counts of all lines."""
        files = self._outcomes.total()
        outcomes = {" ".join(filter(None, key)): self._outcomes[key] for key in sorted(self._outcomes)}
        return IndexCounts(files=files, read=self._new, cached=files - self._new, outcomes=outcomes)


def _entries(rows: Iterator[list[Any]], readers: _Readers) -> Iterator[Entry]:
    """Yield path and key of each regular file and member; names of archives, links and all else are gathered."""
    for row in rows:
        if row[1] == "file":
            yield row[0], (row[2], row[3], row[4], row[5])
        else:
            readers.gather(row[0])
    readers.gather_rest()


def _rows(entries: Iterator[Entry], state: _Cache, readers: _Readers) -> Iterator[tuple[_Line, bool]]:
    """Yield the line of each entry, in order, and whether it is new, that is not from the cache."""
    waiting: deque[tuple[list[_Line | None], Future[list[str]]]] = deque()
    slots: list[_Line | None] = []
    misses: list[Entry] = []
    for path, key in entries:
        cached = state.find(path, key)
        if cached is not None and not waiting and not misses:
            yield cached, False
            continue
        slots.append(cached)
        if cached is None:
            misses.append((path, key))
        if len(misses) >= CHUNK or len(slots) >= _LINES:
            waiting.append((slots, readers.read(misses)))
            slots, misses = [], []
            while waiting and (len(waiting) > readers.ahead or waiting[0][1].done()):
                yield from _in_order(*waiting.popleft())
    waiting.append((slots, readers.read(misses)))
    while waiting:
        yield from _in_order(*waiting.popleft())


def _in_order(slots: list[_Line | None], future: Future[list[str]]) -> Iterator[tuple[_Line, bool]]:
    """Yield cached lines, and new lines in place of None."""
    new_lines = iter(future.result())
    for cached in slots:
        yield (_line_of(next(new_lines) + "\n"), True) if cached is None else (cached, False)


# --- readers -----------------------------------------------------------------------------------------------------


class _Readers:
    """Reads chunks of files in child processes (`dicomzarr.system.sandbox`), one for each thread.

    If a child dies, the files of its chunk are read one by one; a file that kills its child again is quarantined.
    """

    def __init__(self, roots: Mapping[str, str], processes: int, identifiers: IdentifierFile) -> None:
        self.ahead = 3 * max(processes, 1)
        self._roots = roots
        self._identifiers = identifiers
        self._threads = ThreadPoolExecutor(max(processes, 1))
        self._lock = threading.Lock()
        self._closing = False
        self.failed = 0  # files that could not be read because the disk or the network failed
        self._names = Gatherer()  # of paths that are not read

    def __enter__(self) -> _Readers:
        if any(is_object_store(decode_path(root)) for root in self._roots.values()):
            from dicomzarr.source import object_door

            object_door.start()  # the children that are forked from now on share it
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._closing = True
        if kind is not None:
            sandbox.kill_all()
        self._threads.shutdown(wait=True, cancel_futures=True)
        sandbox.end_all()

    def gather(self, path: str) -> None:
        """Take the words of a path for identifiers, although what it names is not read."""
        self._names.add(read_chunk.below_source(self._roots, path), [])

    def gather_rest(self) -> None:
        """Store the identifiers of such paths."""
        with self._lock:
            self._identifiers.add(self._names.take())

    def read(self, entries: list[Entry]) -> Future[list[str]]:
        """Return the index lines of these files, in order, as a future."""
        if entries:
            return self._threads.submit(self._read_chunk, entries)
        no_lines: Future[list[str]] = Future()
        no_lines.set_result([])
        return no_lines

    def _read_chunk(self, entries: list[Entry]) -> list[str]:
        """Return the lines of a chunk; if the child process dies, read its files one by one."""
        try:
            return self._call(entries)
        except NotExtracted:
            return [self._read_one(entry) for entry in entries]

    def _read_one(self, entry: Entry) -> str:
        """Return the line of a file that is read in a call of its own; quarantined after `DEATHS` deaths."""
        reason = ""
        for _ in range(DEATHS):
            try:
                return self._call([entry])[0]
            except NotExtracted as error:
                reason = error.code
                if reason != "decoder_died":  # a death may have another cause: try again
                    break
        of_path = Gatherer()
        of_path.add(read_chunk.below_source(self._roots, entry[0]), [])
        with self._lock:
            self._identifiers.add(of_path.take())
        return read_chunk.quarantined(*entry, reason)

    def _call(self, entries: list[Entry]) -> list[str]:
        """Return the lines of some files, read in a child process."""
        if self._closing:
            raise CancelledError
        rows: list[str]
        fault = "unreadable_header"
        try:
            rows, hashes = sandbox.call(read_chunk.read_within_limits, self._roots, entries, fault=fault)
        except OSError as error:
            if error.errno in sandbox.DISK_FULL:
                raise UserError(FULL) from None
            raise
        with self._lock:
            self._identifiers.add(hashes)
        for number, row in enumerate(rows):
            if row == CHANGED:
                rows[number] = read_chunk.changed(*entries[number])
            elif row == FAILED:
                rows[number] = read_chunk.quarantined(*entries[number], "unreadable_file")
                if is_object_store(read_chunk.root_of(self._roots, entries[number][0])):
                    raise UserError(NOT_REACHED)
                with self._lock:
                    self.failed += 1
        return rows


# --- cache -------------------------------------------------------------------------------------------------------


class _Cache:
    """Lines of earlier runs, sorted by path: the last complete index, and the journals of interrupted runs.

    The names of the files contain the digest of the code and a checksum, so that neither is separated from the content.
    """

    def __init__(self, folder: Path, code: str, trust: bool) -> None:
        self._folder = folder
        self._tag = hashlib.sha256(f"{HEADER_VERSION} {code}".encode()).hexdigest()[:16]
        complete = [path for path in sorted(folder.glob(f"{_PREFIX}{self._tag}-*.jsonl")) if _is_sound(path)]
        # Lines and identifiers of an interrupted run are not flushed in a fixed order: after a crash of the machine
        # either may be missing, and the privacy check would miss a file without identifiers. So a journal counts
        # only until the next boot.
        self._journal_tag = f"{self._tag}-{_boot_id()}"
        self._journals = sorted(folder.glob(f"{_PREFIX}{self._journal_tag}-*.partial"))
        streams = [_complete_lines(path) for path in complete[:1]] + [_journal_lines(path) for path in self._journals]
        streams = streams if trust else []
        # To merge one stream with none takes longer than to read it.
        self._lines = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=attrgetter("path"))
        self._head = next(self._lines, None)

    def find(self, path: str, key: tuple[int, int, int, int]) -> _Line | None:
        """Return the cached line of a file with this path and stat, or None; paths must be asked for in order."""
        head = self._head
        while head is not None and head.path < path:
            head = next(self._lines, None)
        line = None
        if head is not None and head.path == path:
            stat = f"{key[0]},{key[1]},{key[2]},{key[3]}"
            while head is not None and head.path == path:
                if head.stat == stat and not head.must_be_read_again:
                    line = head
                head = next(self._lines, None)
        self._head = head
        return line

    def journal(self) -> IO[str]:
        """Open the journal of the lines that this run reads; a later run uses it if this one is interrupted."""
        number = 1 + max((int(path.stem.rpartition("-")[2]) for path in self._journals), default=0)
        return _create(self._folder / f"{_PREFIX}{self._journal_tag}-{number:06d}.partial", buffering=1 << 16)

    def replace(self, index: Path, checksum: int) -> None:
        """Cache a complete index, and remove everything older."""
        target = self._folder / f"{_PREFIX}{self._tag}-{checksum:08x}.jsonl"
        beside = target.with_suffix(".new")
        remove_tree(beside)
        remove_tree(target)
        try:
            os.link(index, beside)
        except OSError:  # a file system without hard links
            with open(index, encoding="ascii", newline="\n") as source, _create(beside) as copy:
                shutil.copyfileobj(source, copy, _BUFFER)
        os.replace(beside, target)
        for path in self._folder.glob(f"{_PREFIX}*"):
            if path != target:
                remove_tree(path)
        sync_folder(self._folder)


_PREFIX = "headers-"  # of the names of cached files: the folder also holds other files
_NAME = re.compile(_PREFIX + r"[0-9a-f]{16}-([0-9a-f]{8})\.jsonl")


def _boot_id() -> str:
    """Return the first digits of the boot id of the machine; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return ""


def _is_sound(path: Path) -> bool:
    """Return whether the content has the checksum that the name contains."""
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


def _complete_lines(path: Path) -> Iterator[_Line]:
    """Yield the lines of a complete index."""
    with open(path, encoding="ascii", newline="\n", buffering=_BUFFER) as lines:
        yield from map(_line_of, lines)


def _journal_lines(path: Path) -> Iterator[_Line]:
    """Yield the lines of a journal up to the first one that is incomplete or damaged."""
    with open(path, encoding="ascii", errors="replace", newline="\n", buffering=_BUFFER) as lines:
        for text in lines:
            try:
                row = json.loads(text)
                line = _line_of(text)
                if not text.endswith("\n") or row["path"] != line.path or not text.startswith('{"facts":{'):
                    return
            except (ValueError, KeyError, TypeError):
                return
            yield line


def _line_of(text: str) -> _Line:
    """Return a line and its parts. Keys are sorted, so that these parts are at its end.

    The markers cannot occur inside a JSON string, where a quotation mark has a backslash before it.
    """
    before_path = text.rindex(',"path":"')
    outcome = text.rindex(',"outcome":"', 0, before_path) + 12
    start = before_path + 9
    end = text.index('","reason":"', start)
    stat = text.index('","stat":[', end)
    path = text[start:end]
    if "\\" in path:
        path = json.loads(f'"{path}"')
    return _Line(
        path, text[stat + 10 : text.index("]", stat)], text[outcome : before_path - 1], text[end + 12 : stat], text
    )


# --- files -------------------------------------------------------------------------------------------------------


def _create(path: Path, buffering: int = _BUFFER) -> IO[str]:
    """Create a file that its owner alone can read, whatever the umask."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    return open(fd, "w", encoding="ascii", newline="\n", buffering=buffering)
