"""Every byte of the dataset and its exports against the digests on record: what is damaged, missing or surplus.

It changes nothing; `schedule_repair` revokes the records of what was found, so that the next run rebuilds just that.
No job of the workflow imports this module, so that an edit of it rebuilds nothing.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dicomzarr.records import digests, export_record, rule_record
from dicomzarr.records.batch_record import EXTRACT
from dicomzarr.records.export_record import ExportRecord
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import digested_json, json_files
from dicomzarr.system import files as storage
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

PRIVATE = "private/"
EXPORTS = "exports/"  # how paths of exports begin, below the results folder
DAMAGED, MISSING, SURPLUS = "damaged", "missing", "surplus"
_BLOCK = 1 << 20
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Claim:
    """What a record claims of a file: size, SHA-256, and the record that is to be revoked so that it is rebuilt.

    The digest is empty where the file is a record itself, which carries its own.
    """

    size: int
    digest: str
    record: Path


@dataclass(slots=True)
class Verdict:
    """What verifying found.

    Attributes
    ----------
    files, bytes : int
        How much was read.
    findings : list of (kind, path)
        `damaged`, `missing` or `surplus`, and the path below `dataset/`, or `exports/…`; sorted by path. Records and
        plans are read too; their paths begin with ``private/``.
    unfinished : str
        Why the dataset is no finished one, or nothing: what its records do not speak of cannot be judged then.
    """

    files: int = 0
    bytes: int = 0
    findings: list[tuple[str, str]] = field(default_factory=list)
    unfinished: str = ""

    @property
    def good(self) -> bool:
        """Return whether the dataset is finished and every file is as recorded."""
        return not self.findings and not self.unfinished

    def lines(self) -> list[str]:
        """Return the verdict for people, a line for each file that is not as it should be."""
        found = [f"{kind:<8} {path}" for kind, path in self.findings]
        found += [f"unfinished: {self.unfinished}; run the workflow"] if self.unfinished else []
        counts = {kind: sum(one == kind for one, _ in self.findings) for kind in (DAMAGED, MISSING, SURPLUS)}
        said = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        return [*found, f"{self.files} files, {self.bytes} bytes read: {said}"]


def _owner(results: Results, record: Path, name: str) -> Path:
    """Return the record that is revoked so that a file is rebuilt: of its series where it belongs to one."""
    parts = name.split("/")
    if record.parent.name == EXTRACT and parts[0] == "images.zarr" and len(parts) > 2:
        return results.series_record(EXTRACT, parts[1])
    own = results.root / name
    return own if name.startswith(PRIVATE) and results.records in own.parents else record


def _of_lost_batches(results: Results, known: Mapping[str, Claim]) -> dict[str, Claim]:
    """Return what the records of series claim whose batch has none or a damaged one: a repair must not pass it over."""
    found: dict[str, Claim] = {}
    for path in sorted((results.records / EXTRACT).glob("*/*.json")):
        name = os.path.relpath(path, results.root)
        if name in known:
            continue
        with suppress(OSError, Damaged):
            found[name] = Claim(path.stat().st_size, "", path)
            for below, claim in SeriesRecord.load(path).claimed_files().items():
                found[f"images.zarr/{below}"] = Claim(*claim, path)
    return found


def claims(results: Results) -> tuple[dict[str, Claim], str]:
    """Return what the records claim of each file, and why they are not all there, or nothing."""
    found: dict[str, Claim] = {}
    unfinished = ""
    for path in rule_record.paths(results):
        try:
            for name, claim in rule_record.load_common(path).claims.items():
                below = name.removeprefix(digests.DATASET)
                found[below] = Claim(*claim, _owner(results, path, below))
        except (OSError, Damaged):
            unfinished = "a record of the run is damaged"
    found |= _of_lost_batches(results, found)
    if "dataset.json" not in found:
        unfinished = unfinished or "the dataset is not sealed"
    elif not unfinished and not _is_sealed(results, found):
        unfinished = "the seal is older than the records"
    return found, unfinished


def export_claims(results: Results) -> dict[str, Claim]:
    """Return what the records claim of each exported file, by its path below the results folder."""
    found: dict[str, Claim] = {}
    for kind in export_record.KINDS:
        for path in export_record.series_records(results, kind):
            with suppress(OSError, Damaged):
                for file in ExportRecord.load(path).files:
                    found[f"{EXPORTS}{kind.folder}/{file.file}"] = Claim(file.bytes, file.sha256, path)
        record = export_record.record_of(results, kind)
        with suppress(OSError, Damaged):
            for name, claim in rule_record.RuleRecord.load(record).claims.items():
                found[name] = Claim(*claim, record)
    return found


def _surplus(results: Results, known: Mapping[str, Claim], *, unfinished: bool) -> Iterator[str]:
    """Yield the files that no record claims, in what is finished."""
    folders = {str(parent) for path in known for parent in PurePosixPath(path).parents}
    places = [("", results.dataset)] if results.dataset.is_dir() and not unfinished else []
    for kind in export_record.KINDS:
        if export_record.record_of(results, kind).exists() and export_record.folder_of(results, kind).is_dir():
            places.append((f"{EXPORTS}{kind.folder}/", export_record.folder_of(results, kind)))
    for prefix, folder in places:
        for path in _entries(folder):
            if prefix + path not in known and prefix + path not in folders:
                yield prefix + path


def _is_sealed(results: Results, found: Mapping[str, Claim]) -> bool:
    """Return whether the sealed digests are those of the records; a damaged seal is found by its own claim."""
    sealed = results.sealed
    if not sealed.is_file() or storage.sha256_of(sealed) != found["dataset.json"].digest:
        return True
    shared = {path: claim for path, claim in found.items() if not path.startswith((PRIVATE, EXPORTS))}
    others = {path: claim.digest for path, claim in shared.items() if path != "dataset.json"}
    return bool(json_files.read_json(sealed)["seal"] == digests.digest_of(others.items()))


def place_of(results: Results, name: str) -> Path:
    """Return where a file of a finding lies."""
    return (results.root if name.startswith((PRIVATE, EXPORTS)) else results.dataset) / name


def _is_as_claimed(path: Path, claim: Claim) -> bool | None:
    """Return whether a file holds the bytes claimed; None where it is not there."""
    if not claim.digest:
        return _is_whole(path, claim)
    try:
        handle = os.open(path, _OPEN)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return False  # a link, or no right to read it
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size != claim.size:
            return False
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not from memory
        digest = hashlib.sha256()
        offset = 0
        while block := os.pread(handle, _BLOCK, offset):
            digest.update(block)
            offset += len(block)
        return digest.hexdigest() == claim.digest
    except OSError:
        return False  # the disk cannot give it back
    finally:
        os.close(handle)


def _is_whole(path: Path, claim: Claim) -> bool | None:
    """Return whether a record of a series is as it was written; None where it is not there."""
    try:
        digested_json.read_record(path)
        return path.stat().st_size == claim.size
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return False


def _entries(folder: Path) -> Iterator[str]:
    """Yield every file, link and empty folder below a folder, relative to it."""
    waiting = [""]
    while waiting:
        below = waiting.pop()
        empty = True
        with os.scandir(folder / below) as listing:
            for entry in listing:
                empty = False
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                else:
                    yield path
        if empty and below:
            yield below


def verify(results: Results, threads: int = 1) -> Verdict:
    """Read every file of the dataset and its exports, and what the next run would rest on; compare with the records.

    Parameters
    ----------
    results : Results
        The results folder; nothing in it is changed.
    threads : int
        Files read at once.

    Returns
    -------
    Verdict
    """
    known, unfinished = claims(results)
    known |= export_claims(results)
    verdict = Verdict(unfinished=unfinished)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        paths = sorted(known)
        for path, as_claimed in zip(
            paths, pool.map(lambda path: _is_as_claimed(place_of(results, path), known[path]), paths), strict=True
        ):
            if as_claimed is not None:
                verdict.files += 1
                verdict.bytes += known[path].size
            if not as_claimed:
                verdict.findings.append((MISSING if as_claimed is None else DAMAGED, path))
    verdict.findings += [(SURPLUS, path) for path in _surplus(results, known, unfinished=bool(unfinished))]
    verdict.findings.sort(key=lambda finding: finding[1])
    return verdict


def _reopen_export(results: Results, path: str) -> None:
    """Remove the series of an exported file from its export; of a table, mark the export as not whole."""
    _, folder, name = path.split("/")[:3]
    kind = next(kind for kind in export_record.KINDS if kind.folder == folder)
    series_id = name.removesuffix(kind.suffix)
    if results.series_record(kind.rule, series_id).exists():
        export_record.remove(results, kind, series_id, Revocation.REPAIR)
    export_record.mark_incomplete(results, kind, Revocation.REPAIR)


def schedule_repair(results: Results, verdict: Verdict) -> None:
    """Revoke the records of the files that are damaged or missing, and move surplus files out of the dataset.

    The next run rebuilds what those records claimed, and nothing else. Surplus files are moved below
    `private/surplus/`, since they may be somebody's. Of an export, the series is removed; the next run that asks for
    the export rebuilds it.
    """
    known, _ = claims(results)
    known |= export_claims(results)
    for kind, path in verdict.findings:
        if kind == SURPLUS:
            aside = results.private / "surplus" / path
            storage.make_private(aside.parent)
            storage.remove_tree(aside)
            os.replace(place_of(results, path), aside)
        elif path.startswith(EXPORTS):
            _reopen_export(results, path)
        else:
            revoke(results, known[path].record, Revocation.REPAIR)
    # What no record claims is swept by the next run; a folder in place of a file must not be in its way.
    for kind, path in verdict.findings:
        place = place_of(results, path)
        if kind == DAMAGED and (place.is_symlink() or not place.is_file()):
            storage.remove_tree(place)
