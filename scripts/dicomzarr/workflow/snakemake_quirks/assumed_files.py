"""Dry runs that see files as a run would find them, without touching one."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dicomzarr.workflow.snakemake_quirks.tried import is_tried


class _Assumed(dict[Any, Any]):
    """A cache of Snakemake in which some answers are fixed, and all others are found out as ever."""

    def __init__(self, usual: Any, fixed: Mapping[str, Any]) -> None:
        super().__init__()
        self.usual, self.fixed = usual, fixed

    def __contains__(self, path: object) -> bool:
        return path in self.fixed or path in self.usual

    def __getitem__(self, path: Any) -> Any:
        return self.fixed[path] if path in self.fixed else self.usual[path]

    def __setitem__(self, path: Any, value: Any) -> None:
        self.usual[path] = value

    def __getattr__(self, name: str) -> Any:
        return getattr(self.usual, name)


def assume_files(workflow: Any, missing: Iterable[Path], written: Mapping[Path, tuple[int, str]]) -> bool:
    """Let a dry run see files as a run would find them after its preparation, without touching one.

    Snakemake remembers existence, time, size and digest of files while it builds a DAG (`workflow.iocache`); here the
    answers for our files of state are fixed beforehand.

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
        False with a Snakemake in which this was not tried, or that is built otherwise: its dry run then does not see
        what the preparation of a run would change.
    """
    if not is_tried() or not hasattr(workflow, "_prepare_dag"):
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
        # Nothing that is assumed may outlive the dry run, and a file that cannot be written is none of its business.
        workflow.persistence.save_iocache = lambda: None
        _IOFile.protected = _is_not_protected
        _IOFile.is_fifo = _is_fifo

    workflow._prepare_dag = prepare_and_assume
    return True


def _is_fifo(path: str) -> bool:
    """Return whether a path is a FIFO; an assumed file that does not exist is none."""
    return os.path.exists(path) and stat.S_ISFIFO(os.stat(path).st_mode)


async def _is_not_protected(_: Any) -> bool:
    return False


def _names(path: Path) -> Iterator[str]:
    """Yield the spellings under which Snakemake may know a path."""
    yield from dict.fromkeys((os.fspath(path), os.path.normpath(path), os.path.abspath(path)))
