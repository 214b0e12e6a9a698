"""Compare every byte of the dataset and its exports with the recorded digests: damaged, missing and surplus files.

`verify` changes nothing. `schedule_repair` revokes the records of damaged and missing files, so that the next run
rebuilds these alone. No job of the workflow imports this module, so that an edit of it rebuilds nothing.
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
from dicomzarr.records.batch_record import CHECK, EXTRACT
from dicomzarr.records.export_record import ExportRecord
from dicomzarr.records.file_findings import DAMAGED, MISSING, SURPLUS, Finding, lines_of, totals
from dicomzarr.records.revoke import Revocation, revoke
from dicomzarr.records.series_record import SeriesRecord
from dicomzarr.system import digested_json, files, folder_moves, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

PRIVATE = "private/"
EXPORTS = "exports/"  # prefix of the paths of exports, below the results folder
_BLOCK = 1 << 20
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Claim:
    """The recorded size and SHA-256 of a file, and the record to revoke so that it is rebuilt.

    The digest is empty if the file is itself a record, which carries its own.
    """

    size: int
    digest: str
    record: Path


@dataclass(slots=True)
class Verdict:
    """The result of `verify`.

    Attributes
    ----------
    files, bytes : int
        Number of files and bytes read.
    findings : list of (kind, path)
        `damaged`, `missing` or `surplus`, and the path below `dataset/`, or ``exports/…``; sorted by path. Records and
        plans are read too; their paths begin with ``private/``.
    unfinished : str
        Why the dataset is not finished, else empty. An unfinished dataset is not searched for surplus files.
    """

    files: int = 0
    bytes: int = 0
    findings: list[Finding] = field(default_factory=list)
    unfinished: str = ""

    @property
    def good(self) -> bool:
        """Return whether the dataset is finished and every file is as recorded."""
        return not self.findings and not self.unfinished

    def lines(self) -> list[str]:
        """Return the verdict as text: a line for each finding, then the totals."""
        text = lines_of(self.findings)
        text += [f"unfinished: {self.unfinished}; run the workflow"] if self.unfinished else []
        return [*text, totals(self.files, self.bytes, self.findings)]


def _owner(results: Results, record: Path, name: str) -> Path:
    """Return the record to revoke so that a file is rebuilt: that of its series if it belongs to one."""
    parts = name.split("/")
    if record.parent.name == EXTRACT and parts[0] == "images.zarr" and len(parts) > 2:
        return results.series_record(EXTRACT, parts[1])
    if record.parent.name == CHECK and parts[:2] == ["reports", "pictures"]:
        return results.series_record(CHECK, parts[2])
    path = results.root / name
    return path if name.startswith(PRIVATE) and results.records in path.parents else record


def _claims_without_batch(results: Results, known: Mapping[str, Claim]) -> dict[str, Claim]:
    """Return the claims of series whose batch record is missing or damaged, so that a repair covers them too."""
    claimed: dict[str, Claim] = {}
    for path in sorted((results.records / EXTRACT).glob("*/*.json")):
        name = os.path.relpath(path, results.root)
        if name in known:
            continue
        with suppress(OSError, Damaged):
            claimed[name] = Claim(path.stat().st_size, "", path)
            for below, claim in SeriesRecord.load(path).claimed_files().items():
                claimed[f"images.zarr/{below}"] = Claim(*claim, path)
    return claimed


def claims(results: Results) -> tuple[dict[str, Claim], str]:
    """Return the claims on the files of the dataset, by path, and why it is unfinished (empty if it is not)."""
    claimed: dict[str, Claim] = {}
    unfinished = ""
    for path in rule_record.paths(results):
        try:
            for name, claim in rule_record.load_common(path).claims.items():
                below = name.removeprefix(digests.DATASET)
                claimed[below] = Claim(*claim, _owner(results, path, below))
        except (OSError, Damaged):
            unfinished = "a record of the run is damaged"
    claimed |= _claims_without_batch(results, claimed)
    if "dataset.json" not in claimed:
        unfinished = unfinished or "the dataset is not sealed"
    elif not unfinished and not _is_sealed(results, claimed):
        unfinished = "the seal is older than the records"
    return claimed, unfinished


def export_claims(results: Results) -> dict[str, Claim]:
    """Return the claims on exported files, by path below the results folder."""
    claimed: dict[str, Claim] = {}
    for kind in export_record.KINDS:
        for path in export_record.series_records(results, kind):
            with suppress(OSError, Damaged):
                for file in ExportRecord.load(path).files:
                    claimed[f"{EXPORTS}{kind.folder}/{file.file}"] = Claim(file.bytes, file.sha256, path)
        record = export_record.record_of(results, kind)
        with suppress(OSError, Damaged):
            for name, claim in rule_record.RuleRecord.load(record).claims.items():
                claimed[name] = Claim(*claim, record)
    return claimed


def _surplus(results: Results, claimed: Mapping[str, Claim], *, unfinished: bool) -> Iterator[str]:
    """Yield the files that no record claims, in the dataset if it is finished and in finished exports."""
    folders = {str(parent) for path in claimed for parent in PurePosixPath(path).parents}
    places = [("", results.dataset)] if files.is_dir(results.dataset) and not unfinished else []
    for kind in export_record.KINDS:
        record, folder = export_record.record_of(results, kind), export_record.folder_of(results, kind)
        if files.exists(record) and files.is_dir(folder):
            places.append((f"{EXPORTS}{kind.folder}/", folder))
    for prefix, folder in places:
        for path in _entries(folder):
            if prefix + path not in claimed and prefix + path not in folders and prefix + path != digests.SIGNATURE:
                yield prefix + path


def _is_sealed(results: Results, claimed: Mapping[str, Claim]) -> bool:
    """Return whether the seal matches the records. A damaged seal counts as matching: its own claim reports it."""
    sealed = results.sealed
    if not files.is_file(sealed) or files.sha256_of(sealed) != claimed["dataset.json"].digest:
        return True
    shared = {path: claim for path, claim in claimed.items() if not path.startswith((PRIVATE, EXPORTS))}
    others = {path: claim.digest for path, claim in shared.items() if path != "dataset.json"}
    return bool(json_files.read_json(sealed)["seal"] == digests.digest_of(others.items()))


def path_of(results: Results, name: str) -> Path:
    """Return the path of the file of a finding."""
    return (results.root if name.startswith((PRIVATE, EXPORTS)) else results.dataset) / name


def _is_as_claimed(path: Path, claim: Claim) -> bool | None:
    """Return whether a file has the recorded bytes; None if it is missing."""
    if not claim.digest:
        return _is_undamaged_record(path, claim)
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
        return False  # it cannot be read
    finally:
        os.close(handle)


def _is_undamaged_record(path: Path, claim: Claim) -> bool | None:
    """Return whether a series record matches the digest that it carries; None if it is missing."""
    try:
        digested_json.read_record(path)
        return path.stat().st_size == claim.size
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return False


def _entries(folder: Path) -> Iterator[str]:
    """Yield every file, link and empty folder below a folder, relative to it."""
    pending = [""]
    while pending:
        below = pending.pop()
        empty = True
        with os.scandir(folder / below) as listing:
            for entry in listing:
                empty = False
                path = f"{below}/{entry.name}" if below else entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                else:
                    yield path
        if empty and below:
            yield below


def verify(results: Results, threads: int = 1) -> Verdict:
    """Read every file of the dataset, its exports, and the records and plans of the next run; compare their digests.

    Parameters
    ----------
    results : Results
        The results folder. Nothing in it is changed.
    threads : int
        Number of files read at once.

    Returns
    -------
    Verdict
    """
    claimed, unfinished = claims(results)
    claimed |= export_claims(results)
    verdict = Verdict(unfinished=unfinished)
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        paths = sorted(claimed)
        for path, as_claimed in zip(
            paths, pool.map(lambda path: _is_as_claimed(path_of(results, path), claimed[path]), paths), strict=True
        ):
            if as_claimed is not None:
                verdict.files += 1
                verdict.bytes += claimed[path].size
            if not as_claimed:
                verdict.findings.append((MISSING if as_claimed is None else DAMAGED, path))
    verdict.findings += [(SURPLUS, path) for path in _surplus(results, claimed, unfinished=bool(unfinished))]
    verdict.findings.sort(key=lambda finding: finding[1])
    return verdict


def _reopen_export(results: Results, path: str) -> None:
    """Remove the series of an exported file from its export, and mark the export as incomplete."""
    _, folder, file = path.split("/", 2)
    kind = next(kind for kind in export_record.KINDS if kind.folder == folder)
    series_id = export_record.series_of(kind, file)
    if files.exists(results.series_record(kind.rule, series_id)):
        export_record.remove(results, kind, series_id, Revocation.REPAIR)
    export_record.mark_incomplete(results, kind, Revocation.REPAIR)


def schedule_repair(results: Results, verdict: Verdict) -> None:
    """Revoke the records of damaged and missing files, and move surplus files out of the dataset.

    The next run rebuilds what those records claimed, and nothing else. Surplus files are moved to `private/surplus/`,
    not deleted, since a user may have put them there. A damaged series of an export is removed from it; the next run
    with the export as a target exports it again.
    """
    claimed, _ = claims(results)
    claimed |= export_claims(results)
    for kind, path in verdict.findings:
        if kind == SURPLUS:
            target = results.private / "surplus" / path
            files.make_private(target.parent)
            files.remove_tree(target)
            folder_moves.move(path_of(results, path), target)
        elif path.startswith(EXPORTS):
            _reopen_export(results, path)
        else:
            revoke(results, claimed[path].record, Revocation.REPAIR)
    # A link or folder in place of a file would be in the way of the next run.
    for kind, path in verdict.findings:
        location = path_of(results, path)
        if kind == DAMAGED and (files.is_symlink(location) or not files.is_file(location)):
            files.remove_tree(location)
