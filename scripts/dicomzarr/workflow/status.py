"""The main process of the read-only commands `./run status` and `./run verify`; no job imports this module."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.records.revoke import Revocation, revocations
from dicomzarr.source import inventory
from dicomzarr.system import files, json_files, locks, private_folder
from dicomzarr.system.results_folder import Results
from dicomzarr.terminal import stages
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.vocabulary.rules import RULES
from dicomzarr.workflow.prepare import Preparation

STATUS = "DICOMZARR_STATUS"  # environment variable: path of the file to which reasons are written for `./run status`
RESULTS = "DICOMZARR_RESULTS"  # environment variable: path of the file to which the path of the results is written


def lock(folder: Path, *, exclusive: bool) -> Results:
    """Lock a results folder against runs for the life of this process.

    Parameters
    ----------
    folder : Path
        The results folder; it must exist.
    exclusive : bool
        Also against other read-only commands.

    Raises
    ------
    UserError
        If there are no results, they are not readable, or a run is active.
    """
    results = Results(folder)
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    try:
        if not files.is_dir(results.private):
            raise UserError(f"config key 'results': {str(folder)!r} holds no results yet; run the workflow first")
        private_folder.refuse_special_files(results.private)
        with contextlib.suppress(FileNotFoundError):  # no lock file, and the folder is read-only: no run here
            locks.lock_run_until_exit(results.private, now, shared=not exclusive)
            locks.wait_for_orphans(results.private, read_only=not exclusive)
    except OSError as error:
        action = "repaired" if exclusive else "read"
        says = private_folder.in_words(error, results.private)
        raise UserError(f"config key 'results': the folder cannot be {action}: {says}") from None
    return results


def log_folder(folder: Path) -> str:
    """Return the folder for logs of read-only commands: that of the results, or Snakemake's if that is not writable."""
    logs = folder / "logs"
    return str(logs) if os.access(logs if files.is_dir(logs) else folder, os.W_OK | os.X_OK) else ".snakemake/log"


def is_requested() -> bool:
    """Return whether `./run status` started this dry run."""
    return STATUS in os.environ


def _changes(before: Iterable[Sequence[Any]], now: Iterable[Sequence[Any]]) -> Counter[str]:
    """Count the entries that are new, changed and gone (deleted); both sides are sorted by path."""
    counts: Counter[str] = Counter()
    end = ["\U0010ffff"]
    olds, news = itertools.chain(before, itertools.repeat(end)), itertools.chain(now, itertools.repeat(end))
    old, new = next(olds), next(news)
    while old is not end or new is not end:
        if old[0] == new[0]:
            counts["changed"] += list(old) != list(new)
            old, new = next(olds), next(news)
        elif old[0] < new[0]:
            counts["gone"] += 1
            old = next(olds)
        else:
            counts["new"] += 1
            new = next(news)
    return counts


def reasons_of(
    preparation: Preparation, revoked: Mapping[Path, Revocation], exports: Sequence[export_record.Kind]
) -> list[dict[str, Any]]:
    """Return the reasons for a run that follow from the source and the records.

    Parameters
    ----------
    preparation : Preparation
        The changes that a run would make before its DAG is built.
    revoked : mapping of Path to Revocation
        Records that it would revoke.
    exports : sequence of Kind
        The exports that are requested; records of others are ignored.

    Returns
    -------
    list of dict
        `reason` (`first_run`, `source_new`, `source_changed`, `source_gone`, `source_moved`, `made_otherwise`, `lost`,
        `readable`, `revoked`, `paranoid`, `read_only`), `count`, and the `rule` whose records are concerned;
        `revoked` has `why`: of records that an earlier run revoked and did not write again.
    """
    results, settings = preparation.results, preparation.settings
    if not files.is_file(results.inventory):
        return [{"reason": "first_run", "count": len(preparation.rows)}]
    reasons: list[dict[str, Any]] = []
    known_rows = inventory.previous_rows(results.inventory)
    try:
        roots = next(known_rows)[0]
        changes = _changes(known_rows, preparation.rows)
    except (ValueError, LookupError, TypeError):
        roots, changes = None, Counter({"changed": len(preparation.rows)})
    if roots is not None and roots != inventory.roots_of(settings.sources):
        reasons.append({"reason": "source_moved", "count": 1})
    reasons += [
        {"reason": f"source_{kind}", "count": changes[kind]} for kind in ("new", "changed", "gone") if changes[kind]
    ]
    ignored = {kind.rule for kind in export_record.KINDS if kind not in exports}
    of_exports = {export_record.record_of(results, kind) for kind in export_record.KINDS}  # their series are counted
    counted = Counter((_rule_of(results, path), why) for path, why in revoked.items() if path not in of_exports)
    for (rule, why), count in sorted(counted.items(), key=lambda item: (item[0][0], item[0][1].value)):
        if rule not in ignored and why in _REASONS:
            reasons.append({"reason": _REASONS[why], "rule": rule, "count": count})
    earlier = {entry["record"]: entry["why"] for entry in revocations(results)}
    missing = Counter(
        (_rule_of(results, results.root / path), why)
        for path, why in earlier.items()
        if why in _UNFINISHED and not files.exists(results.root / path)
    )
    reasons += [
        {"reason": "revoked", "rule": rule, "why": why, "count": count}
        for (rule, why), count in sorted(missing.items())
        if rule not in ignored
    ]
    if settings.paranoid:
        reasons.append({"reason": "paranoid", "count": len(preparation.rows)})
    if reasons and not os.access(results.root, os.W_OK | os.X_OK):
        reasons.append({"reason": "read_only"})
    return reasons


# The reason for each revocation that a run would make.
_REASONS = {
    Revocation.FILE_MISSING: "lost",
    Revocation.DAMAGED: "lost",
    Revocation.PARAMS_CHANGED: "made_otherwise",
    Revocation.INPUT_CHANGED: "made_otherwise",
    Revocation.READABLE_AGAIN: "readable",
    Revocation.NOT_CONFIGURED: "made_otherwise",
}
# Revocations after which a record must be written again by a later run.
_UNFINISHED = {
    why.value for why in (Revocation.FILE_MISSING, Revocation.DAMAGED, Revocation.READABLE_AGAIN, Revocation.REPAIR)
}


def say_why(results: Results, revoked: Mapping[Path, Revocation]) -> None:
    """Say in a line for each cause why a run is about to do again what was done; nothing if there is no such thing.

    Parameters
    ----------
    results : Results
    revoked : mapping of Path to Revocation
        Records that the run revokes.
    """
    for cause, words in _CAUSES_OF_RUNS.items():
        found = {_rule_of(results, path) for path, why in revoked.items() if _REASONS.get(why) == cause}
        names = [stages.name_of(rule.name) for rule in RULES if rule.name in found]
        if names:
            print(
                f"note: {words}; done again: {', '.join(names)}, and what follows from it", file=sys.stderr, flush=True
            )


# Causes in words, by the reason that `status` gives.
_CAUSES_OF_RUNS = {
    "made_otherwise": "the configuration, or the code of this workflow, is not that of the last run",
    "lost": "files or records of the results are missing or damaged",
}


def _rule_of(results: Results, record: Path) -> str:
    return record.relative_to(results.records).parts[0].removesuffix(".json")


def report(preparation: Preparation, revoked: Mapping[Path, Revocation], exports: Sequence[export_record.Kind]) -> None:
    """Write the reasons to the file of the launcher; end the process if there was no run yet.

    Parameters
    ----------
    preparation : Preparation
    revoked : mapping of Path to Revocation
    exports : sequence of Kind
        As for `reasons_of`.
    """
    reasons = reasons_of(preparation, revoked, exports)
    files.write_atomically(Path(os.environ[STATUS]), json_files.canonical_json(reasons))
    if any(reason["reason"] == "first_run" for reason in reasons):
        sys.exit(0)


def report_results_folder(results: Results) -> None:
    """Write the path of the results to the file of the launcher, if it started this run."""
    if RESULTS in os.environ:
        Path(os.environ[RESULTS]).write_bytes(os.fsencode(results.root.absolute()))
