"""A copy of the last build's tables, and what changed since: `private/last_build/` and `private/changes.json`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from dicomzarr.commands import diff
from dicomzarr.system import digested_json, files, folder_moves, json_files
from dicomzarr.system.results_folder import Results
from dicomzarr.vocabulary.errors import Damaged

COPIED = ("dataset.json", "volumes.csv", "masks.csv")
FACTS = "facts.json"  # of the dataset, kept beside the copy
_NEXT = "last_build.next"  # a whole copy, which replaces the folder; it is there only after a crash in between


def seal_of(folder: Path) -> str:
    """Return the seal in a `dataset.json`; empty if there is none."""
    try:
        return str(json_files.read_json(folder / "dataset.json")["seal"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def folder_of(results: Results) -> Path:
    """Return the folder of the copy."""
    return results.private / "last_build"


def changes_file(results: Results) -> Path:
    """Return the file with the differences between the last two builds."""
    return results.private / "changes.json"


def is_current(results: Results) -> bool:
    """Return whether the copy is that of the dataset as it is."""
    seal = seal_of(results.dataset)
    return bool(seal) and seal == seal_of(_copy(results))


def compared(results: Results) -> dict[str, Any] | None:
    """Return the differences between the copy and the dataset, as `diff.compare` returns them; None without a copy.

    Raises
    ------
    NoDataset
        If the dataset is not sealed.
    """
    new = diff.read(results.dataset)
    try:
        return diff.compare(diff.read(_copy(results)), new)
    except (diff.NoDataset, OSError, ValueError, LookupError, TypeError):  # there is none, or it is damaged
        return None


def replace(results: Results, differences: dict[str, Any] | None, facts: dict[str, Any]) -> None:
    """Write the differences, and replace the copy by the dataset as it is.

    At each moment there is a whole copy, and the differences are written before it is replaced: if this process is
    killed, the next call begins again, or does the rest.

    Parameters
    ----------
    results : Results
        With a sealed dataset that is not the one of the copy.
    differences : dict or None
        What `compared` returned.
    facts : dict
        Facts of the dataset; they are kept beside the copy.
    """
    if differences is None:
        changes_file(results).unlink(missing_ok=True)
    else:
        files.write_atomically(changes_file(results), json_files.canonical_json(differences), private=True)
    _finish_replacement(results)
    partial = folder_of(results).with_name(f"last_build{files.TEMPORARY}")
    files.remove_tree(partial)
    files.make_private(partial)
    for name in COPIED:
        _write(partial / name, (results.dataset / name).read_bytes())
    _write(partial / FACTS, digested_json.record_json(facts))
    files.sync_folder(partial)
    partial.rename(results.private / _NEXT)
    _finish_replacement(results)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, files.PRIVATE_FILE)
    with open(handle, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def facts(results: Results) -> dict[str, Any]:
    """Return the facts that were kept beside the copy; empty if there are none, or they are damaged."""
    try:
        return digested_json.read_record(_copy(results) / FACTS)
    except (OSError, Damaged):
        return {}


def keep_facts(results: Results, facts: dict[str, Any]) -> None:
    """Write the facts of the last build beside its copy again."""
    path = _copy(results) / FACTS
    files.remove_tree(path)
    files.write_atomically(path, digested_json.record_json(facts), private=True)


def _copy(results: Results) -> Path:
    following = results.private / _NEXT
    return following if files.is_dir(following) else folder_of(results)


def _finish_replacement(results: Results) -> None:
    """Finish a replacement that was begun."""
    following = results.private / _NEXT
    if files.is_dir(following):
        shutil.rmtree(folder_of(results), ignore_errors=True)
        folder_moves.move(following, folder_of(results))
        files.sync_folder(results.private)
