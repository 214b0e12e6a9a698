"""Look, while a run begins, which arrays are unchanged since they were searched: `python -P -m MODULE RESULTS PARENT`.

The first steps of a run with little that is new use one core. Asking for the stats of a million files takes seconds;
here they are those of another core, and the search at the end of the run asks only for what the run has written since.
It asks for all of them again if the look is not of this run, not complete, or old.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dicomzarr.privacy.series_groups import (
    GROUP_DIGITS,
    PREFIXES,
    SEARCH_CACHE,
    CachedGroups,
    by_group,
    key_of,
    read_cache,
    series_in,
)
from dicomzarr.system import digested_json, files, locks, other_hosts
from dicomzarr.system.project import SCRIPTS
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.rules import BATCH_RULES

LOOK = "looked_at.json"  # in the folder of caches
MAX_AGE = 120.0  # seconds: what others change during a long run is found at its end
_WORTH = 1 << 18  # bytes of the cache of the search, of some 3,000 series: fewer are looked at in no time
_PR_SET_PDEATHSIG = 1  # prctl(2)

_begun: list[subprocess.Popen[bytes]] = []  # nobody waits for it; it dies with the process that started it


def begin(results: Results) -> None:
    """Start to look in a process of its own, if there are many arrays that were searched.

    Parameters
    ----------
    results : Results
        Locked by this process, which removes nothing from the arrays any more.
    """
    with contextlib.suppress(OSError):
        if sys.platform != "linux" or os.path.getsize(results.private / "cache" / SEARCH_CACHE) < _WORTH:
            return
        _begun.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", __name__, os.fspath(results.root), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(SCRIPTS)},
            )
        )


def look(results: Results) -> None:
    """Note which groups of series are unchanged since they were searched."""
    began, records = time.monotonic(), _keys_of_records(results)
    content = read_cache(results.private / "cache")
    cached = CachedGroups(content.get("groups", {}), content.get("layouts", []))
    states = {}
    for place, prefix in PREFIXES.items():
        folder = os.fspath(results.root) + place.removeprefix("results")
        for name in cached.unchanged(prefix, folder, by_group(series_in(folder))):
            states[prefix + name] = cached.state(prefix + name)
    note = {**_of_run(results), "began": began, "records": records, "groups": states}
    files.write_atomically(results.private / "cache" / LOOK, digested_json.record_json(note), private=True)


def looked_at(results: Results, series_of: Callable[[str], Iterable[str]]) -> Mapping[str, str]:
    """Return the states of the groups of series that this run has looked at, and not written since.

    Parameters
    ----------
    results : Results
    series_of : callable
        Returns the ids of the series of a batch, given by its name, as the record of their extraction has them.

    Returns
    -------
    mapping of str to str
        By prefix and name of the group, what `CachedGroups.state` returned.
    """
    try:
        note = digested_json.read_record(results.private / "cache" / LOOK)
        is_of_this_run = all(note[key] == value for key, value in _of_run(results).items())
        if not is_of_this_run or not 0 <= time.monotonic() - note["began"] <= MAX_AGE:
            return {}
        written = _series_written_since(results, note["records"], series_of)
        groups: Mapping[str, str] = note["groups"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    changed = {series[:GROUP_DIGITS] for series in written}
    return {name: state for name, state in groups.items() if name[-GROUP_DIGITS:] not in changed}


def _of_run(results: Results) -> dict[str, str]:
    """Return what identifies this run, and the boot of the host, since which `began` counts."""
    return {"run": run_of(results), "boot": other_hosts.boot_id()}


def run_of(results: Results) -> str:
    """Return what identifies this run of the workflow: the process that has, or had, its lock, and since when."""
    owner = other_hosts.read_owner(results.private / locks.RUN)
    return other_hosts.in_words(owner) if owner else ""


def _keys_of_records(results: Results) -> dict[str, list[int]]:
    """Return the stat of each record of a batch: a job that wrote arrays or pictures has replaced it."""
    return {
        f"{rule}/{path.name}": key_of(path.stat())
        for rule in BATCH_RULES
        for path in sorted((results.records / rule).glob("*.json"))
    }


def _series_written_since(
    results: Results, before: Mapping[str, Sequence[int]], series_of: Callable[[str], Iterable[str]]
) -> set[str]:
    """Return the series of all batches of which a record is another one than before.

    Those of a batch that is gone are not among them: they were removed, or belong to another batch now.
    """
    now = _keys_of_records(results)
    batches = {Path(name).stem for name, key in now.items() if before.get(name) != key}
    return {series for batch in batches for series in series_of(batch)}


def main(arguments: Sequence[str]) -> int:
    """Look at the results folder that is named first; the second argument is the id of the process that wants it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(arguments[1]):
        return 1
    os.nice(10)  # jobs go first
    look(Results(Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
