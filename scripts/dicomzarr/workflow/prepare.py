"""What the main process does before Snakemake builds its DAG.

It lists the source and compares what is on disk with what the records claim. `look` finds out what a run would change
and changes nothing; `carry_out` changes it. No job imports this module, so that an edit of it reruns nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.privacy import pseudonyms
from dicomzarr.records import claims, export_record
from dicomzarr.records.claims import Claims
from dicomzarr.records.revoke import Revocation, revoke, shorten_log
from dicomzarr.source import inventory, listing
from dicomzarr.stages.join_labels import label_files
from dicomzarr.stages.join_labels.join import label_lines_path
from dicomzarr.system import digested_json, files, json_files, locks, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import BATCH_RULES
from dicomzarr.workflow import folders
from dicomzarr.workflow.settings import Settings


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file of state as a run would write it: its size in bytes and its SHA-256, in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a run would find and change before its DAG is built.

    Attributes
    ----------
    results : Results
    settings : Settings
    rows : list
        The entries of the source, as `listing.list_sources` returns them.
    claims : Claims
        The records of the last runs against what is on disk.
    revoked : dict of Path to Revocation
        Records to revoke, and why.
    labels : bytes or None
        What the label files state; None where the configuration names none.
    """

    results: Results
    settings: Settings
    rows: Sequence[Sequence[Any]]
    claims: Claims = field(default_factory=Claims)
    revoked: Mapping[Path, Revocation] = field(default_factory=dict)
    labels: bytes | None = None

    def state_files(self) -> dict[Path, StateFile]:
        """Return the files of state that a run would write or replace, since what is there differs."""
        found = {}
        digest, size = hashlib.sha256(), 0
        for line in inventory.lines(self.settings.sources, self.rows):
            digest.update(line)
            size += len(line)
        wanted = {self.results.inventory: StateFile(size, digest.hexdigest())}
        if self.labels is not None:
            wanted[label_lines_path(self.results)] = StateFile(len(self.labels), files.sha256_of_bytes(self.labels))
        for path, state in wanted.items():
            if not (path.is_file() and path.stat().st_size == state.size and files.sha256_of(path) == state.sha256):
                found[path] = state
        return found


def refuse_drop(settings: Settings, rows: Sequence[Sequence[Any]], known_inventory: Path) -> None:
    """Refuse a source that lost all of its files, or more than the share allowed, since the last run.

    A folder that was taken out of the configuration is not missed: that was said on purpose.

    Raises
    ------
    UserError
        If files are missing and `confirm_drop` does not say that this is right.
    """
    if settings.confirm_drop:
        return
    try:
        known = inventory.known_rows(known_inventory)
        before = _files_by_label(known, next(known)[0])
    except (OSError, ValueError, LookupError, TypeError):
        return  # the first run, or a damaged inventory
    now = _files_by_label(rows, settings.sources)
    for label in sorted(set(before) & set(settings.sources)):
        was, left = before[label], now[label]
        if not left or was - left > settings.largest_drop * was:
            key = f"source.{label}" if label else "source"
            raise UserError(
                f"config key {key!r}: of the {was} files that the last run found, {was - left} are gone; nothing was "
                "changed. Is the disk mounted? If they were removed on purpose, add: --config confirm_drop=true"
            )


def _files_by_label(rows: Iterable[Sequence[Any]], labels: Iterable[str]) -> Counter[str]:
    several = "" not in set(labels)
    return Counter(row[0].partition("/")[0] if several else "" for row in rows if row[1] == "file")


def look(settings: Settings, exports: Sequence[export_record.Kind] = ()) -> Preparation:
    """Find out what a run would change before its DAG is built; nothing is changed and no lock is held.

    Parameters
    ----------
    settings : Settings
        The checked configuration.
    exports : sequence of Kind
        The exports that the run is asked for.

    Raises
    ------
    UserError
        If a run would refuse: the source cannot be listed or lost many files, or a label file is wrong.
    """
    results = Results(settings.results)
    rows = listing.list_sources(settings.sources, **settings.listing)
    refuse_drop(settings, rows, results.inventory)
    fixed = settings.splits.get("fixed", {})
    labels = label_files.content(settings.labels, fixed) if settings.labels or fixed else None
    found = claims.check(results)
    revoked = dict(found.false)
    revoked |= dict.fromkeys(found.readable_again(settings.sources), Revocation.READABLE_AGAIN)
    for kind in exports:
        incomplete = export_record.lost(results, kind)
        revoked |= dict.fromkeys(incomplete, Revocation.FILE_MISSING)
        if incomplete and export_record.record_of(results, kind).exists():
            revoked[export_record.record_of(results, kind)] = Revocation.FILE_MISSING
    if settings.paranoid:
        again = [results.records / "index_headers.json", *(results.records / "extract_batch").glob("*.json")]
        revoked |= {path: Revocation.PARANOID for path in again if path.exists()}
    if labels is None and (results.records / "join_labels.json").exists():
        revoked[results.records / "join_labels.json"] = Revocation.NOT_CONFIGURED
    return Preparation(results, settings, rows, found, revoked, labels)


def known_key_checks(results: Results) -> set[str]:
    """Return the key checks that the dataset and the private state were made with, as far as they are not damaged."""
    found = set()
    for path, read in (
        (results.sealed, json_files.read_json),
        (results.private / "key_check.json", digested_json.read_record),
    ):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found.add(str(read(path)["key_check"]))
    return found


def _is_begun(results: Results) -> bool:
    return any(results.records.glob("extract_batch/*/*.json"))


def check_key(results: Results) -> None:
    """Raise `KeyProblem` where a run would refuse for the key of the pseudonyms; make none."""
    pseudonyms.check(results.private, known_key_checks(results), begun=_is_begun(results))


def refuse_active_run(results: Results) -> None:
    """Raise UserError where a run is active: what a run would do then is not known."""
    active = locks.holder(results.private)
    if active:
        raise UserError(f"another run uses this results folder: {active}")


def acquire(settings: Settings) -> Results:
    """Make the results folder, and hold its lock for the life of this process; wait for jobs of a killed run.

    Raises
    ------
    UserError
        If another run holds the folder, its key is lost, or it cannot be written.
    """
    results = Results(settings.results)
    try:
        results.root.mkdir(parents=True, exist_ok=True)
        folders.clear_paths_in(results)
        files.make_private(results.private)
        results.private.chmod(files.PRIVATE_FOLDER)
        locks.hold_run_for_good(results.private, datetime.datetime.now().astimezone().isoformat(" ", "seconds"))
        run_token.begin(results.private)
        locks.wait_for_orphans(results.private)
        keyed = pseudonyms.establish(results.private, known_key_checks(results), begun=_is_begun(results))
        check = digested_json.record_json({"key_check": keyed.key_check})
        files.write_if_changed(results.private / "key_check.json", check, private=True)
        # Made here, since Snakemake would make the folders of its outputs by the umask of the user.
        for folder in (results.plans, results.records, *(results.records / rule for rule in BATCH_RULES)):
            files.make_private(folder)
        return results
    except OSError as error:
        raise _unusable(error) from None


def carry_out(preparation: Preparation, revoked: Mapping[Path, Revocation]) -> None:
    """Write the state that `look` found, revoke records, and sweep what a killed run left; the lock is held.

    Parameters
    ----------
    preparation : Preparation
    revoked : mapping of Path to Revocation
        Records to revoke: those of the preparation, and those that were made with other params.

    Raises
    ------
    UserError
        If the results folder cannot be written.
    """
    results, settings = preparation.results, preparation.settings
    try:
        shorten_log(results)
        if preparation.labels is not None:
            files.write_if_changed(label_lines_path(results), preparation.labels, private=True)
        else:
            _remove_labels(results)
        sweep(results)
        for record, why in revoked.items():
            revoke(results, record, why)
        for kind in export_record.KINDS:
            if any(record.is_relative_to(results.records / kind.rule) for record in revoked):
                export_record.open_again(results, kind)
        inventory.write(settings.sources, preparation.rows, results.inventory)
    except OSError as error:
        raise _unusable(error) from None


def _unusable(error: OSError) -> UserError:
    return UserError(
        f"config key 'results': the folder cannot be prepared: {os.strerror(error.errno or 0)}; "
        "check its permissions and the space on its disk"
    )


def _remove_labels(results: Results) -> None:
    """Remove what `join_labels` made, where the configuration has no labels now."""
    for below in ("reports/labels.csv", "provenance/join_labels.json"):
        (results.dataset / below).unlink(missing_ok=True)
    files.remove_tree(results.private / "labels")


def sweep(results: Results) -> None:
    """Remove what a killed run left: temporary files and stores, and series folders that have no record."""
    files.remove_tree(results.temporary)
    for folder in (results.private, results.dataset):
        for path in files.temporaries(folder):
            path.unlink()
    for path in results.exports.glob(f"*/.*{files.TEMPORARY}"):
        path.unlink()
    records = os.fspath(results.records / "extract_batch")
    for name in os.listdir(results.images) if results.images.is_dir() else ():
        if not re.fullmatch(r"[0-9a-f]{16}", name):
            if name != "zarr.json":
                files.remove_tree(results.images / name)
        elif not os.path.exists(f"{records}/{name[:3]}/{name}.json"):
            files.remove_tree(results.images / name)
