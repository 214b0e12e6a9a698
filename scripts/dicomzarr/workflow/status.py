"""What the words of the launcher that only look need in the main process; no job imports this module."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dicomzarr.records import export_record
from dicomzarr.source import inventory, listing
from dicomzarr.system import files, json_files, locks
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import UserError
from dicomzarr.workflow import prepare
from dicomzarr.workflow.settings import Settings

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
            _held.append(locks.hold_run(results.private, now, shared=not alone))
            locks.wait_for_orphans(results.private, to_look=not alone)
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


def asked() -> bool:
    """Return whether the launcher asks what a run would do, and wants nothing changed."""
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


def reasons(settings: Settings) -> list[dict[str, Any]]:
    """Return why a run would have something to do, as far as the source and the records tell.

    Returns
    -------
    list of dict
        `reason` (`first_run`, `source_new`, `source_changed`, `source_gone`, `source_moved`, `lost`, `readable`,
        `paranoid`), `count`, and for `lost` the `rule` whose files or record are missing or cut.

    Raises
    ------
    UserError
        If a run is active, or the source lost so many files that a run would refuse.
    """
    results = Results(settings.results)
    active = locks.holder(results.private)
    if active:
        raise UserError(f"another run uses this results folder: {active}")
    rows = listing.list_sources(settings.sources, **settings.listing)
    if not results.inventory.is_file():
        return [{"reason": "first_run", "count": len(rows)}]
    prepare.refuse_drop(settings, rows, results.inventory)
    found: list[dict[str, Any]] = []
    known = inventory.known_rows(results.inventory)
    try:
        roots = next(known)[0]
        changes = _changes(known, rows)
    except (ValueError, LookupError, TypeError):
        roots, changes = None, Counter({"changed": len(rows)})
    if roots is not None and roots != inventory.roots_of(settings.sources):
        found.append({"reason": "source_moved", "count": 1})
    found += [
        {"reason": f"source_{kind}", "count": changes[kind]} for kind in ("new", "changed", "gone") if changes[kind]
    ]
    asked = export_record.asked(sys.argv[1:])
    lost = Counter(
        path.relative_to(results.records).parts[0].removesuffix(".json") for path in prepare.false_claims(results)
    )
    for kind in export_record.KINDS:  # exports are no part of a run that does not ask for them
        del lost[kind.rule]
        if kind in asked and (count := len(export_record.lost(results, kind))):
            lost[kind.rule] = count
    found += [{"reason": "lost", "rule": rule, "count": count} for rule, count in sorted(lost.items())]
    if readable := len(prepare.readable_now(settings)):
        found.append({"reason": "readable", "count": readable})
    if settings.paranoid:
        found.append({"reason": "paranoid", "count": len(rows)})
    return found


def tell(settings: Settings) -> None:
    """Write the reasons where the launcher wants them; end here where there is no inventory to build a DAG on."""
    found = reasons(settings)
    files.write_atomically(Path(os.environ[STATUS]), json_files.canonical_json(found))
    if any(reason["reason"] == "first_run" for reason in found):
        sys.exit(0)


def tell_more(settings: Settings, records: Sequence[Path]) -> None:
    """Add what was made with other params, or by other code, to the reasons."""
    answer, folder = Path(os.environ[STATUS]), Results(settings.results).records
    count = Counter(path.relative_to(folder).parts[0].removesuffix(".json") for path in records)
    found = [{"reason": "made_otherwise", "rule": rule, "count": number} for rule, number in sorted(count.items())]
    files.write_atomically(answer, json_files.canonical_json(json_files.read_json(answer) + found))


def tell_launcher(results: Results) -> None:
    """Write where the results are, if the launcher wants to know."""
    if RESULTS in os.environ:
        Path(os.environ[RESULTS]).write_text(str(results.root.absolute()), encoding="utf-8")
