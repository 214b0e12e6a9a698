"""Prepare a run, in the main process, before Snakemake builds its DAG.

`compare` lists the source and compares the claims of the records with what is on disk; it is read-only and returns the
changes that a run would make. `carry_out` makes them. No job imports this module: an edit of it reruns nothing.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import stat
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dicomzarr.privacy import pseudonyms
from dicomzarr.records import claims, export_record, mask_vocabulary
from dicomzarr.records.batch_record import EXTRACT
from dicomzarr.records.claims import Claims
from dicomzarr.records.revoke import Revocation, revoke, shorten_log
from dicomzarr.source import inventory, listing
from dicomzarr.stages.join_labels import label_files
from dicomzarr.stages.join_labels.join import label_lines_path
from dicomzarr.system import digested_json, files, folder_moves, json_files, locks, private_folder, run_token
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import progress
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import BATCH_RULES, DATASET_RULES
from dicomzarr.workflow import folders, restored_source
from dicomzarr.workflow.settings import Settings


@dataclass(frozen=True, slots=True)
class StateFile:
    """A file of state as a run would write it: its size in bytes and its SHA-256, in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Preparation:
    """The source and the changes that a run would make before its DAG is built.

    Attributes
    ----------
    results : Results
    settings : Settings
    rows : list
        The entries of the source, as `listing.list_sources` returns them.
    claims : Claims
        The claims of the records, compared with what is on disk.
    revoked : dict of Path to Revocation
        Records to revoke, with the reason.
    labels : bytes or None
        The lines of the label files, checked; None if none are configured.
    restored : bytes
        The keys of files of a restored source; see `source.restored`.
    """

    results: Results
    settings: Settings
    rows: Sequence[Sequence[Any]]
    claims: Claims = field(default_factory=Claims)
    revoked: Mapping[Path, Revocation] = field(default_factory=dict)
    labels: bytes | None = None
    restored: bytes = b""

    @property
    def card(self) -> bytes:
        """The config key `card`. Its words are in a file, not in params, so that Snakemake keeps none of them."""
        return json_files.canonical_json(self.settings.card)

    def state_files(self) -> dict[Path, StateFile]:
        """Return the files of state that a run would write: those that are missing or differ."""
        digest, size = hashlib.sha256(), 0
        for line in inventory.lines(self.settings.sources, self.rows):
            digest.update(line)
            size += len(line)
        wanted = {self.results.inventory: StateFile(size, digest.hexdigest())}
        card = self.card
        wanted[card_path(self.results)] = StateFile(len(card), files.sha256_of_bytes(card))
        if self.labels is not None:
            wanted[label_lines_path(self.results)] = StateFile(len(self.labels), files.sha256_of_bytes(self.labels))
        return {path: state for path, state in wanted.items() if not _is_current(path, state)}


def card_path(results: Results) -> Path:
    """Return the path of the words of the config key `card`."""
    return results.private / "card.json"


def _is_current(path: Path, state: StateFile) -> bool:
    return files.is_file(path) and path.stat().st_size == state.size and files.sha256_of(path) == state.sha256


def refuse_drop(settings: Settings, rows: Sequence[Sequence[Any]], known_inventory: Path) -> None:
    """Refuse a source that lost all of its files, or more than `largest_drop`, since the last run.

    Folders that were removed from the configuration are not compared. A missing archive counts with its members.

    Parameters
    ----------
    settings : Settings
    rows : sequence
        The entries of the source, as `listing.list_sources` returns them.
    known_inventory : Path
        The inventory of the last run.

    Raises
    ------
    UserError
        If too many files are missing and `confirm_drop` is not set.
    """
    if settings.confirm_drop:
        return
    try:
        known_rows = inventory.previous_rows(known_inventory)
        counts_before = _files_by_label(known_rows, next(known_rows)[0])
    except (OSError, ValueError, LookupError, TypeError):
        return  # the first run, or a damaged inventory
    counts = _files_by_label(rows, settings.sources)
    if any(counts[label] < before for label, before in counts_before.items()):
        labels, paths = list(settings.sources), {row[0] for row in rows}
        for archive, members in _members_of_archives(known_inventory.with_name("members.jsonl")).items():
            label = _label_of(archive, has_labels="" not in labels)
            counts_before[label] += members
            counts[label] += members if archive in paths else 0
    for label in sorted(set(counts_before) & set(settings.sources)):
        before, now = counts_before[label], counts[label]
        if not now or before - now > settings.largest_drop * before:
            key = f"source.{label}" if label else "source"
            raise UserError(
                f"config key {key!r}: files of the last run are missing, {before - now} of {before}; nothing was "
                "changed. Is the disk mounted? If they were removed on purpose, add: --config confirm_drop=true"
            )


def _files_by_label(rows: Iterable[Sequence[Any]], labels: Iterable[str]) -> Counter[str]:
    has_labels = "" not in set(labels)
    return Counter(_label_of(row[0], has_labels=has_labels) for row in rows if row[1] == "file")


def _label_of(path: str, *, has_labels: bool) -> str:
    return path.partition("/")[0] if has_labels else ""


def _members_of_archives(members: Path) -> Counter[str]:
    """Return how many members of each archive the last run found; empty if that is not known."""
    beginnings: Counter[bytes] = Counter()
    with contextlib.suppress(OSError), open(members, "rb") as stream:
        beginnings.update(line.partition(b"!/")[0] for line in stream if b'","file",' in line)
    counts: Counter[str] = Counter()
    with contextlib.suppress(ValueError, LookupError):
        for beginning, count in beginnings.items():
            counts[json_files.loads(beginning + b'"]')[0]] = count
    return counts


def compare(settings: Settings, exports: Sequence[export_record.Kind] = (), *, asks: bool = False) -> Preparation:
    """Return what a run would change before its DAG is built; read-only, without a lock.

    Parameters
    ----------
    settings : Settings
        The checked configuration.
    exports : sequence of Kind
        The exports that are requested.
    asks : bool
        Whether the user may be asked about a restored source.

    Returns
    -------
    Preparation
        The source, and the records that a run would revoke.

    Raises
    ------
    UserError
        If a run would refuse: the source cannot be listed or lost many files, or a label file is wrong.
    """
    results = Results(settings.results)
    with claims.checking(results) as checked:
        rows = listing.list_sources(settings.sources, **settings.listing)
        refuse_drop(settings, rows, results.inventory)
        rows, restored = restored_source.accept_restored(settings, results, rows, asks=asks)
        labels = _label_lines(settings)
        checked_claims = checked()
    revoked = dict(checked_claims.false)
    revoked |= dict.fromkeys(checked_claims.readable_again(settings.sources), Revocation.READABLE_AGAIN)
    for kind in exports:
        incomplete = export_record.incomplete_records(results, kind)
        revoked |= dict.fromkeys(incomplete, Revocation.FILE_MISSING)
        if incomplete and files.exists(export_record.record_of(results, kind)):
            revoked[export_record.record_of(results, kind)] = Revocation.FILE_MISSING
    if settings.paranoid:
        discovery = [results.records / "discover_files.json"] if _has_archives(results) else []
        readers = [
            *discovery,
            results.records / "index_headers.json",
            *(results.records / "extract_batch").glob("*.json"),
        ]
        revoked |= {path: Revocation.PARANOID for path in readers if files.exists(path)}
    if not mask_vocabulary.is_current(results.mask_vocabulary, mask_vocabulary.content_of(settings.masks)):
        extracted = (results.records / "extract_batch").glob("*.json")
        revoked |= dict.fromkeys(extracted, Revocation.PARAMS_CHANGED)
    revoked |= dict.fromkeys(checked_claims.of_other_plans(results), Revocation.INPUT_CHANGED)
    if labels is None and files.exists(results.records / "join_labels.json"):
        revoked[results.records / "join_labels.json"] = Revocation.NOT_CONFIGURED
    return Preparation(results, settings, rows, checked_claims, revoked, labels, restored)


def _label_lines(settings: Settings) -> bytes | None:
    """Return the lines of the lists of labels and splits; None if none are configured."""
    fixed = settings.splits.get("fixed", {})
    return label_files.content(settings.labels, fixed) if settings.labels or fixed else None


def refuse_first_run(settings: Settings) -> None:
    """Refuse a wrong key in the environment, and wrong lists of labels and splits, before the first run makes a folder.

    Raises
    ------
    UserError
        As `acquire` and `compare`, which look again once the folder is locked.
    """
    results = Results(settings.results)
    if not files.exists(results.private):
        check_key(results)
        _label_lines(settings)


def _has_archives(results: Results) -> bool:
    return files.is_file(results.members) and results.members.stat().st_size > 0


def known_key_checks(results: Results) -> set[str]:
    """Return the key checks in the dataset and in the private state; those in damaged files are left out."""
    key_checks = set()
    for path, read in (
        (results.sealed, json_files.read_json),
        (results.private / "key_check.json", digested_json.read_record),
    ):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            key_checks.add(str(read(path)["key_check"]))
    return key_checks


def _has_series_records(results: Results) -> bool:
    return any(results.records.glob("extract_batch/*/*.json"))


def check_key(results: Results) -> bool:
    """Check the key of the pseudonyms as a run would; read-only. Return whether there is one yet.

    Raises
    ------
    KeyProblem
        If a run would refuse: the key is lost or another one.
    """
    key = pseudonyms.check(results.private, known_key_checks(results), begun=_has_series_records(results))
    return key is not None


def refuse_active_run(results: Results) -> None:
    """Refuse a dry run during a run, since the files change.

    Raises
    ------
    UserError
        If another run holds the lock.
    """
    active = locks.holder(results.private)
    if active:
        line = progress.noted_line(results)
        doing = f". It is {line}" if line else ""
        raise UserError(f"another run uses this results folder: {active}; wait for it to end{doing}")


def acquire(settings: Settings) -> Results:
    """Create the results folder and lock it for the life of this process; wait for jobs left over from a killed run.

    Raises
    ------
    UserError
        If another run holds the lock, the key is lost, or the folder is not writable or cannot hold arrays; or if
        this machine has no /proc.
    """
    _refuse_without_proc()
    results = Results(settings.results)
    try:
        results.root.mkdir(parents=True, exist_ok=True)
        folders.clear_paths_in(results)
        private_folder.refuse_special_files(results.private)
        files.make_private(results.private)
        private_folder.close_to_others(results.private, "private/")
        locks.lock_run_until_exit(results.private, datetime.datetime.now().astimezone().isoformat(" ", "seconds"))
        run_token.begin(results.private)
        progress.forget_line(results)  # that of a run that was killed
        locks.wait_for_orphans(results.private)
        ids = pseudonyms.establish(results.private, known_key_checks(results), begun=_has_series_records(results))
        check = digested_json.record_json({"key_check": ids.key_check})
        files.write_private_if_changed(results.private / "key_check.json", check)
        # Created here: Snakemake would create the folders of its outputs with the permissions of the umask.
        for folder in (results.plans, results.records, *(results.records / rule for rule in BATCH_RULES)):
            files.make_private(folder)
        folder_moves.refuse_loss(results.temporary)
        return results
    except OSError as error:
        raise unusable(error, results) from None


_STATM = Path("/proc/self/statm")


def _refuse_without_proc() -> None:
    """Refuse a container or chroot without /proc, from which jobs read their memory, and Snakemake theirs."""
    if not files.exists(_STATM):
        raise UserError(f"{_STATM} is missing: mount /proc in this container or chroot, mount -t proc proc /proc")


def carry_out(preparation: Preparation, revoked: Mapping[Path, Revocation]) -> bool:
    """Write the files of state, revoke records, and delete the leftovers of a killed run; needs the lock.

    Parameters
    ----------
    preparation : Preparation
        What `compare` returned.
    revoked : mapping of Path to Revocation
        Records to revoke: those of the preparation, and those of jobs whose params changed.

    Returns
    -------
    bool
        Whether the inventory changed.

    Raises
    ------
    UserError
        If the results folder is not writable.
    """
    results, settings = preparation.results, preparation.settings
    try:
        shorten_log(results)
        _set_future_times_back(results)
        _write_state(results, card_path(results), preparation.card, ("write_cards", "write_crate", "check_privacy"))
        files.write_private_if_changed(results.publish_config, json_files.canonical_json(settings.publish))
        if preparation.labels is not None:
            _write_state(results, label_lines_path(results), preparation.labels, ("join_labels",))
        else:
            _remove_labels(results)
        delete_leftovers(results)
        for record, why in revoked.items():
            revoke(results, record, why)
        _write_mask_vocabulary(results, mask_vocabulary.content_of(settings.masks))  # once its readers are revoked
        for kind in export_record.KINDS:
            if any(record.is_relative_to(results.records / kind.rule) for record in revoked):
                export_record.mark_incomplete(results, kind)
        # Before the inventory: a restored file must not be taken for another one after a crash between the two.
        if preparation.restored:
            files.write_private_if_changed(results.restored, preparation.restored)
        else:
            files.remove_tree(results.restored)
        return inventory.write(
            settings.sources, preparation.rows, results.inventory, lambda: _revoke_readers(results, ("discover_files",))
        )
    except OSError as error:
        raise unusable(error, results) from None


def _write_mask_vocabulary(results: Results, content: bytes) -> None:
    if content:
        files.write_private_if_changed(results.mask_vocabulary, content)
    else:
        results.mask_vocabulary.unlink(missing_ok=True)


def is_complete(results: Results, revoked: Collection[Path] = ()) -> bool:
    """Return whether each rule and batch of the dataset has its record, beside the records that are to be revoked."""
    records = [results.records / f"{rule}.json" for rule in DATASET_RULES]
    try:
        names = [f"{name}.json" for name in json_files.read_json(results.plans / "contents.json")["batches"]]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    records += [results.records / rule / name for rule in BATCH_RULES for name in names]
    return all(record not in revoked and files.is_file(record) for record in records)


def later_records(results: Results, rules: Collection[str], *, is_current: bool) -> list[Path]:
    """Return the records of requested rules that follow the seal, of those that have to run again.

    Snakemake makes no missing file again if what is made from it exists: with an export as its only target, a run would
    have nothing to do, however much of the dataset is damaged or out of date. What a target holds is known by asking it
    alone, so that `publish` always runs.

    Parameters
    ----------
    results : Results
    rules : collection of str
        The requested rules.
    is_current : bool
        Whether the dataset is complete and up to date.
    """
    again = {*rules} & {"publish"} if is_current else rules
    return [path for rule in sorted(again) if files.exists(path := results.records / f"{rule}.json")]


def _write_state(results: Results, path: Path, content: bytes, readers: Sequence[str]) -> None:
    """Write a file of state if it changed; before, revoke the records of the rules that read it.

    Snakemake alone would not always run them again: the results may be an older copy, whose later state it remembers.
    """
    if not _is_current(path, StateFile(len(content), files.sha256_of_bytes(content))):
        _revoke_readers(results, readers)
        files.write_private_if_changed(path, content)


def _revoke_readers(results: Results, rules: Sequence[str]) -> None:
    for rule in rules:
        revoke(results, results.records / f"{rule}.json", Revocation.INPUT_CHANGED)


# Files that Snakemake compares by their times, below the results.
_TIMED = (
    *("private/*", "private/labels/*", "private/plans/*", "private/records/*.json", "private/records/*/*.json"),
    *("dataset/*", "dataset/reports/*", "dataset/provenance/*", "dataset/provenance/*/*"),
    *("exports/*/*.json", "exports/*/*.csv"),
)


def _set_future_times_back(results: Results) -> None:
    """Give files whose times lie ahead of the clock the time of a second ago.

    The clock ran ahead once, or the results were made on a host whose clock does. What changes from now on would look
    older than they are, and Snakemake would run no job, or refuse the outputs of each.
    """
    now = time.time_ns()
    for pattern in _TIMED:
        for path in results.root.glob(pattern):
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_mtime_ns > now:
                os.utime(path, ns=(status.st_atime_ns, now - 10**9), follow_symlinks=False)


def unusable(error: OSError, results: Results) -> UserError:
    """Return the error of a results folder that the system does not let a run use."""
    says = private_folder.in_words(error, results.private)
    return UserError(f"config key 'results': the folder cannot be prepared: {says}")


def _remove_labels(results: Results) -> None:
    """Delete the outputs of `join_labels` if no labels are configured any more."""
    for name in ("reports/labels.csv", "provenance/join_labels.json"):
        (results.dataset / name).unlink(missing_ok=True)
    files.remove_tree(results.private / "labels")


def _recorded_series(folder: Path) -> set[str]:
    """Return the ids of the series that have a record, from listings: faster than asking for each of many.

    Arrays without a record are deleted: a listing that fails is an error, not a series less.
    """
    recorded: set[str] = set()
    if not files.is_dir(folder):
        return recorded
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                recorded.update(name[:-5] for name in os.listdir(entry.path) if name.endswith(".json"))
    return recorded


# Caches of earlier states of 0.1.0, which nothing reads any more: some hold hashed identifiers.
_OLDER = ("cache/needles.*", "cache/looked_up-*", "cache/matplotlib")


def delete_leftovers(results: Results) -> None:
    """Delete what a killed run left: temporary files, arrays without a record; and caches of older states."""
    files.remove_tree(results.temporary)
    for pattern in _OLDER:
        for path in results.private.glob(pattern):
            files.remove_tree(path)
    for folder in (results.private, results.dataset):
        for path in files.temporaries(folder, {results.pictures.name}):
            path.unlink()
    for depth in ("*", "*/*"):
        for path in results.exports.glob(f"{depth}/.*{files.TEMPORARY}"):
            path.unlink()
    recorded = _recorded_series(results.records / EXTRACT)
    for name in os.listdir(results.images) if files.is_dir(results.images) else ():
        if name not in recorded and name != "zarr.json":
            files.remove_tree(results.images / name)
    for name in os.listdir(results.pictures) if files.is_dir(results.pictures) else ():
        if name not in recorded:
            files.remove_tree(results.pictures / name)
