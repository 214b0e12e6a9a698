"""What the words of the launcher that only look need in the main process; no job imports this module."""

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
from dicomzarr.system import files, json_files, locks
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow.prepare import Preparation

STATUS = "DICOMZARR_STATUS"  # names the file that receives what `./run status` asks for
RESULTS = (
    "DICOMZARR_RESULTS"  # names the file that receives where the results are, for what the launcher does after a run
)

_held: list[int] = []  # file descriptors of locks, held for the life of the process


def hold(folder: Path, *, alone: bool) -> Results:
    """Keep runs away from a results folder while it is looked at.

    Parameters
    ----------
    folder : Path
        The results folder; it must be there.
    alone : bool
        Also keep others away who look.

    Raises
    ------
    UserError
        If there are no results, they may not be read, or a run is active.
    """
    results = Results(folder)
    now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
    try:
        if not results.private.is_dir():
            raise UserError(f"config key 'results': {str(folder)!r} holds no results yet; run the workflow first")
        with contextlib.suppress(FileNotFoundError):  # no lock, and none can be made: nothing runs here
            _held.append(locks.lock_run(results.private, now, shared=not alone))
            locks.wait_for_orphans(results.private, read_only=not alone)
    except OSError as error:
        what = "repaired" if alone else "read"
        raise UserError(
            f"config key 'results': the folder cannot be {what}: {os.strerror(error.errno or 0)}; check its permissions"
        ) from None
    return results


def place_of_logs(folder: Path) -> str:
    """Return where the log of who looks goes: the logs of the results, or Snakemake's where those cannot be written."""
    logs = folder / "logs"
    return str(logs) if os.access(logs if logs.is_dir() else folder, os.W_OK | os.X_OK) else ".snakemake/log"


def is_asked() -> bool:
    """Return whether the launcher asks what a run would do."""
    return STATUS in os.environ


def _changes(before: Iterable[Sequence[Any]], now: Iterable[Sequence[Any]]) -> Counter[str]:
    """Count the entries that are new, changed and gone; both sides are sorted by path."""
    found: Counter[str] = Counter()
    end = ["\U0010ffff"]
    olds, news = itertools.chain(before, itertools.repeat(end)), itertools.chain(now, itertools.repeat(end))
    old, new = next(olds), next(news)
    while old is not end or new is not end:
        if old[0] == new[0]:
            found["changed"] += list(old) != list(new)
            old, new = next(olds), next(news)
        elif old[0] < new[0]:
            found["gone"] += 1
            old = next(olds)
        else:
            found["new"] += 1
            new = next(news)
    return found


def reasons(
    preparation: Preparation, revoked: Mapping[Path, Revocation], exports: Sequence[export_record.Kind]
) -> list[dict[str, Any]]:
    """Return why a run would have something to do, as far as the source and the records tell.

    Parameters
    ----------
    preparation : Preparation
        What a run would find and change.
    revoked : mapping of Path to Revocation
        Records that it would revoke.
    exports : sequence of Kind
        The exports that it is asked for; others are no part of it.

    Returns
    -------
    list of dict
        `reason` (`first_run`, `source_new`, `source_changed`, `source_gone`, `source_moved`, `made_otherwise`, `lost`,
        `readable`, `revoked`, `paranoid`, `read_only`), `count`, and the `rule` whose records they are about;
        `revoked` states `why`, of records that an earlier run revoked and did not write again.
    """
    results, settings = preparation.results, preparation.settings
    if not results.inventory.is_file():
        return [{"reason": "first_run", "count": len(preparation.rows)}]
    found: list[dict[str, Any]] = []
    known = inventory.previous_rows(results.inventory)
    try:
        roots = next(known)[0]
        changes = _changes(known, preparation.rows)
    except (ValueError, LookupError, TypeError):
        roots, changes = None, Counter({"changed": len(preparation.rows)})
    if roots is not None and roots != inventory.roots_of(settings.sources):
        found.append({"reason": "source_moved", "count": 1})
    found += [
        {"reason": f"source_{kind}", "count": changes[kind]} for kind in ("new", "changed", "gone") if changes[kind]
    ]
    others = {kind.rule for kind in export_record.KINDS if kind not in exports}
    exports_records = {export_record.record_of(results, kind) for kind in export_record.KINDS}  # series are counted
    counted = Counter((_rule_of(results, path), why) for path, why in revoked.items() if path not in exports_records)
    for (rule, why), count in sorted(counted.items(), key=lambda item: (item[0][0], item[0][1].value)):
        if rule not in others and why in _REASONS:
            found.append({"reason": _REASONS[why], "rule": rule, "count": count})
    earlier = {noted["record"]: noted["why"] for noted in revocations(results)}
    missing = Counter(
        (_rule_of(results, results.root / path), why)
        for path, why in earlier.items()
        if why in _UNFINISHED and not (results.root / path).exists()
    )
    found += [
        {"reason": "revoked", "rule": rule, "why": why, "count": count}
        for (rule, why), count in sorted(missing.items())
        if rule not in others
    ]
    if settings.paranoid:
        found.append({"reason": "paranoid", "count": len(preparation.rows)})
    if found and not os.access(results.root, os.W_OK | os.X_OK):
        found.append({"reason": "read_only"})
    return found


# How `status` calls a revocation that a run would do.
_REASONS = {
    Revocation.FILE_MISSING: "lost",
    Revocation.DAMAGED: "lost",
    Revocation.PARAMS_CHANGED: "made_otherwise",
    Revocation.READABLE_AGAIN: "readable",
    Revocation.NOT_CONFIGURED: "made_otherwise",
}
# Revocations that leave work for a later run; other records are deleted for good, or written again by the same job.
_UNFINISHED = {
    why.value for why in (Revocation.FILE_MISSING, Revocation.DAMAGED, Revocation.READABLE_AGAIN, Revocation.REPAIR)
}


def _rule_of(results: Results, record: Path) -> str:
    return record.relative_to(results.records).parts[0].removesuffix(".json")


def tell(preparation: Preparation, revoked: Mapping[Path, Revocation], exports: Sequence[export_record.Kind]) -> None:
    """Write the reasons where the launcher wants them; end here where this would be the first run."""
    found = reasons(preparation, revoked, exports)
    files.write_atomically(Path(os.environ[STATUS]), json_files.canonical_json(found))
    if any(reason["reason"] == "first_run" for reason in found):
        sys.exit(0)


def tell_launcher(results: Results) -> None:
    """Write where the results are, if the launcher wants to know."""
    if RESULTS in os.environ:
        Path(os.environ[RESULTS]).write_text(str(results.root.absolute()), encoding="utf-8")
