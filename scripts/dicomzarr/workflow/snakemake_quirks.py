"""Everything that leans on the inside of Snakemake, each piece with its purpose and what happens without it.

With a version that is not in `TRIED` the workflow runs on what Snakemake documents: a note says what is missing then.
"""

from __future__ import annotations

import contextlib
import enum
import io
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

TRIED = ("9.27.1",)
# What Snakemake does without building a DAG, or with one that need not know the source, by the name of its option.
_WITHOUT_SOURCE = (
    "lint", "list_rules", "list_target_rules", "print_compilation", "unlock", "report", "list_conda_envs",
    "conda_create_envs_only", "conda_cleanup_envs", "cleanup_metadata", "containerize", "archive",
    "generate_unit_tests", "cleanup_shadow", "container_cleanup_images",
)  # fmt: skip
# What Snakemake prints of a DAG without running a job.
_DRY = (
    "dryrun", "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "list_changes",
    "list_input_changes", "list_params_changes", "list_untracked",
)  # fmt: skip


class Purpose(enum.Enum):
    """What the command line asks of Snakemake."""

    BUILD = "build"  # jobs run: the source is listed, state is written, the lock is held
    DRY = "dry"  # a DAG is shown: the source is listed and nothing below the results changes
    OTHER = "other"  # rules are listed, linted, reported …: neither source nor results are looked at


def version() -> str:
    """Return the version of the Snakemake that runs this process."""
    import snakemake

    return str(snakemake.__version__)


def is_tried() -> bool:
    """Return whether the pieces of this module were tried with this Snakemake."""
    return version() in TRIED


def options(arguments: Sequence[str]) -> Mapping[str, Any]:
    """Return what Snakemake's own parser makes of a command line, profiles and abbreviations included.

    Tried with 9.27.1: `snakemake.cli.parse_args`. Where it is missing or refuses, as under another program that uses
    Snakemake's Python API, the mapping is empty and the run counts as one that builds.
    """
    try:
        from snakemake.cli import parse_args

        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            parsed: dict[str, Any] = vars(parse_args(list(arguments))[1])
            return parsed
    except (ImportError, AttributeError, TypeError, ValueError, IndexError, SystemExit, OSError):
        return {}


def purpose(parsed: Mapping[str, Any]) -> Purpose:
    """Return what parsed options ask for: jobs, a look at the DAG, or neither.

    Parameters
    ----------
    parsed : mapping
        What `options` returned.
    """
    asked = {name for name, value in parsed.items() if value}
    if asked.intersection(_WITHOUT_SOURCE) and "report_after_run" not in asked:
        return Purpose.OTHER
    return Purpose.DRY if asked.intersection(_DRY) else Purpose.BUILD


class Use(enum.Enum):
    """How the workflow came to be parsed."""

    MAIN = "main"  # its Snakefile was started
    INCLUDED = "included"  # `include:` of another Snakefile, whose configuration and rules it shares
    MODULE = "module"  # `module:` of another Snakefile, with a configuration of its own


def use_of(workflow: Any, snakefile: Path) -> Use:
    """Return how the workflow is used; `snakefile` is ours.

    Tried with 9.27.1: a stack of modifiers, one for each module. With another version a module counts as included.
    """
    if len(getattr(workflow, "modifier_stack", ())) > 1:
        return Use.MODULE
    return Use.MAIN if Path(str(workflow.main_snakefile)).resolve() == snakefile.resolve() else Use.INCLUDED


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

    workflow._prepare_dag = prepare_and_assume
    return True


async def _is_not_protected(_: Any) -> bool:
    return False


def _names(path: Path) -> Iterator[str]:
    """Yield the spellings under which Snakemake may know a path."""
    yield from dict.fromkeys((os.fspath(path), os.path.normpath(path), os.path.abspath(path)))


def cancel_timers_of_scheduler() -> None:
    """Cancel the timers that Snakemake's scheduler leaves behind, which hold the process for a second at its end.

    Tried with 9.27.1: one timer of a second for each round of jobs, and Python waits for them. Timers of others, such
    as plugins, are left alone. With another version nothing is found, and the process ends a second later.
    """
    import gc
    import threading

    for thread in threading.enumerate():
        function = getattr(thread, "function", None)
        if isinstance(thread, threading.Timer) and getattr(function, "__module__", "").startswith("snakemake.sched"):
            thread.cancel()
    gc.freeze()  # what the process is about to give back need not be searched for garbage


def note_if_untried() -> None:
    """Tell on standard error what does not work with a Snakemake that was not tried."""
    if not is_tried():
        print(
            f"note: Snakemake {version()} was not tried with this workflow (tried: {', '.join(TRIED)}); a dry run may "
            "not list what a changed source or damaged files would bring about: ask ./run status",
            file=sys.stderr,
        )
