"""The manifest: the paths of all regular files of the source, and of the members of its archives."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError, Future
from pathlib import Path

from dicomzarr.source.archives import bounds, names, tar_cache
from dicomzarr.source.archives.keys import UNLISTED, fingerprint
from dicomzarr.source.archives.listing import CHANGED, UNREADABLE, in_answer, list_archive
from dicomzarr.source.archives.listing_cache import Listing, ListingCache
from dicomzarr.source.inventory import ARCHIVE, NOT_FILES, read_roots, rows_of
from dicomzarr.source.object_store import NOT_REACHED, UNREACHABLE, is_object_store
from dicomzarr.source.row import StatKey
from dicomzarr.system import csv_tables, files, json_files, sandbox
from dicomzarr.system.heartbeat import Progress
from dicomzarr.system.thread_pool import ThreadPool
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.reasons import REASONS, NotExtracted

LISTINGS = "archives.jsonl"  # in private/cache/
_TRIES = 2  # to list an archive
_TOO_LARGE = "too_large"
_AHEAD = 4  # archives for each process that are listed ahead

# The name of the count of each kind. Written out: what the workflow writes are words of its own code.
_COUNTS = {
    "link": "links",
    "linked": "linkeds",
    "special": "specials",
    "unreadable_file": "unreadable_files",
    "unreadable_folder": "unreadable_folders",
    "object_name": "object_names",
}
assert _COUNTS.keys() == NOT_FILES.keys()

_Archive = tuple[str, StatKey]


@dataclasses.dataclass(slots=True)
class Discovered:
    """What the rule found.

    Attributes
    ----------
    counts : dict of str to int
        Number of entries of each kind, and of members of archives, if there are any.
    listed, known : int
        Archives that were opened, and those that did not change since an earlier run.
    unreadable : list of str
        Paths of archives that could not be read, or changed: the next run lists them again once they can be read.
    """

    counts: dict[str, int]
    listed: int = 0
    known: int = 0
    unreadable: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True, slots=True)
class Outputs:
    """The files to write.

    Attributes
    ----------
    manifest : Path
        The table of all files.
    members : Path
        The rows of archives and members, sorted by path as the inventory is; empty if no archive is opened.
    archives : Path
        The table of archives.
    """

    manifest: Path
    members: Path
    archives: Path


def write_manifest(
    inventory: Path,
    outputs: Outputs,
    cache: Path,
    *,
    is_read: bool = True,
    processes: int = 1,
    tag: str = "",
    trust: bool = True,
    largest_loss: float = 1.0,
) -> Discovered:
    """Write `manifest.csv`, and the members of archives.

    Parameters
    ----------
    inventory : Path
        The listing of the source.
    outputs : Outputs
    cache : Path
        Folder of the listings of earlier runs.
    is_read : bool
        If false, no archive is opened.
    processes : int
        Archives that are listed at once.
    tag : str
        Digest of what decides how archives are listed.
    trust : bool
        Take the listing of an archive from an earlier run if its key is the same; if false, list every archive.
    largest_loss : float
        Largest share of the archives that may be unreadable because the disk or the network failed; from 0 to 1.

    Returns
    -------
    Discovered

    Raises
    ------
    UserError
        If a larger share is unreadable, or the disk of the results is full.
    """
    kinds: Counter[str] = Counter()
    archives: list[_Archive] = []

    def lines() -> Iterator[str]:
        for row in rows_of(inventory):
            kinds[row[1]] += 1
            if row[1] == "file":
                if row[0][-2:] in _ENDS and names.kind_by_name(row[0]):
                    archives.append((row[0], (row[2], row[3], row[4], row[5])))
                yield csv_tables.line(row[:1])

    csv_tables.write(outputs.manifest, csv_tables.MANIFEST, lines(), private=True)
    result = Discovered({"files": kinds["file"], **{name: kinds[kind] for kind, name in _COUNTS.items()}})
    if not archives or not is_read:
        files.write_atomically(outputs.members, b"", private=True)
        csv_tables.write(outputs.archives, csv_tables.ARCHIVES, [], private=True)
        (cache / LISTINGS).unlink(missing_ok=True)  # names of members of archives that are gone
        files.remove_tree(cache / bounds.FOLDER)
        return result
    if not trust:
        files.remove_tree(bounds.current().folder)
    survey = _Survey(read_roots(inventory), archives, Progress(outputs.manifest.parent, "discover_files"), result)
    Progress(outputs.manifest.parent, "discover_files.all").put(len(archives))
    with ListingCache(cache / LISTINGS, tag) as known:
        listings = survey.run(known, processes, trust=trust)
        if survey.failed > largest_loss * len(archives):
            raise UserError(
                f"config key 'source': {survey.failed} of {len(archives)} archives could not be read because the disk "
                "or the network failed; nothing was changed. Check the disk or the mount. To go on and quarantine "
                "them, add: --config confirm_drop=true"
            )
        _write_members(outputs.members, known, listings, {path: key for path, key in archives if path not in listings})
        known.keep_only({_known_as(path, listing.reason) for path, listing in listings.items()})
    tar_cache.keep_only(bounds.current().folder, {tar_cache.name_of(path, fingerprint(key)) for path, key in archives})
    merged = (csv_tables.line(row[:1]) for row in rows_of(inventory, outputs.members) if row[1] in _IN_MANIFEST)
    csv_tables.write(outputs.manifest, csv_tables.MANIFEST, merged, private=True)
    csv_tables.write(outputs.archives, csv_tables.ARCHIVES, _table_rows(listings), private=True)
    result.counts |= {
        "archives": sum(bool(listing.reason) for listing in listings.values()),
        "members": sum(listing.members for listing in listings.values()),
    }
    # The header stage has the members to read, too.
    read = sum(listing.members - bool(listing.reason) for listing in listings.values())
    Progress(outputs.manifest.parent, "index_headers.all").put(kinds["file"] + read)
    return result


# The last two letters of suffixes, in any case: the rest is looked at only where they fit.
_ENDS = frozenset(
    first + last
    for suffix in names.SUFFIXES
    for first in (suffix[-2], suffix[-2].upper())
    for last in (suffix[-1], suffix[-1].upper())
)
_IN_MANIFEST = frozenset(("file", ARCHIVE))


class _Survey:
    """Lists archives in child processes (`dicomzarr.system.sandbox`), one for each thread."""

    def __init__(
        self, roots: Mapping[str, bytes], archives: list[_Archive], progress: Progress, result: Discovered
    ) -> None:
        self._roots, self._archives, self._progress, self._result = roots, archives, progress, result
        self._is_closing = False
        self.failed = 0  # archives that could not be read because the disk or the network failed

    def run(self, known: ListingCache, processes: int, *, trust: bool) -> dict[str, Listing]:
        """Return the listing of each archive that did not change while it was listed."""
        listings: dict[str, Listing] = {}
        if any(map(is_object_store, self._roots.values())):
            from dicomzarr.source import object_door

            object_door.start()  # the children that are forked from now on share it
        pool = ThreadPool(max(processes, 1))
        waiting: deque[tuple[_Archive, Future[tuple[str, bytes]]]] = deque()
        try:
            for path, key in self._archives:
                found = known.find(path, key) or known.find(_known_as(path, _TOO_LARGE), key) if trust else None
                if found is not None and found.reason != UNREADABLE:
                    listings[path] = found
                    self._result.known += 1
                    self._progress.add(1, 0, is_new=False)
                    continue
                waiting.append(((path, key), pool.submit(self._list, path, key)))
                if len(waiting) > _AHEAD * pool.threads:
                    self._take(known, listings, *waiting.popleft())
            while waiting:
                self._take(known, listings, *waiting.popleft())
        except BaseException:
            self._is_closing = True
            sandbox.kill_all()
            raise
        finally:
            pool.close()
            sandbox.end_all()
        return listings

    def _take(
        self,
        known: ListingCache,
        listings: dict[str, Listing],
        archive: _Archive,
        future: Future[tuple[str, bytes]],
    ) -> None:
        path, key = archive
        reason, rows = future.result()
        self._result.listed += 1
        self._progress.add(1, key[0])
        if reason in (UNREADABLE, CHANGED):
            self._result.unreadable.append(path)
        if reason != CHANGED:
            listings[path] = known.add(_known_as(path, reason), key, reason, rows)

    def _list(self, path: str, key: StatKey) -> tuple[str, bytes]:
        reason = ""
        for _ in range(_TRIES):
            if self._is_closing:
                raise CancelledError
            try:
                return in_answer(sandbox.call(list_archive, self._roots, path, key, fault="unreadable_archive"))
            except NotExtracted as error:
                reason = error.code
                if reason != "decoder_died":  # a death may have another cause: try again
                    return reason, b""
            except OSError as error:
                if error.errno in sandbox.DISK_FULL:
                    raise UserError(bounds.FULL) from None
                if error.errno == UNREACHABLE and any(map(is_object_store, self._roots.values())):
                    raise UserError(NOT_REACHED) from None
                reason = UNREADABLE
        self.failed += reason == UNREADABLE
        return reason, b""


def _known_as(path: str, reason: str) -> str:
    """Return the name of an archive in the cache of listings: one too large is listed again at another bound."""
    return f"{path}\0{bounds.current().cache}" if reason == _TOO_LARGE else path


def _table_rows(listings: Mapping[str, Listing]) -> Iterator[str]:
    for path, listing in sorted(listings.items()):
        if listing.reason:
            outcome = REASONS[listing.reason].outcome
            yield csv_tables.line((path, outcome, listing.reason, listing.members))


def _write_members(
    members: Path, known: ListingCache, listings: Mapping[str, Listing], changed: Mapping[str, StatKey]
) -> None:
    """Write the rows of archives and members, sorted by path: the members of an archive follow each other.

    An archive that changed while it was listed gets a key that no file has, so that the header stage calls it changed
    even if it is back by then, as after a folder was renamed there and back: its members are not known.
    """
    parts: list[tuple[str, str]] = [(path, path) for path, listing in listings.items() if listing.reason]
    parts += [(path + names.MARK, path) for path, listing in listings.items() if listing.length]
    parts += [(path, path) for path in changed]
    parts.sort()
    with files.replacing(members, private=True) as out:
        for place, path in parts:
            if path in changed:
                out.write(json_files.compact_line([path, "file", *changed[path][:3], UNLISTED]))
                continue
            listing = listings[path]
            if place == path:
                out.write(json_files.compact_line([path, ARCHIVE, listing.reason, *listing.key]))
            else:
                known.copy(listing, out)
