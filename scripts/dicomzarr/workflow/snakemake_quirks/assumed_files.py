"""Let a dry run assume the files that a run would write, without writing them."""

from __future__ import annotations

import atexit
import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.system import files
from dicomzarr.workflow.snakemake_quirks.tested_versions import is_tested

_NOTES = ("shadow", "conda-archive", "conda", "singularity", "auxiliary", "iocache")  # folders in `.snakemake/`


class _Assumed(dict[Any, Any]):
    """A cache of Snakemake with fixed values for some paths; all others are looked up in the original cache."""

    def __init__(self, original: Any, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self.original, self.fixed = original, fixed

    def __contains__(self, path: object) -> bool:
        return path in self.fixed or path in self.original

    def __getitem__(self, path: Any) -> Any:
        return self.fixed[path] if path in self.fixed else self.original[path]

    def __setitem__(self, path: Any, value: Any) -> None:
        self.original[path] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self.original, name)


def assume_files(workflow: Any, missing: Iterable[Path], written: Mapping[Path, tuple[int, str]]) -> bool:
    """Let a dry run assume the files as they would be after the preparation of a run.

    While Snakemake builds a DAG, it caches existence, time, size and checksum of files (`workflow.iocache`). The values
    for the records and files of state are put into that cache beforehand.

    Parameters
    ----------
    workflow : snakemake.workflow.Workflow
    missing : iterable of Path
        Records that a run would revoke.
    written : mapping of Path to (int, str)
        Files of state that a run would write: size in bytes and SHA-256 in hex.

    Returns
    -------
    bool
        False if this version of Snakemake was not tested or has other internals. Its dry run then does not show what
        the preparation of a run would change.
    """
    if not is_tested() or not hasattr(workflow, "_prepare_dag"):
        return False
    from snakemake.io import Mtime, _IOFile

    exists = {name: False for path in missing for name in _names(path)}
    exists |= {name: True for path in written for name in _names(path)}
    times = {name: Mtime(local=time.time()) for path in written for name in _names(path)}
    sizes = {name: size for path, (size, _) in written.items() for name in _names(path)}
    digests = {name: f"sha256:{digest}" for path, (_, digest) in written.items() for name in _names(path)}
    prepare_dag = workflow._prepare_dag

    def prepare_and_assume(*args: Any, **kwargs: Any) -> None:
        prepare_dag(*args, **kwargs)
        cache = workflow.iocache
        cache._exists_local = _Assumed(cache._exists_local, exists)
        cache._mtime = _Assumed(cache._mtime, times)
        cache._size = _Assumed(cache._size, sizes)
        cache._checksum = _Assumed(cache._checksum, digests)
        # Assumed values must not be saved, and a dry run needs no write permission.
        workflow.persistence.save_iocache = lambda: None
        _IOFile.protected = _is_not_protected
        _IOFile.is_fifo = _is_fifo

    workflow._prepare_dag = prepare_and_assume
    return True


def keep_notes_elsewhere() -> bool:
    """Let Snakemake keep the notes of a dry run in a temporary folder, where it cannot make `.snakemake/` here.

    Tested with 9.27.1: `snakemake.workflow.FilePersistence`. Such a dry run knows nothing of earlier jobs but what our
    records state. With another version Snakemake ends with the error of the operating system.

    Returns
    -------
    bool
        Whether notes are kept elsewhere.
    """
    folders = [Path(".snakemake", name) for name in ("", *_NOTES)]
    if all(map(os.path.isdir, folders)) or os.access(
        next((f for f in folders if files.is_dir(f)), "."), os.W_OK | os.X_OK
    ):
        return False
    from snakemake import workflow

    if not is_tested():
        return False
    usual = workflow.FilePersistence
    notes = tempfile.TemporaryDirectory(prefix="snakemake-notes-")
    atexit.register(notes.cleanup)

    def persistence(**options: Any) -> Any:
        return usual(**{**options, "path": Path(notes.name)})

    workflow.FilePersistence = persistence
    return True


def _is_fifo(path: str) -> bool:
    """Return whether a path is a FIFO; an assumed file that does not exist is none."""
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)


async def _is_not_protected(_: Any) -> bool:
    return False


def _names(path: Path) -> Iterator[str]:
    """Yield the forms in which Snakemake may store a path."""
    yield from dict.fromkeys((os.fspath(path), os.path.normpath(path), os.path.abspath(path)))
